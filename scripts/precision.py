"""What lower precision costs and saves: test accuracy and seconds per epoch in bfloat16 and with half-precision histories.

    python -m scripts.precision --root DIR [--runs 10] [--model gcn] [--datasets cora citeseer amazon-photo coauthor-cs]

GAS with the published settings of each pair. `bfloat16` runs the dense products in bfloat16 (`precision=bfloat16`), parameters stay
float32; `float16 histories` halves the tables and their traffic (`history.dtype=float16`).
"""

from __future__ import annotations

import statistics
from typing import Any

from scripts.lib.command_line import STUDY, make_parser, run_script
from scripts.lib.report import write_report
from scripts.lib.spread import with_deviation, with_error
from scripts.lib.study import Trial, at_hand, codes, records, run_trials

VARIANTS = {
    "float32": (),
    "bfloat16": ("precision=bfloat16",),
    "float16 histories": ("history.dtype=float16",),
}
COLUMNS = ("model", "dataset", "variant", "test", "to float32", "within 0.3", "epoch to float32", "runs")
ALLOWED = 0.3
"""Percentage points of mean test accuracy that a lower precision may cost."""


def main() -> None:
    parser = make_parser(__doc__, *STUDY, name="precision")
    parser.add_argument("--runs", type=int, default=10, help="seeds per variant")
    parser.add_argument("--model", default="gcn")
    parser.add_argument("--datasets", nargs="+", default=["cora", "citeseer", "amazon-photo", "coauthor-cs"])
    arguments = parser.parse_args()
    arguments.datasets = arguments.datasets if arguments.report else at_hand(arguments.datasets, arguments)
    names = {
        (d, v, seed): f"{arguments.model}-{d}-{v.replace(' ', '-')}-{seed}" for seed in range(arguments.runs) for d, v in cells(arguments)
    }
    summaries = run_trials([trial(name, arguments.model, *key) for key, name in names.items()], arguments)
    done = {key: summaries[name] for key, name in names.items() if name in summaries}
    rows = [row for dataset, variant in cells(arguments) if (row := compare(arguments.model, dataset, variant, done))]
    notes = (
        "`to float32` pairs equal seeds, with its standard error. `epoch to float32` is the median ratio of the training seconds of equal "
        "seeds, which ran one after the other while another process ran.",
        f"Code: {', '.join(codes(arguments.work, summaries))}.",
    )
    write_report(
        arguments.out, "precision", "Lower precision: test accuracy in %", COLUMNS, rows, notes, trials=records(arguments, summaries)
    )


def cells(arguments: Any) -> list[tuple[str, str]]:
    return [(dataset, variant) for dataset in arguments.datasets for variant in VARIANTS]


def trial(name: str, model: str, dataset: str, variant: str, seed: int) -> Trial:
    return Trial(name, (f"dataset={dataset}", f"model={model}", *VARIANTS[variant], f"seed={seed}", "trainer.checkpoint_every=100"))


def compare(model: str, dataset: str, variant: str, done: dict[tuple[str, str, int], dict[str, Any]]) -> dict[str, Any] | None:
    """A row from the seeds for which the variant and float32 have finished; None without any."""
    seeds = [seed for (d, v, seed) in done if (d, v) == (dataset, variant) and (dataset, "float32", seed) in done]
    if not seeds:
        return None
    here, there = ([done[dataset, v, seed] for seed in seeds] for v in (variant, "float32"))
    gaps = [100 * (a["test"] - b["test"]) for a, b in zip(here, there, strict=True)]
    same = variant == "float32"
    return {
        "model": model,
        "dataset": dataset,
        "variant": variant,
        "test": with_deviation([100 * summary["test"] for summary in here]),
        "to float32": "" if same else with_error(gaps),
        "within 0.3": "" if same else "yes" if abs(statistics.fmean(gaps)) <= ALLOWED else "no",
        "epoch to float32": ""
        if same
        else f"{statistics.median(a['seconds'] / b['seconds'] for a, b in zip(here, there, strict=True)):.2f}x",
        "runs": len(seeds),
    }


if __name__ == "__main__":
    run_script(main)
