"""VR-GCN's published accuracy on the three citation graphs: both estimators, and full batch under the same settings.

    python -m scripts.vr_gcn --root DIR [--datasets cora citeseer pubmed] [--variants ...] [--runs 10] [--keep]

GCN of 2 layers, 32 hidden channels, dropout 0.5, weight decay 5e-4 on the first layer, lr 0.01, batches of 1,000 seeds, D = 2, public
split. With 140, 120 and 60 training nodes an epoch is one step. Run r has seed r.

A run has 200 epochs, and four numbers are read from it: where `trainer.patience=10` would have stopped it (to the last bit: nothing before
that epoch depends on it), where the rule of the released code would have, at the best validation epoch, and after the last epoch. The
released code stops where the validation loss is above its mean over the 10 epochs before, or after 200 epochs, and tests the weights of
that epoch: `evaluation.select=loss trainer.patience=10 trainer.patience_rule=mean`. Its loss has the term of the weight
decay, ours has not.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scripts.lib.command_line import STUDY, add_choices, make_parser, run_script
from scripts.lib.grown import add, kept
from scripts.lib.report import write_report
from scripts.lib.spread import with_deviation, with_error
from scripts.lib.study import Trial, at_hand

FULL = "full batch"
SAMPLED = ("method=vr_gcn", "method.neighbours=2", "method.batch_size=1000")
VARIANTS: dict[str, tuple[str, ...]] = {
    FULL: ("method=full_batch",),
    "VR-GCN, cv": (*SAMPLED, "method.estimator=cv"),
    "VR-GCN, cvd": (*SAMPLED, "method.estimator=cvd"),
}
PUBLISHED = {"cora": 82.0, "citeseer": 70.9, "pubmed": 78.7}
"""Test accuracy of VR-GCN in %; without deviations."""
SETTINGS = (
    "~tuned",
    "model=gcn",
    "model.num_layers=2",
    "model.hidden_channels=32",
    "model.dropout=0.5",
    "optimizer.lr=0.01",
    "optimizer.reg_weight_decay=0.0005",
    "optimizer.weight_decay=0",
    "trainer.epochs=200",
    "trainer.checkpoint_every=1000",
    "evaluation.select=loss",
)
PATIENCE = 10
WITHIN = 1.0
"""The target: points of accuracy."""
READINGS = {"stopped": "patience 10", "rule": "published rule", "best": "best epoch", "last": "last epoch"}
COLUMNS = ("dataset", "method", "read at", "published", "test", "difference", "within 1.0", "to full batch", "epochs", "runs")


@dataclass(frozen=True)
class Run:
    """One training."""

    dataset: str
    variant: str
    seed: int

    @property
    def trial(self) -> Trial:
        words = self.variant.replace(", ", "-").replace(" ", "-").lower()
        settings = (f"dataset={self.dataset}", *SETTINGS, *VARIANTS[self.variant], f"seed={self.seed}")
        return Trial(f"{self.dataset}-{words}-{self.seed}", settings)


def main() -> None:
    parser = make_parser(__doc__, *STUDY, name="vr-gcn")
    parser.add_argument("--runs", type=int, default=10, help="seeds per dataset and variant")
    add_choices(parser, "--datasets", PUBLISHED)
    add_choices(parser, "--variants", VARIANTS)
    arguments = parser.parse_args()
    there = arguments.datasets if arguments.report else at_hand(arguments.datasets, arguments)
    runs = kept(arguments)
    for dataset in there:
        # Seed by seed, so that a study stopped halfway has about as many runs of every variant.
        wanted = [Run(dataset, variant, seed) for seed in range(arguments.runs) for variant in arguments.variants]
        add(runs, wanted, arguments, figures)
        report(arguments, runs)


def figures(folder: Path) -> dict[str, tuple[float, int]]:
    """Test accuracy in % by reading, and the epoch of its weights."""
    from gas_cli.report.recorder import read_metrics

    return read([(line["val"], line["test"], line["eval_loss"]["val"]) for line in read_metrics(folder / "metrics.jsonl")])


def read(curve: Sequence[tuple[float, float, float]], patience: int = PATIENCE) -> dict[str, tuple[float, int]]:
    """The same from validation accuracy, test accuracy and validation loss by epoch.

    As in training, an epoch is better where its validation accuracy is higher.
    """
    best = max(range(len(curve)), key=lambda epoch: curve[epoch][0])  # the first of equal ones
    stopped = 0
    for epoch, (val, *_) in enumerate(curve):
        if epoch > stopped + patience:
            break
        if val > curve[stopped][0]:
            stopped = epoch
    places = {"stopped": stopped, "rule": rule_stops([loss for *_, loss in curve], patience), "best": best, "last": len(curve) - 1}
    return {name: (100 * curve[at][1], at + 1) for name, at in places.items()}


def rule_stops(losses: Sequence[float], count: int) -> int:
    """The epoch, from 0 on, at which the released code's rule stops; the last one where it does not."""
    from gas_cli.config.metrics import LOSS, metric_kind
    from gas_cli.training.patience import worse_than_mean

    ends = (end for end in range(1, len(losses) + 1) if worse_than_mean(losses[:end], count, metric_kind(LOSS)))
    return next(ends, len(losses)) - 1


def report(arguments: argparse.Namespace, runs: Mapping[str, dict[str, Any]]) -> None:
    """Every dataset and variant of which there are runs."""
    found = {Run(**run["run"]): run["figures"] for run in runs.values()}
    places = [(dataset, variant, reading) for dataset in PUBLISHED for reading in READINGS for variant in VARIANTS]
    rows = [row for place in places if (row := describe(*place, found))]
    notes = [
        "Test accuracy in %, ± the standard deviation over runs. `read at`: where `trainer.patience=10` stops (at the best validation "
        "epoch until then), where the released code's rule stops (the validation loss is above its mean over the 10 epochs before), at "
        "the best validation epoch of 200, after 200 epochs. `to full batch`: difference for equal seeds, with the standard error. "
        f"`epochs`: median epoch of the weights. Published without deviations; the target is {WITHIN:.1f}.",
        f"Code: {', '.join(sorted({run['code'] for run in runs.values()}))}.",
    ]
    write_report(arguments.out, arguments.name, "VR-GCN on citation graphs", COLUMNS, rows, notes, trials=dict(runs))


def describe(dataset: str, variant: str, reading: str, found: Mapping[Run, Mapping[str, Sequence[float]]]) -> dict[str, Any] | None:
    """A row from the finished runs; None without any."""

    def by_seed(variant: str) -> dict[int, Sequence[float]]:
        mine = {run.seed: of for run, of in found.items() if (run.dataset, run.variant) == (dataset, variant)}
        return {seed: of[reading] for seed, of in mine.items() if reading in of}  # earlier reports lack the rule

    mine, full, published = by_seed(variant), by_seed(FULL), PUBLISHED[dataset]
    if not mine:
        return None
    tests = [test for test, _ in mine.values()]
    gap = statistics.fmean(tests) - published
    pairs = [test - full[seed][0] for seed, (test, _) in mine.items() if seed in full]
    return {
        "dataset": dataset,
        "method": variant,
        "read at": READINGS[reading],
        "published": f"{published:.1f}",
        "test": with_deviation(tests),
        "difference": f"{gap:+.2f}",
        "within 1.0": "yes" if abs(gap) <= WITHIN else "no",
        "to full batch": with_error(pairs) if pairs and variant != FULL else "",
        "epochs": f"{statistics.median(epoch for _, epoch in mine.values()):g}",
        "runs": len(mine),
    }


if __name__ == "__main__":
    run_script(main)
