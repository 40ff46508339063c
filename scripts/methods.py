"""Training methods side by side on the small graphs: full batch, GAS, gradient histories, each read with live and with averaged weights.

    python -m scripts.methods --root DIR [--cells citeseer-appnp cora-gcn ...] [--variants ...] [--rates 1 0.25 0.1] [--runs 5] [--keep]

Published hyper-parameters of the pair, those of GCN for GraphSAGE, which has none; `--rates` are factors on its learning rate. Run r has
seed r and random split r. The report is written after each cell and holds what it needs of every run, so that `--keep` goes on from the
committed report on another machine.

A run is scored twice in every epoch: with its live weights, and with their mean over a window of epochs (`trainer.average`), which
changes nothing in the training. Two numbers are read from the test accuracies: at the best validation epoch, and the mean over the second
half of the epochs with its deviation within a run (`swing`), which does not depend on a lucky epoch.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from scripts.lib.command_line import STUDY, add_choices, make_parser, run_script
from scripts.lib.gap_figure import draw_gaps
from scripts.lib.grown import add, kept
from scripts.lib.report import write_report
from scripts.lib.spread import with_deviation, with_error
from scripts.lib.study import Trial, at_hand

FULL = "full batch"
RULE = "gradient histories, measured trust, one update per epoch"
VARIANTS: dict[str, tuple[str, ...]] = {
    FULL: ("method=full_batch",),
    "GAS": ("method=gas",),
    "GAS, weighted loss": ("method=gas", "trainer.loss_weighting=full_batch"),
    "gradient histories": ("method=gas", "method.gradients=history"),
    "gradient histories, measured trust": ("method=gas", "method.gradients=history", "method.trust=measured"),
    "GAS, one update per epoch": ("method=gas", "trainer.loss_weighting=full_batch", "trainer.accumulate=epoch"),
    "gradient histories, one update per epoch": ("method=gas", "method.gradients=history", "trainer.accumulate=epoch"),
    RULE: ("method=gas", "method.gradients=history", "method.trust=measured", "trainer.accumulate=epoch"),
    "Cluster-GCN": ("method=cluster_gcn",),
    "VR-GCN, 2 neighbours": ("method=vr_gcn",),
    "LMC": ("method=lmc",),
    "GraphFM-OB": ("method=graphfm",),
    "GraphFM-IB": ("method=graphfm_ib",),
    "sampling, 10 neighbours": ("method=sampling", "method.neighbours=10"),
}
DATASETS = ("cora", "citeseer", "pubmed", "coauthor-cs", "coauthor-physics", "amazon-computers", "amazon-photo")
CELLS = (*(f"{dataset}-{model}" for model in ("gcn", "appnp", "sage") for dataset in DATASETS), "cora-gcnii", "amazon-photo-gcnii")
GCN_CELLS = tuple(f"{dataset}-gcn" for dataset in DATASETS)
"""Which all methods have."""
CHOOSING = ("citeseer-appnp", "amazon-photo-appnp", "cora-gcn")
WINDOW = 2.5
"""Epochs over which weights are averaged."""
READINGS = ("live", "averaged")
MIB = 1 << 20
MANY = 6
COLUMNS = (
    "cell",
    "rate",
    "method",
    "weights",
    "best epoch",
    "second half",
    "to full batch",
    "swing",
    "epochs to full batch",
    "s per epoch",
    "s to full batch",
    "tables, MiB",
    "bias",
    "bias by weight",
    "runs",
)
DRAWN = {"GAS": ("GAS", "live"), "the rule": (RULE, "live"), "the rule, averaged weights": (RULE, "averaged")}
"""What the figure shows, by its name there: variant and weights."""


SUMMARY = ("rate", "method", "weights", "cells", "second half", "worst cell", "best epoch", "swing")
SUMMARY_NOTE = (
    "Differences of test accuracy in points to full batch with live weights, for equal seeds: the mean over cells with its standard error. "
    "`second half`: mean over the second half of the epochs; `worst cell`: the lowest of these, with the standard error over its seeds; "
    "`best epoch`: at the best validation epoch; `swing`: standard deviation over the second half within a run, as a multiple of full "
    "batch's."
)


@dataclass(frozen=True)
class Run:
    """One training: `rate` is a factor on the published learning rate."""

    cell: str
    rate: float
    variant: str
    seed: int

    @property
    def trial(self) -> Trial:
        dataset, model = dataset_of(self.cell), self.cell.rpartition("-")[2]
        like_gcn = (f"tuned={dataset}/gcn", "model.normalization=mean") if model == "sage" else ()
        published = (f"dataset={dataset}", f"model={model}", *like_gcn)
        lr, epochs = learning_rate_and_epochs(published)
        watched = self.variant != FULL
        settings = (
            *published,
            *VARIANTS[self.variant],
            f"seed={self.seed}",
            f"trainer.average={WINDOW}",
            "evaluation.live=true",
            "trainer.checkpoint_every=1000",
            *([] if self.rate == 1 else [f"optimizer.lr={self.rate * lr:g}"]),
            *([f"evaluation.monitor={epochs // 4}"] if watched else []),
        )
        words = self.variant.replace(", ", "-").replace(" ", "-")
        return Trial(f"{self.cell}-{self.rate:g}-{words}-{self.seed}", settings)


def main() -> None:
    parser = make_parser(__doc__, *STUDY, name="methods")
    parser.add_argument("--runs", type=int, default=5, help="seeds per cell and variant")
    parser.add_argument("--rates", nargs="+", type=float, default=[1.0], help="factors on the published learning rate")
    add_choices(parser, "--cells", CELLS)
    add_choices(parser, "--variants", VARIANTS)
    arguments = parser.parse_args()
    there = DATASETS if arguments.report else at_hand(list(dict.fromkeys(map(dataset_of, arguments.cells))), arguments)
    runs = kept(arguments)
    for cell in (cell for cell in arguments.cells if dataset_of(cell) in there):
        for rate in arguments.rates:
            # Seed by seed, so that a cell stopped halfway has about as many runs of every variant.
            wanted = [Run(cell, rate, variant, seed) for seed in range(arguments.runs) for variant in arguments.variants]
            add(runs, wanted, arguments, figures)
            report(arguments, runs)


def dataset_of(cell: str) -> str:
    return cell.rpartition("-")[0]


@cache
def learning_rate_and_epochs(published: tuple[str, ...]) -> tuple[float, int]:
    from gas_cli.config.compose import compose_config

    config = compose_config(published)
    return config.optimizer.lr, config.trainer.epochs


def figures(folder: Path) -> dict[str, Any]:
    """Of one run, in %, with live and with averaged weights; seconds of the steps of an epoch; bytes of the method's tables; the gradient's
    bias, of all and of each weight matrix."""
    from gas_cli.report.recorder import read_metrics
    from gas_cli.report.summary import read_summary

    lines = [line for line in read_metrics(folder / "metrics.jsonl") if "test" in line]
    gradients = [line["monitor"]["gradient"] for line in lines if "monitor" in line]
    bias = [gradient["total"] for gradient in gradients]
    data = read_summary(folder / "summary.json")["memory"]["data"]
    steps = [sum(line["seconds"].get(phase, 0.0) for phase in ("batch", "pull", "compute", "push")) for line in lines]
    return {
        "epochs": len(lines),
        "live": curve([line["live"] for line in lines]),
        "averaged": curve(lines),
        "seconds": statistics.median(steps),
        "tables": sum(size for name, size in data.items() if name not in ("graph", "features")),
        "bias": statistics.fmean(bias) if bias and None not in bias else None,
        "bias_by_weight": by_weight([gradient["weights"] for gradient in gradients]),
    }


def by_weight(measured: Sequence[Mapping[str, float | None]]) -> dict[str, float]:
    """The mean bias of each weight matrix, in the order of the layers; of those whose gradient never vanished."""
    names = [name for name in (measured[0] if measured else {}) if "bias" not in name.rpartition(".")[2]]
    found = {name: [one[name] for one in measured] for name in names}
    return {name: statistics.fmean(values) for name, values in found.items() if None not in values}


def curve(lines: list[dict[str, Any]]) -> dict[str, Any]:
    """`best`: test accuracy at the best validation epoch; `mean` and `swing` of the second half; `climb`: (epoch, validation accuracy)
    of each epoch that was the best so far."""
    best, climb = 0.0, []
    for epoch, line in enumerate(lines, 1):
        if not climb or line["val"] > climb[-1][1]:
            climb.append((epoch, round(line["val"], 5)))
            best = line["test"]
    half = [100 * line["test"] for line in lines[len(lines) // 2 :]]
    return {"best": 100 * best, "mean": statistics.fmean(half), "swing": statistics.stdev(half) if len(half) > 1 else 0.0, "climb": climb}


def report(arguments: argparse.Namespace, runs: Mapping[str, dict[str, Any]]) -> None:
    """Every cell of which there are runs."""
    figures = {Run(**run["run"]): run["figures"] for run in runs.values()}
    rates = sorted({run.rate for run in figures}, reverse=True)
    places = [(cell, rate, variant, reading) for cell in CELLS for rate in rates for reading in READINGS for variant in VARIANTS]
    rows = [row for place in places if (row := describe(*place, figures))]
    notes = [
        "Test accuracy in %, ± the standard deviation over runs. `weights`: the run's own, or their mean over "
        f"{WINDOW} epochs, which is scored only. `second half`: mean over the second half of the epochs; `to full batch`: its "
        "difference to full batch with live weights for equal seeds, with the standard error; `swing`: standard deviation over these "
        "epochs within a run, averaged over the runs. `epochs to full batch`: median of the epoch at which a run first has the validation "
        "accuracy that full batch (live, the same seed) has at its best epoch, less 1; `s to full batch`: times the seconds of the steps "
        "of an epoch, on one core of a machine with other work. `tables`: histories and what else a method keeps of nodes. `bias` of an "
        "epoch's gradient, relative, in evaluation mode, mean over four epochs: of the whole, and of each matrix of weights from the first "
        "layer to the last. Earlier runs lack tables and the last of these.",
        f"Code: {', '.join(sorted({run['code'] for run in runs.values()}))}.",
    ]
    write_report(arguments.out, arguments.name, "Methods on small graphs", COLUMNS, rows, notes, trials=dict(runs))
    drawn = {name: gaps(1, *of, figures) for name, of in DRAWN.items()}
    draw_gaps(drawn, "second half of the epochs, test accuracy less full batch's, points", arguments.out / f"{arguments.name}.png")
    rows_of = [(rate, reading, variant) for rate in rates for reading in READINGS for variant in VARIANTS]
    short = [row for rate, reading, variant in rows_of if (row := summary(rate, variant, reading, figures))]
    write_report(arguments.out, f"{arguments.name}-summary", "Methods on small graphs, over all cells", SUMMARY, short, [SUMMARY_NOTE])
    alike = [row for rate, reading, variant in rows_of if rate == 1 and (row := summary(rate, variant, reading, figures, GCN_CELLS))]
    every = [row for row in alike if row["cells"] == len(GCN_CELLS)]
    write_report(arguments.out, f"{arguments.name}-gcn", "Methods with GCN, on the same seven graphs", SUMMARY, every, [SUMMARY_NOTE])


def describe(cell: str, rate: float, variant: str, reading: str, figures: Mapping[Run, dict[str, Any]]) -> dict[str, Any] | None:
    """A row from the finished runs; None without any."""

    mine = {run.seed: figure for run, figure in figures.items() if (run.cell, run.rate, run.variant) == (cell, rate, variant)}
    if not mine:
        return None
    curves = [figure[reading] for figure in mine.values()]
    pairs = pairs_of(cell, rate, variant, reading, figures)
    differences = [curve["mean"] - whole["mean"] for curve, whole in pairs]
    reached = [first_epoch(curve["climb"], whole["climb"][-1][1] - 0.01) for curve, whole in pairs]
    bias = [figure["bias"] for figure in mine.values() if figure["bias"] is not None]
    epochs = statistics.median(e for e in reached if e is not None) if reached and None not in reached else None
    seconds = statistics.median(figure["seconds"] for figure in mine.values())
    tables = [figure["tables"] for figure in mine.values() if "tables" in figure]
    return {
        "cell": cell,
        "rate": f"{rate:g}",
        "method": variant,
        "weights": reading,
        "best epoch": with_deviation([c["best"] for c in curves]),
        "second half": with_deviation([c["mean"] for c in curves]),
        "to full batch": with_error(differences) if differences and (variant, reading) != (FULL, "live") else "",
        "swing": f"{statistics.fmean(c['swing'] for c in curves):.2f}",
        "epochs to full batch": "" if epochs is None else f"{epochs:g}",
        "s per epoch": f"{seconds:.4f}",
        "s to full batch": "" if epochs is None else f"{epochs * seconds:.1f}",
        "tables, MiB": f"{statistics.fmean(tables) / MIB:.1f}" if tables else "",
        "bias": f"{statistics.fmean(bias):.3f}" if bias else "",
        "bias by weight": shown([figure["bias_by_weight"] for figure in mine.values() if figure.get("bias_by_weight")]),
        "runs": len(mine),
    }


def shown(biases: Sequence[Mapping[str, float]]) -> str:
    """Their means by weight, first to last; of many the first two and the last two."""
    if not biases:
        return ""
    means = [f"{statistics.fmean(of[name] for of in biases if name in of):.2f}" for name in biases[0]]
    return ", ".join(means if len(means) <= MANY else [*means[:2], "…", *means[-2:]])


def pairs_of(
    cell: str, rate: float, variant: str, reading: str, figures: Mapping[Run, dict[str, Any]]
) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """The curves of the variant's runs, each with that of full batch with live weights and the same seed."""
    mine, full = (
        {run.seed: figure for run, figure in figures.items() if (run.cell, run.rate, run.variant) == (cell, rate, name)}
        for name in (variant, FULL)
    )
    return [(mine[seed][reading], full[seed]["live"]) for seed in sorted(mine.keys() & full.keys())]


