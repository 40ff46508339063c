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
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

from scripts.lib.command_line import add_choices, make_parser
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
    from gas_cli.cli.environment import prepare_process

    prepare_process()
    rows = []
    for case in arguments.cases:
        for method in ("gas", "full_batch"):
            rows.append(row := compare(case, method, arguments.root, arguments.rounds))
            print(text_row(row), flush=True)
    write("layers", rows, table, {"rounds": arguments.rounds}, arguments.out)


def compare(case: str, method: str, root: Path, rounds: int) -> dict[str, Any]:
    """Smallest seconds of each way and the median of the ratios within a round; a first round of each warms up."""
    trainers = [make_trainer(case, method, root), make_trainer(case, method, root)]
    measured: list[tuple[float, float]] = []
    for _ in range(rounds + 1):
        compiled = epoch_seconds(trainers[0])
        with slow_twins():
            plain = epoch_seconds(trainers[1])
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


def epoch_seconds(trainer: Any) -> float:
    """Processor seconds of this thread for the steps of one epoch, without refresh and evaluation."""
    for group in trainer.optimizer.adam.param_groups:
        group["fused"] = _FUSED
    started = time.thread_time()
    trainer.train_epoch()
    trainer.progress.next_epoch()
    return time.thread_time() - started


_FUSED = True


@contextmanager
def slow_twins() -> Iterator[None]:
    """Every compiled pass replaced by what it stands for."""
    from gas_cli.ops import spmm
    from gas_cli.ops.aggregate import aggregate_reference
    from gas_cli.ops.dropout import mask_entries
    from gas_cli.ops.identity_map import identity_map

    def one_by_one(terms: Any, scale: float = 1.0, anchor: Any = None, weight: float = 0.0, mask: Any = None) -> Any:
        out = spmm._multiply(*terms[0])
        for term in terms[1:]:
            out.add_(spmm._multiply(*term))
        assert scale == 1 and anchor is None and mask is None, "the twins know sums alone"
        return out

    def transposed(a: Any, grad: Any) -> Any:
        return one_by_one([(a.transpose(), grad)])

    with (
        patch("gas_cli.model.model.aggregate", aggregate_reference),
        patch("gas_cli.ops.spmm.row_sums", one_by_one),
        patch("gas_cli.ops.spmm._multiply_transposed", transposed),
        patch("gas_cli.model.model.drop_entries", mask_entries),
        patch("gas_cli.model.gcnii.identity_map_relu", lambda s, weight, beta: identity_map(s, weight, beta).relu_()),
        patch("gas_cli.model.batch_norm.is_compiled", lambda x: False),
        patch(f"{__name__}._FUSED", False),
    ):
        yield


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
    main()
