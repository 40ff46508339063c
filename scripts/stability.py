"""How much a run's accuracy depends on the epoch at which it is read: cells of table 1, and what two changes do to them.

    python -m scripts.stability --root DIR --work runs/table1 [--models gat appnp] [--datasets cora ...] [--runs 10]

Table 1 reads each run at its best validation epoch. Where the accuracy swings from epoch to epoch, few validation nodes choose among many
epochs, and the choice is a large part of the cell's deviation. Reads the runs of table1.py in the same `--work` and trains what is missing;
GAS with `trainer.loss_weighting=full_batch`, an unbiased estimate of the full-batch loss, and with twice the parts per step, whose batches
cut fewer messages in the backward pass too.
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from scripts import table1
from scripts.lib.command_line import STUDY, add_choices, make_parser, run_script
from scripts.lib.report import write_report
from scripts.lib.spread import with_deviation, with_error
from scripts.lib.study import Trial, at_hand, codes, run_trials

COLUMNS = ("model", "dataset", "variant", "at the best epoch", "second half", "to full batch", "swing", "runs")
VARIANTS = ("full batch", "GAS, published settings", "GAS, loss weighted by training nodes", "GAS, twice the parts per step")


@dataclass(frozen=True)
class Curve:
    """Of one run, in %: test accuracy at the best validation epoch, mean and standard deviation over the second half of the epochs."""

    best: float
    mean: float
    swing: float


def main() -> None:
    parser = make_parser(__doc__, *STUDY, name="stability", work=Path("runs") / "table1")
    parser.add_argument("--runs", type=int, default=10, help="seeds per cell and variant")
    parser.add_argument("--models", nargs="+", default=["gat", "appnp"], choices=list(table1.PUBLISHED))
    add_choices(parser, "--datasets", table1.DATASETS)
    arguments = parser.parse_args()
    arguments.datasets = arguments.datasets if arguments.report else at_hand(arguments.datasets, arguments)
    cells = [(m, d) for m in arguments.models for d in arguments.datasets if table1.published(m, d) is not None]
    wanted = {(m, d, v, seed): trial(m, d, v, seed) for seed in range(arguments.runs) for m, d in cells for v in VARIANTS}
    summaries = run_trials(list(wanted.values()), arguments)
    curves = {key: curve(arguments.work / t.name, summaries[t.name]["test"]) for key, t in wanted.items() if t.name in summaries}
    rows = [row for m, d in cells for v in VARIANTS if (row := describe(m, d, v, curves))]
    notes = (
        "Test accuracy in %, ± the standard deviation over runs. `second half`: mean over the second half of the epochs; `to full batch`: "
        "its difference for equal seeds, with the standard error; `swing`: standard deviation over these epochs within a run, averaged "
        "over the runs.",
        f"Code: {', '.join(codes(arguments.work, summaries))}.",
    )
    write_report(arguments.out, "stability", "Accuracy over the epochs of table 1's runs", COLUMNS, rows, notes)


def trial(model: str, dataset: str, variant: str, seed: int) -> Trial:
    """The run of table 1, or the same with one change."""
    published = table1.trial(model, dataset, "full_batch" if variant == "full batch" else "gas", seed)
    if variant in VARIANTS[:2]:
        return published
    if variant == VARIANTS[2]:
        return Trial(f"{model}-{dataset}-weighted-{seed}", (*published.settings, "trainer.loss_weighting=full_batch"))
    return Trial(f"{model}-{dataset}-twice-{seed}", (*published.settings, f"trainer.batch_parts={2 * batch_parts(published.settings)}"))


@cache
def batch_parts(settings: tuple[str, ...]) -> int:
    from gas_cli.config.compose import compose_config

    return compose_config(settings).trainer.parts_per_step


def curve(folder: Path, test: float) -> Curve:
    from gas_cli.report.recorder import read_metrics

    tests = [100 * record["test"] for record in read_metrics(folder / "metrics.jsonl") if "test" in record]
    half = tests[len(tests) // 2 :]
    return Curve(100 * test, statistics.fmean(half), statistics.stdev(half) if len(half) > 1 else 0.0)


def describe(model: str, dataset: str, variant: str, curves: dict[tuple[str, str, str, int], Curve]) -> dict[str, Any] | None:
    """A row from the finished runs; None without any."""
    mine = {seed: c for (m, d, v, seed), c in curves.items() if (m, d, v) == (model, dataset, variant)}
    if not mine:
        return None
    gaps = [c.mean - full.mean for seed, c in mine.items() if (full := curves.get((model, dataset, VARIANTS[0], seed)))]
    return {
        "model": model,
        "dataset": dataset,
        "variant": variant,
        "at the best epoch": with_deviation([c.best for c in mine.values()]),
        "second half": with_deviation([c.mean for c in mine.values()]),
        "to full batch": with_error(gaps) if gaps and variant != VARIANTS[0] else "",
        "swing": f"{statistics.fmean(c.swing for c in mine.values()):.2f}",
        "runs": len(mine),
    }


if __name__ == "__main__":
    run_script(main)
