"""What the compiled passes of a layer are worth: a training epoch with them and with their slow twins, in turns.

    python -m benchmarks.layers --root ../shared/datasets [--rounds 5] [--cases citeseer-gcnii ...]

The twin runs one torch operation after another: dropout, product, factor, h_0, matrix product, norm, ReLU, features with their zeros, a
transpose per step, Adam parameter by parameter. Both run on one thread, whose processor seconds are counted: they suffer less from other
programs than the clock on the wall. Writes results/layers.md and .json.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from scripts.lib.command_line import add_choices, make_parser, run_script
from scripts.lib.report import Content, write

CASES: dict[str, tuple[str, ...]] = {
    "cora-gcnii": ("dataset=cora", "model=gcnii"),
    "citeseer-gcnii": ("dataset=citeseer", "model=gcnii"),
    "coauthor-physics-gcnii": ("dataset=coauthor-physics", "model=gcnii"),
    "coauthor-cs-appnp": ("dataset=coauthor-cs", "model=appnp"),
    "amazon-computers-appnp": ("dataset=amazon-computers", "model=appnp"),
    "half-arxiv-size-gcn": (
        "dataset=generated", "dataset.num_nodes=84672", "dataset.average_degree=13.7", "dataset.num_features=128",
        "dataset.num_communities=40", "partitioner.num_parts=40", "trainer.batch_parts=20",
        "model=gcn", "model.num_layers=3", "model.hidden_channels=256", "model.batch_norm=true", "model.drop_input=false",
    ),
}  # fmt: skip


def main() -> None:
    parser = make_parser(__doc__, "--root", "--out", rounds=5)
    add_choices(parser, "--cases", CASES)
    arguments = parser.parse_args()
    rows = []
    for case in arguments.cases:
        for method in ("gas", "full_batch"):
            rows.append(row := compare(case, method, arguments.root, arguments.rounds))
            print(text_row(row), flush=True)
    write("layers", rows, table, {"rounds": arguments.rounds}, arguments.out)


def compare(case: str, method: str, root: Path, rounds: int) -> dict[str, Any]:
    """Smallest seconds of each way and the median of the ratios within a round; a first round of each warms up."""
    from gas_cli.ops.twins import slow_twins

    trainers = [make_trainer(case, method, root), make_trainer(case, method, root)]
    measured: list[tuple[float, float]] = []
    for _ in range(rounds + 1):
        compiled = epoch_seconds(trainers[0], fused=True)
        with slow_twins():
            plain = epoch_seconds(trainers[1], fused=False)
        measured.append((compiled, plain))
    ratio = statistics.median(compiled / plain for compiled, plain in measured[1:])
    compiled, plain = (min(seconds) for seconds in zip(*measured[1:], strict=True))
    return {"case": case, "method": method, "compiled": compiled, "twins": plain, "ratio": ratio}


def make_trainer(case: str, method: str, root: Path) -> Any:
    import torch

    from gas_cli.config.compose import compose_config
    from gas_cli.run import prepare
    from gas_cli.training import assemble

    torch.set_num_threads(1)
    config = compose_config([*CASES[case], f"dataset.root={root}", f"method={method}", "device=cpu", "trainer.prefetch=0"])
    return assemble.make_trainer(config, prepare(config), Path(tempfile.mkdtemp()))


def epoch_seconds(trainer: Any, fused: bool) -> float:
    """Processor seconds of this thread for the steps of one epoch, without refresh and evaluation; `fused`: Adam in one pass."""
    for group in trainer.optimizer.adam.param_groups:
        group["fused"] = fused
    started = time.thread_time()
    trainer.train_epoch()
    trainer.progress.next_epoch()
    return time.thread_time() - started


def text_row(row: dict[str, Any]) -> str:
    return f"| {row['case']} | {row['method']} | {row['compiled']:.4f} | {row['twins']:.4f} | {row['ratio']:.2f}x |"


def table(content: Content) -> str:
    rounds = content["settings"].get("rounds")
    lines = [
        "# Compiled passes beside their slow twins",
        "",
        "Training epoch (no refresh, no evaluation) on one thread, its processor seconds; the smallest of "
        f"{f'{rounds} rounds' if rounds else 'the rounds'} in turns.",
        "Ratios are medians of the ratios within a round.",
        "",
        "| case | method | compiled | twins | ratio |",
        "|---|---|---|---|---|",
        *map(text_row, content["rows"]),
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    run_script(main)
