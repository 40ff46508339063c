"""Accuracy of GCN on the six datasets whose files are at hand: GAS and full batch beside the published GAS column.

    python -m benchmarks.accuracy --root ../shared/datasets [--runs 10] [--datasets cora citeseer] [--models gcn]

Continues where it stopped: finished runs in --work are not trained again. Writes results/accuracy-<model>.md and .json.
"""

from __future__ import annotations

import argparse
import logging
from pathlib import Path
from typing import Any

from gas_cli.cli.environment import prepare_process

# Test accuracy in %, GAS column of table 1 of the paper: mean, standard deviation over 20 runs (10 for GCNII).
PUBLISHED = {
    "gcn": {
        "cora": (82.29, 0.76),
        "citeseer": (71.18, 0.97),
        "coauthor-cs": (91.22, 0.45),
        "coauthor-physics": (92.98, 0.72),
        "amazon-computers": (80.84, 2.26),
        "amazon-photo": (90.53, 1.40),
    },
    "appnp": {
        "cora": (83.19, 0.58),
        "citeseer": (72.63, 0.82),
        "coauthor-cs": (92.44, 0.58),
        "coauthor-physics": (93.68, 0.61),
        "amazon-computers": (81.66, 1.81),
        "amazon-photo": (91.23, 1.34),
    },
    "gcnii": {
        "cora": (85.52, 0.39),
        "citeseer": (73.89, 0.48),
        "coauthor-cs": (92.52, 0.31),
        "coauthor-physics": (93.61, 0.41),
        "amazon-computers": (83.05, 1.16),
        "amazon-photo": (91.60, 0.78),
    },
}


def main() -> None:
    prepare_process()
    arguments = parse()
    logging.basicConfig(level=logging.WARNING)
    for model in arguments.models:
        rows = []
        for dataset in arguments.datasets:
            rows.append(row := compare(dataset, model, arguments))
            print(text_row(row), flush=True)
        report(model, rows)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, required=True, help="folder with Planetoid/, Coauthor/ and Amazon/")
    parser.add_argument("--work", type=Path, default=Path("runs/benchmark-accuracy"))
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--datasets", nargs="+", default=list(PUBLISHED["gcn"]), choices=list(PUBLISHED["gcn"]))
    parser.add_argument("--models", nargs="+", default=["gcn"], choices=list(PUBLISHED))
    return parser.parse_args()


def compare(dataset: str, model: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """One row: the same seeds and splits with GAS and with full batch."""
    row: dict[str, Any] = {"dataset": dataset, "model": model, "runs": arguments.runs}
    row["published"], row["published_std"] = PUBLISHED[model][dataset]
    for method in ("gas", "full_batch"):
        summary = train(dataset, model, method, arguments)
        row[method], row[f"{method}_std"] = 100 * summary["test"], 100 * summary["std"]["test"]
    row["within_one_std"] = abs(row["gas"] - row["published"]) <= row["published_std"]
    return row


def train(dataset: str, model: str, method: str, arguments: argparse.Namespace) -> dict[str, Any]:
    from gas_cli.config.compose import compose_config
    from gas_cli.run import run

    folder = arguments.work / f"{model}-{dataset}-{method}-{arguments.runs}"
    overrides = [f"dataset={dataset}", f"model={model}", f"method={method}", f"dataset.root={arguments.root}", f"runs={arguments.runs}"]
    # Only the result is wanted: a checkpoint at the end is enough.
    return run(compose_config([*overrides, "trainer.checkpoint_every=100000", "seed=0"]), folder)


def text_row(row: dict[str, Any]) -> str:
    cells = [f"{row[m]:.2f} ± {row[f'{m}_std']:.2f}" for m in ("published", "gas", "full_batch")]
    difference, inside = row["gas"] - row["full_batch"], "yes" if row["within_one_std"] else "no"
    return f"| {row['dataset']} | {' | '.join(cells)} | {difference:+.2f} | {row['gas'] - row['published']:+.2f} | {inside} |"


def report(model: str, rows: list[dict[str, Any]]) -> None:
    from benchmarks.machine import write

    mean = sum(row["gas"] - row["full_batch"] for row in rows) / len(rows)
    lines = [
        f"# Test accuracy of {model} in %, {rows[0]['runs']} seeds each",
        "",
        "Published hyper-parameters, test accuracy at the best validation epoch, mean ± standard deviation.",
        "",
        "| dataset | paper, GAS | ours, GAS | ours, full batch | GAS − full batch | GAS − paper | within one published std |",
        "|---|---|---|---|---|---|---|",
        *[text_row(row) for row in rows],
        "",
        f"Mean of GAS − full batch: {mean:+.2f}.",
    ]
    write(f"accuracy-{model}", rows, "\n".join(lines))


if __name__ == "__main__":
    main()
