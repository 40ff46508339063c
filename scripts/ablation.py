"""What each part of the method is worth: parts, refresh, regularisation and the weighting of the loss, one at a time.

    python -m scripts.ablation --root DIR [--runs 5] [--cases gcnii-cora appnp-cora gin-cluster ...] [--graphs 240]

Deep models, where histories pass through many layers, with the published hyper-parameters of the pair but for the one thing varied; and GIN
on CLUSTER, which tells apart only what is computed exactly enough. CLUSTER has 12,000 graphs as published; `--graphs` of them are drawn.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from scripts.lib.command_line import STUDY, make_parser, run_script
from scripts.lib.report import write_report
from scripts.lib.spread import with_deviation, with_error
from scripts.lib.study import Trial, codes, records, run_trials

COLUMNS = ("case", "variant", "test", "to published settings", "paper", "runs")
STEPS_PER_EPOCH = 39
"""On CLUSTER: 10,000 parts, 256 per step, as published. Fewer graphs get fewer parts, in as many steps."""
GRAPHS_PER_PART = 1.2

# One change each to the published settings of a pair, which are: METIS, refresh after every epoch, batches weighted alike.
PAIR_VARIANTS = {
    "full batch": ("method=full_batch",),
    "GAS, published settings": (),
    "random parts": ("partitioner=random",),
    "never refreshed": ("history.refresh=null",),
    "random parts, never refreshed": ("partitioner=random", "history.refresh=null"),
    "no weight decay, no clipping": ("optimizer.reg_weight_decay=0", "optimizer.weight_decay=0", "optimizer.grad_norm=null"),
    "local Lipschitz regularisation": ("trainer.lipschitz.weight=1", "trainer.lipschitz.noise=0.1"),
    "loss weighted by training nodes": ("trainer.loss_weighting=full_batch",),
}
CLUSTER_VARIANTS = {
    "full batch": ("method=full_batch", "trainer.lipschitz.weight=0"),
    "GAS, published settings": (),
    "no regularisation": ("trainer.lipschitz.weight=0",),
    "random parts": ("partitioner=random",),
    "random parts, no regularisation": ("partitioner=random", "trainer.lipschitz.weight=0"),
}


@dataclass(frozen=True)
class Case:
    """`paper` are the percentages of others' random parts and METIS parts, by variant (paper/tables: PGL's re-implementation)."""

    settings: tuple[str, ...]
    variants: dict[str, tuple[str, ...]] = field(default_factory=lambda: PAIR_VARIANTS)
    paper: dict[str, float] = field(default_factory=dict)


PAIRS = {
    "appnp-cora": Case(("dataset=cora", "model=appnp"), paper={"GAS, published settings": 83.94, "random parts": 79.62}),
    "appnp-citeseer": Case(("dataset=citeseer", "model=appnp"), paper={"GAS, published settings": 71.58, "random parts": 70.35}),
    "appnp-amazon-photo": Case(("dataset=amazon-photo", "model=appnp")),
    "gcnii-cora": Case(("dataset=cora", "model=gcnii"), paper={"GAS, published settings": 83.91, "random parts": 81.36}),
    "gcnii-citeseer": Case(("dataset=citeseer", "model=gcnii"), paper={"GAS, published settings": 70.06, "random parts": 70.96}),
}


def main() -> None:
    parser = make_parser(__doc__, *STUDY, name="ablation")
    parser.add_argument("--runs", type=int, default=5, help="seeds per variant")
    parser.add_argument("--cases", nargs="+", default=[*PAIRS, "gin-cluster"], choices=[*PAIRS, "gin-cluster"])
    parser.add_argument(
        "--graphs", type=int, default=240, help="graphs of CLUSTER (published: 12000), a tenth each for validation and test"
    )
    arguments = parser.parse_args()
    cases = {name: PAIRS.get(name) or cluster(arguments.graphs) for name in arguments.cases}
    summaries = run_trials(trials(cases, arguments.runs), arguments)
    rows = [row for name, case in cases.items() for row in compare(name, case, arguments.runs, summaries)]
    notes = (
        "`to published settings` pairs equal seeds, with its standard error. `paper`: METIS and random parts as measured by another "
        "re-implementation (PaddlePaddle PGL), which is not ours and not the authors'.",
        f"Code: {', '.join(codes(arguments.work, summaries))}.",
    )
    write_report(arguments.out, "ablation", "Ablation: test accuracy in %", COLUMNS, rows, notes, trials=records(arguments, summaries))


def cluster(graphs: int) -> Case:
    held_out = max(1, graphs // 12)
    num_parts = max(STEPS_PER_EPOCH, round(graphs / GRAPHS_PER_PART))
    settings = (
        "dataset=cluster",
        "model=gin",
        f"dataset.num_train_graphs={graphs - 2 * held_out}",
        f"dataset.num_val_graphs={held_out}",
        f"dataset.num_test_graphs={held_out}",
        f"partitioner.num_parts={num_parts}",
        f"trainer.batch_parts={-(-num_parts // STEPS_PER_EPOCH)}",
    )
    return Case(settings, CLUSTER_VARIANTS)


def trials(cases: dict[str, Case], runs: int) -> list[Trial]:
    """Seed by seed, so that a study stopped halfway has about as many runs of every variant."""
    return [
        Trial(trial_name(name, variant, seed), (*case.settings, *changes, f"seed={seed}", "trainer.checkpoint_every=100"))
        for seed in range(runs)
        for name, case in cases.items()
        for variant, changes in case.variants.items()
    ]


def trial_name(case: str, variant: str, seed: int) -> str:
    return f"{case}-{variant.replace(',', '').replace(' ', '-')}-{seed}"


def compare(name: str, case: Case, runs: int, summaries: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """One row per variant with a finished run."""
    tests = {
        variant: {seed: 100 * summaries[key]["test"] for seed in range(runs) if (key := trial_name(name, variant, seed)) in summaries}
        for variant in case.variants
    }
    reference = tests["GAS, published settings"]
    return [row(name, variant, values, reference, case.paper.get(variant)) for variant, values in tests.items() if values]


def row(case: str, variant: str, values: dict[int, float], reference: dict[int, float], paper: float | None) -> dict[str, Any]:
    gaps = [value - reference[seed] for seed, value in values.items() if seed in reference]
    return {
        "case": case,
        "variant": variant,
        "test": with_deviation(list(values.values())),
        "to published settings": with_error(gaps) if gaps and values is not reference else "",
        "paper": paper,
        "runs": len(values),
        "tests": list(values.values()),
    }


if __name__ == "__main__":
    run_script(main)
