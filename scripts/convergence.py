"""How many epochs, and how much time, a method needs until it is as accurate as full batch, on a large generated graph.

    python -m scripts.convergence [--steps 2 8] [--variants ...] [--runs 2] [--rounds 5] [--keep]

LMC's paper has such numbers of GCN on ogbn-arxiv. Here a generated graph stands in for it: the same degree, features, classes and split,
but fewer nodes, and communities and features so weak that full batch itself needs many epochs. Ratios to GAS are compared, not accuracies.

All runs of a seed have the same target: the best validation accuracy of full batch's first 150 epochs, minus 0.5 points. The epoch that
reaches it does not depend on the machine's load. What an epoch costs is measured at the end, for all variants in turns, in seconds of the
processor. The report is written after each run and holds what it needs of it, so that `--keep` goes on from the committed report on another
machine.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scripts.lib.command_line import STUDY, add_choices, make_parser, run_script
from scripts.lib.grown import add, kept
from scripts.lib.report import read, write_report
from scripts.lib.spread import with_deviation
from scripts.lib.study import Trial

FULL, GAS = "full batch", "GAS"
HISTORIES = ("method=gas", "method.gradients=history")
VARIANTS: dict[str, tuple[str, ...]] = {
    FULL: ("method=full_batch",),
    GAS: ("method=gas", "trainer.loss_weighting=batch_mean"),
    "GAS, weighted loss": ("method=gas",),
    "gradient histories": HISTORIES,
    "gradient histories, an update per 2 batches": (*HISTORIES, "trainer.accumulate=2"),
    "gradient histories, an update per epoch": (*HISTORIES, "trainer.accumulate=epoch"),
    "gradient histories, measured trust, an update per epoch": (*HISTORIES, "method.trust=measured", "trainer.accumulate=epoch"),
    "LMC, α 1 constant": ("method=lmc", "method.alpha=1", "method.score=constant"),
    "LMC, α 0.8 concave": ("method=lmc",),
    "GraphFM-OB, γ 0.1": ("method=graphfm", "trainer.loss_weighting=batch_mean"),
    "Cluster-GCN": ("method=cluster_gcn", "trainer.loss_weighting=batch_mean"),
    "sampling, 10 neighbours": ("method=sampling", "method.neighbours=[10,10,10]"),
}
MEASURED = "gradient histories, measured trust, an update per epoch"
TWO_PER_EPOCH = "gradient histories, an update per 2 batches"
OF_STEPS: dict[int, tuple[str, ...]] = {
    2: tuple(variant for variant in VARIANTS if variant != TWO_PER_EPOCH),  # with 2 batches, it is an update per epoch
    8: (FULL, GAS, "gradient histories", TWO_PER_EPOCH, "gradient histories, an update per epoch", MEASURED),
}
"""The variants by the number of batches per epoch; full batch has one, and is trained once for all."""
PUBLISHED = {FULL: None, GAS: (176, 79, 452), "LMC, α 1 constant": (124, 55, 557), "GraphFM-OB, γ 0.1": (152, 115, 460)}
PUBLISHED |= {"Cluster-GCN": (211, 108, 424)}
"""Epochs, seconds and MB until full batch's accuracy: GCN on ogbn-arxiv, LMC's paper."""

NODES, PARTS, TRAIN = 20_000, 80, 0.54
GRAPH = (
    "dataset=generated",
    f"dataset.num_nodes={NODES}",
    "dataset.average_degree=13.67",
    "dataset.num_communities=40",
    "dataset.num_features=128",
    "dataset.mixing=0.3",
    "dataset.feature_noise=4",
    f"dataset.train_fraction={TRAIN}",
    "dataset.val_fraction=0.18",
)
"""ogbn-arxiv's degree, features, classes and split. Mixing and noise were chosen by trials (docs/log.md)."""
MODEL = (
    "model=gcn",
    "model.num_layers=3",
    "model.hidden_channels=128",
    "model.dropout=0.5",
    "model.drop_input=false",
    "optimizer.lr=0.01",
    "optimizer.reg_weight_decay=0",
)
"""The published GCN of ogbn-arxiv, half as wide and without batch norm, which LMC refuses."""
EPOCHS, TARGET_EPOCHS = 300, 150
"""Of every run, and of full batch until its best validation accuracy sets the target."""
TOLERANCE = 0.005
COLUMNS = (
    "steps per epoch",
    "method",
    "epochs to target",
    "to GAS",
    "paper",
    "epochs to its best",
    "processor s per epoch",
    "processor s to target",
    "s to GAS",
    "paper s",
    "best epoch",
    "second half",
    "swing",
    "step, MiB",
    "MiB to GAS",
    "paper MB",
    "runs",
)


