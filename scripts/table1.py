"""Table 1 of the paper: full batch against GAS, four models on eight small graphs.

    python -m scripts.table1 --root DIR [--runs 10] [--models gcn gat appnp gcnii] [--datasets cora citeseer ...]

Published hyper-parameters; run r has seed r and random split r; test accuracy at the best validation epoch. Goes on where it stopped.
GAT on the two Amazon graphs is left out, as in the paper.
"""

from __future__ import annotations

import argparse
import math
import statistics
from typing import Any

from scripts.lib.command_line import STUDY, add_choices, make_parser, run_script
from scripts.lib.report import write_report
from scripts.lib.study import Trial, at_hand, codes, records, run_trials

DATASETS = ("cora", "citeseer", "pubmed", "coauthor-cs", "coauthor-physics", "amazon-computers", "amazon-photo", "wiki-cs")
METHODS = ("full_batch", "gas")
# Test accuracy in %: full batch, its standard deviation, GAS, its standard deviation; in the order of DATASETS.
PUBLISHED: dict[str, tuple[tuple[float, float, float, float] | None, ...]] = {
    "gcn": (
        (81.88, 0.75, 82.29, 0.76),
        (70.98, 0.66, 71.18, 0.97),
        (78.73, 1.10, 79.23, 0.62),
        (91.08, 0.59, 91.22, 0.45),
        (93.10, 0.84, 92.98, 0.72),
        (81.17, 1.81, 80.84, 2.26),
        (90.25, 1.66, 90.53, 1.40),
        (79.08, 0.50, 79.00, 0.41),
    ),
    "gat": (
        (82.80, 0.47, 83.32, 0.62),
        (71.72, 0.91, 71.86, 1.00),
        (78.03, 0.40, 78.42, 0.56),
        (90.31, 0.49, 90.38, 0.42),
        (92.32, 0.86, 92.80, 0.61),
        None,
        None,
        (79.44, 0.41, 79.56, 0.47),
    ),
    "appnp": (
        (83.28, 0.60, 83.19, 0.58),
        (72.13, 0.73, 72.63, 0.82),
        (80.21, 0.20, 79.82, 0.52),
        (92.51, 0.47, 92.44, 0.58),
        (93.40, 0.92, 93.68, 0.61),
        (81.79, 2.00, 81.66, 1.81),
        (91.27, 1.26, 91.23, 1.34),
        (79.88, 0.40, 79.75, 0.53),
    ),
    "gcnii": (
        (85.04, 0.53, 85.52, 0.39),
        (73.06, 0.81, 73.89, 0.48),
        (79.72, 0.78, 80.19, 0.49),
        (92.45, 0.35, 92.52, 0.31),
        (93.43, 0.52, 93.61, 0.41),
        (83.04, 1.81, 83.05, 1.16),
        (91.42, 0.81, 91.60, 0.78),
        (79.94, 0.67, 80.02, 0.43),
    ),
}
COLUMNS = (
    "model",
    "dataset",
    "paper full",
    "ours full",
    "difference full",
    "paper GAS",
    "ours GAS",
    "difference GAS",
    "GAS − full",
    "within one std",
    "runs",
)


def main() -> None:
    parser = make_parser(__doc__, *STUDY, name="table1")
    parser.add_argument("--runs", type=int, default=10, help="seeds per cell and method")
    add_choices(parser, "--models", PUBLISHED)
    add_choices(parser, "--datasets", DATASETS)
    arguments = parser.parse_args()
    arguments.datasets = arguments.datasets if arguments.report else at_hand(arguments.datasets, arguments)
    summaries = run_trials(trials(arguments), arguments)
    rows = [
        row for model in arguments.models for dataset in arguments.datasets if (row := compare(model, dataset, arguments.runs, summaries))
    ]
    notes = [*(mean_line(model, rows) for model in arguments.models), f"Code: {', '.join(codes(arguments.work, summaries))}."]
    notes.append("± is the standard deviation over runs; at GAS − full, which pairs equal seeds, the standard error.")
    write_report(
        arguments.out,
        "table1",
        "Table 1: test accuracy in %, full batch and GAS",
        COLUMNS,
        rows,
        notes,
        trials=records(arguments, summaries),
    )


def trials(arguments: argparse.Namespace) -> list[Trial]:
    """Seed by seed, so that a study stopped halfway has about as many runs in every cell."""
    cells = [(m, d) for m in arguments.models for d in arguments.datasets if published(m, d) is not None]
    return [trial(m, d, method, seed) for seed in range(arguments.runs) for m, d in cells for method in METHODS]


def trial(model: str, dataset: str, method: str, seed: int) -> Trial:
    # Only the result is wanted, so checkpoints serve only a stopped study.
    settings = (f"dataset={dataset}", f"model={model}", f"method={method}", f"seed={seed}", "trainer.checkpoint_every=100")
    return Trial(f"{model}-{dataset}-{method}-{seed}", settings)


def published(model: str, dataset: str) -> tuple[float, float, float, float] | None:
    return PUBLISHED[model][DATASETS.index(dataset)]


def compare(model: str, dataset: str, runs: int, summaries: dict[str, dict[str, Any]]) -> dict[str, Any] | None:
    """A cell of the table from the seeds for which both methods have finished; None without any."""
    paper = published(model, dataset)
    names = [[trial(model, dataset, method, seed).name for method in METHODS] for seed in range(runs)]
    pairs = [(100 * summaries[a]["test"], 100 * summaries[b]["test"]) for a, b in names if a in summaries and b in summaries]
    if paper is None or not pairs:
        return None
    full, gas = ([pair[i] for pair in pairs] for i in range(2))
    (full_mean, full_std), (gas_mean, gas_std) = _mean_std(full), _mean_std(gas)
    gap, gap_std = _mean_std([b - a for a, b in pairs])
    inside = abs(full_mean - paper[0]) <= paper[1], abs(gas_mean - paper[2]) <= paper[3]
    return {
        "model": model,
        "dataset": dataset,
        "paper full": f"{paper[0]:.2f} ± {paper[1]:.2f}",
        "ours full": f"{full_mean:.2f} ± {full_std:.2f}",
        "difference full": f"{full_mean - paper[0]:+.2f}",
        "paper GAS": f"{paper[2]:.2f} ± {paper[3]:.2f}",
        "ours GAS": f"{gas_mean:.2f} ± {gas_std:.2f}",
        "difference GAS": f"{gas_mean - paper[2]:+.2f}",
        "GAS − full": f"{gap:+.2f} ± {gap_std / math.sqrt(len(pairs)):.2f}",
        "within one std": " and ".join(f"{name} {'yes' if ok else 'no'}" for name, ok in zip(("full", "GAS"), inside, strict=True)),
        "runs": len(pairs),
        "gap": gap,
        "full": full,
        "gas": gas,
    }


def mean_line(model: str, rows: list[dict[str, Any]]) -> str:
    gaps = [row["gap"] for row in rows if row["model"] == model]
    return f"{model}: mean of GAS − full batch over {len(gaps)} datasets {sum(gaps) / len(gaps):+.2f}." if gaps else f"{model}: no cell."


def _mean_std(values: list[float]) -> tuple[float, float]:
    """Mean and sample standard deviation (0 for one value)."""
    return statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else 0.0


if __name__ == "__main__":
    run_script(main)