def gaps(rate: float, variant: str, reading: str, figures: Mapping[Run, dict[str, Any]]) -> dict[str, list[float]]:
    """By cell, in the order of `CELLS`: the second half less that of full batch."""
    pairs = {cell: pairs_of(cell, rate, variant, reading, figures) for cell in CELLS}
    return {cell: [one["mean"] - other["mean"] for one, other in of] for cell, of in pairs.items() if of}


def summary(
    rate: float, variant: str, reading: str, figures: Mapping[Run, dict[str, Any]], cells: Sequence[str] = CELLS
) -> dict[str, Any] | None:
    """A row over those of the `cells` that have runs of the variant and of full batch with equal seeds; None without any."""
    second, best, swings, whole_swings = {}, [], [], []
    for cell in cells:
        pairs = pairs_of(cell, rate, variant, reading, figures)
        if pairs:
            second[cell] = [one["mean"] - other["mean"] for one, other in pairs]
            best.append(statistics.fmean(one["best"] - other["best"] for one, other in pairs))
            swings.append(statistics.fmean(one["swing"] for one, _ in pairs))
            whole_swings.append(statistics.fmean(other["swing"] for _, other in pairs))
    if not second or (variant, reading) == (FULL, "live"):
        return None
    worst = min(second, key=lambda cell: statistics.fmean(second[cell]))
    return {
        "rate": f"{rate:g}",
        "method": variant,
        "weights": reading,
        "cells": len(second),
        "second half": with_error([statistics.fmean(of) for of in second.values()]),
        "worst cell": f"{with_error(second[worst])} ({worst})",
        "best epoch": with_error(best),
        "swing": f"{statistics.fmean(swings) / max(statistics.fmean(whole_swings), 1e-9):.2f}x",
    }


def first_epoch(climb: list[list[float]], wanted: float) -> float | None:
    """The first epoch with this validation accuracy; None where there is none."""
    return next((epoch for epoch, val in climb if val >= wanted), None)


if __name__ == "__main__":
    run_script(main)