@dataclass(frozen=True)
class Run:
    """One training with so many batches per epoch; full batch has one, whatever the others have."""

    steps: int
    variant: str
    seed: int

    @property
    def settings(self) -> tuple[str, ...]:
        return (*GRAPH, *MODEL, *VARIANTS[self.variant], *self._batches, f"trainer.epochs={EPOCHS}")

    @property
    def trial(self) -> Trial:
        words = self.variant.replace("α", "alpha").replace("γ", "gamma").replace(", ", "-").replace(" ", "-")
        return Trial(f"{self.steps}-{words}-{self.seed}", (*self.settings, f"seed={self.seed}", "trainer.checkpoint_every=50"))

    @property
    def _batches(self) -> tuple[str, ...]:
        if self.variant == FULL:
            return ()
        if self.variant.startswith("sampling"):  # its evaluation has the whole graph, as full batch's
            return (f"method.batch_size={-(-round(TRAIN * NODES) // self.steps)}",)
        return (f"partitioner.num_parts={PARTS}", f"trainer.batch_parts={PARTS // self.steps}")


def main() -> None:
    parser = make_parser(__doc__, *(option for option in STUDY if option != "--jobs"), name="convergence", rounds=5)
    parser.set_defaults(jobs=0)  # one run at a time, on one core
    parser.add_argument("--runs", type=int, default=2, help="seeds per variant")
    parser.add_argument("--steps", nargs="+", type=int, choices=OF_STEPS, default=list(OF_STEPS), help="batches per epoch")
    add_choices(parser, "--variants", VARIANTS)
    arguments = parser.parse_args()
    runs, wanted = kept(arguments), chosen(arguments)
    for run in wanted:
        add(runs, [run], arguments, figures)
        report(arguments, runs)
    report(arguments, runs, with_costs=True)


def chosen(arguments: argparse.Namespace) -> list[Run]:
    """Seed by seed, so that a study stopped halfway has about as many runs of every variant; full batch first, which says the target."""
    every = [
        Run(1 if variant == FULL else steps, variant, seed)
        for seed in range(arguments.runs)
        for steps in arguments.steps
        for variant in OF_STEPS[steps]
        if variant in arguments.variants
    ]
    return list(dict.fromkeys(every))


def figures(folder: Path) -> dict[str, Any]:
    """Of one run, accuracies in %: `best`: test at the best validation epoch; `mean` and `swing` of the second half's tests; `climb`:
    (epoch, validation accuracy, seconds of training steps so far, of the wall clock) of each epoch that was the best so far."""
    from gas_cli.report.recorder import read_metrics

    climb: list[tuple[int, float, float]] = []
    seconds, best, lines = 0.0, 0.0, read_metrics(folder / "metrics.jsonl")
    for line in lines:
        seconds += sum(line["seconds"].get(phase, 0.0) for phase in ("batch", "pull", "compute", "push"))
        if not climb or line["val"] > climb[-1][1]:
            climb.append((line["epoch"], round(line["val"], 5), round(seconds, 3)))
            best = line["test"]
    half = [100 * line["test"] for line in lines[len(lines) // 2 :]]
    swing = statistics.stdev(half) if len(half) > 1 else 0.0
    return {"epochs": len(lines), "best": 100 * best, "mean": statistics.fmean(half), "swing": swing, "climb": climb}


def costs(arguments: argparse.Namespace, present: Iterable[Run]) -> dict[tuple[int, str], dict[str, Any]]:
    """Processor seconds of an epoch and bytes of a step by (steps, variant): what the report in --out has of these settings, else measured
    anew, all of them in turns."""
    from scripts.lib.epoch_cost import measure

    wanted = {(run.steps, run.variant): [*run.settings, *arguments.set] for run in present}
    known = earlier_costs(arguments)
    if arguments.report or all(key in known and known[key]["settings"] == settings for key, settings in wanted.items()):
        return known
    words = {f"{steps} {variant}": (steps, variant) for steps, variant in wanted}
    measured = measure({name: wanted[key] for name, key in words.items()}, arguments.rounds)
    return {key: {"settings": wanted[key], **measured[name]} for name, key in words.items()}


def earlier_costs(arguments: argparse.Namespace) -> dict[tuple[int, str], dict[str, Any]]:
    """Those of the report in --out."""
    try:
        found = read(arguments.name, arguments.out).get("costs", [])
    except OSError:  # no report yet
        return {}
    return {(cost.pop("steps"), cost.pop("variant")): cost for cost in found}


def report(arguments: argparse.Namespace, runs: Mapping[str, dict[str, Any]], with_costs: bool = False) -> None:
    """What there is of every variant. Costs are measured where they are wanted, and else those of the report in --out."""
    found = {Run(**run["run"]): run["figures"] for run in runs.values()}
    known = costs(arguments, found) if with_costs else earlier_costs(arguments)
    places = [(steps, variant) for steps, variants in OF_STEPS.items() for variant in variants]
    rows = [row for place in places if (row := describe(*place, found, known))]
    notes = [
        f"GCN of 3 layers of 128 on a generated graph of {NODES:,} nodes, {PARTS} parts, {EPOCHS} epochs. `epochs to target`: the first "
        f"epoch with the best validation accuracy of the first {TARGET_EPOCHS} epochs of full batch (the same seed) minus "
        f"{100 * TOLERANCE:g} points; the median of the seeds, in brackets each of them; `>{EPOCHS}`: not reached. `epochs to its best`: "
        "the same with the best of all epochs of full batch. `to GAS`: the ratio of the medians. `paper`: the same ratios in LMC's paper, "
        "for GCN on ogbn-arxiv.",
        "Processor seconds: the training steps of an epoch on one thread, with building the batches, without evaluation; the least of some "
        "rounds in which all variants take turns. To the target: times its epochs. Test accuracy in %, ± the standard deviation over "
        "seeds. `second half`: mean over the second half of the epochs; `swing`: standard deviation over these epochs within a run. "
        "`step`: the tensors of the largest step, with its batch, without the tables of histories.",
        f"Code: {', '.join(sorted({run['code'] for run in runs.values()})) or 'nothing was trained'}.",
    ]
    kept_costs = [{"steps": steps, "variant": variant, **cost} for (steps, variant), cost in known.items()]
    write_report(
        arguments.out, arguments.name, "Epochs to full batch's accuracy", COLUMNS, rows, notes, trials=dict(runs), costs=kept_costs
    )


def describe(
    steps: int, variant: str, figures: Mapping[Run, dict[str, Any]], costs: Mapping[tuple[int, str], Mapping[str, Any]]
) -> dict[str, Any] | None:
    """A row from the finished runs; None without any."""

    def key(variant: str) -> tuple[int, str]:
        return (1 if variant == FULL else steps, variant)

    def of(variant: str) -> dict[int, dict[str, Any]]:
        return {run.seed: figure for run, figure in figures.items() if (run.steps, run.variant) == key(variant)}

    mine, full = of(variant), of(FULL)
    if not mine:
        return None
    epochs = reached(mine, full)
    here, there = middle(epochs), middle(reached(of(GAS), full))
    cost, other = costs.get(key(variant)), costs.get(key(GAS))
    paper, gas = PUBLISHED.get(variant), PUBLISHED[GAS]
    row: dict[str, Any] = {
        "steps per epoch": key(variant)[0],
        "method": variant,
        "epochs to target": listed(epochs),
        "epochs to its best": listed(reached(mine, full, EPOCHS)),
        "to GAS": ratio(here, there),
        "best epoch": with_deviation([figure["best"] for figure in mine.values()]),
        "second half": with_deviation([figure["mean"] for figure in mine.values()]),
        "swing": f"{statistics.fmean(figure['swing'] for figure in mine.values()):.2f}",
        "runs": len(mine),
    }
    if cost is not None:
        row["processor s per epoch"] = f"{cost['seconds']:.3f}"
        row["step, MiB"] = f"{cost['step_bytes'] / 2**20:.0f}"
        if here is not None:
            row["processor s to target"] = f"{here * cost['seconds']:.1f}"
        if other is not None:
            row["MiB to GAS"] = ratio(cost["step_bytes"], other["step_bytes"])
            row["s to GAS"] = ratio(here and here * cost["seconds"], there and there * other["seconds"])
    if steps == 2 and paper and gas:
        row |= {name: ratio(mine, its) for name, mine, its in zip(("paper", "paper s", "paper MB"), paper, gas, strict=True)}
    return row


def reached(mine: Mapping[int, dict[str, Any]], full: Mapping[int, dict[str, Any]], last: int = TARGET_EPOCHS) -> list[float | None]:
    """For each seed that full batch has too: the first epoch with its best accuracy up to epoch `last`, minus the tolerance, or None."""
    targets = {seed: max(val for epoch, val, _ in whole["climb"] if epoch <= last) - TOLERANCE for seed, whole in full.items()}
    return [
        next((epoch for epoch, val, _ in figure["climb"] if val >= targets[seed]), None)
        for seed, figure in sorted(mine.items())
        if seed in targets
    ]


def middle(epochs: list[float | None]) -> float | None:
    """The median; None where some never got there, or without any."""
    numbers = [epoch for epoch in epochs if epoch is not None]
    return statistics.median(numbers) if numbers and len(numbers) == len(epochs) else None


def listed(epochs: list[float | None]) -> str:
    """The median and each of them."""
    return f"{shown(middle(epochs))} ({', '.join(map(shown, epochs))})" if epochs else ""


def shown(epoch: float | None) -> str:
    return f">{EPOCHS}" if epoch is None else f"{epoch:g}"


def ratio(mine: float | None, other: float | None) -> str:
    return f"{mine / other:.2f}x" if mine is not None and other else ""


if __name__ == "__main__":
    run_script(main)
