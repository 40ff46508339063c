"""What the measurements are to reach, and whether they do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Rows = list[dict[str, Any]]
Measure = Callable[[Rows], float | None]
"""From a result's rows; None where they lack what it needs."""


@dataclass(frozen=True)
class Target:
    """`limit` is the most that `measure` may give, or with `at_least` the least."""

    what: str
    result: str
    limit: float
    measure: Measure
    at_least: bool = False

    def met(self, value: float) -> bool:
        return value >= self.limit if self.at_least else value <= self.limit


def row_of(rows: Rows, **wanted: str) -> dict[str, Any] | None:
    return next((row for row in rows if all(row.get(key) == value for key, value in wanted.items())), None)


def epoch(case: str, against: str, variant: str = "gas") -> Measure:
    """Seconds of an epoch, to those of another variant in the same round."""

    def measure(rows: Rows) -> float | None:
        row = row_of(rows, case=case, variant=variant)
        return None if row is None else row.get(f"ratio_to_{against}")

    return measure


def memory(case: str, against: str) -> Measure:
    """Peak memory of GAS, to that of another variant."""

    def measure(rows: Rows) -> float | None:
        found = [row_of(rows, case=case, variant=variant) for variant in ("gas", against)]
        return None if found[0] is None or found[1] is None else found[0]["peak_memory"] / found[1]["peak_memory"]

    return measure


def of_gas(case: str, share: Callable[[dict[str, Any]], float | None]) -> Measure:
    """A share that GAS' own row of a case tells."""

    def measure(rows: Rows) -> float | None:
        row = row_of(rows, case=case, variant="gas")
        return share(row) if row is not None and "building" in row else None

    return measure


def preparation(row: dict[str, Any]) -> float | None:
    """None where METIS did not run, since its partition was at hand."""
    seconds = row["prepared"]
    return float((seconds["metis"] + seconds["rest"] + row["building"]) / seconds["metis"]) if seconds["metis"] else None


def growth(per: Callable[[dict[str, Any]], float]) -> Measure:
    """From the smallest graph to the largest."""
    return lambda rows: None if len(rows) < 2 else per(rows[-1]) / per(rows[0])


def aggregation(value: Callable[[dict[str, Any]], float], variant: str) -> Measure:
    """Of the weighted sum with nodes in the order of parts."""

    def measure(rows: Rows) -> float | None:
        row = row_of(rows, aggregation="weighted sum", order="parts", variant=variant)
        return None if row is None else value(row)

    return measure


def share_of_floor(row: dict[str, Any]) -> float:
    return float(row["floor"] / row["median"] / row["bandwidth"])


def attention(rows: Rows) -> float | None:
    """The hidden layer of GAT."""
    row = row_of(rows, graph="arxiv-size", layer="8 heads of 8")
    return None if row is None else row["ratio"]


def resident(case: str, value: Callable[[dict[str, Any]], float]) -> Measure:
    """Of a graph of the published size."""

    def measure(rows: Rows) -> float | None:
        row = next((row for row in rows if row["case"] == case and row["scale"] == 1), None)
        return None if row is None else value(row)

    return measure


EPOCH = "epoch-time-cpu"
TARGETS = (
    Target("GAS epoch, GCN 3x256 at ogbn-arxiv's size, to PyG full batch on edge_index", EPOCH, 0.18, epoch("arxiv-size gcn", "pyg")),
    Target("the same to PyG full batch on SparseTensor", EPOCH, 0.45, epoch("arxiv-size gcn", "pyg-sparse-tensor")),
    Target("the same with 10 parts per step", EPOCH, 0.55, epoch("arxiv-size gcn, 10 parts", "pyg-sparse-tensor")),
    Target("GAS epoch to our own full batch", EPOCH, 1.1, epoch("arxiv-size gcn", "full_batch")),
    *(
        Target(f"GAS epoch, {name} at ogbn-arxiv's size, to PyG on edge_index", EPOCH, 0.4, epoch(f"arxiv-size {name}", "pyg"))
        for name in ("gcnii", "gat", "gin", "sage", "pna")
    ),
    *(
        Target(f"GAS epoch, GCN on {name}, to PyG on edge_index", EPOCH, limit, epoch(f"{name} gcn", "pyg"))
        for name, limit in (("coauthor-physics", 0.05), ("coauthor-cs", 0.05), ("cora", 0.3), ("citeseer", 0.3), ("amazon-photo", 0.3))
    ),
    *(
        Target(f"peak memory of GAS, GCN on {name}, to PyG's", EPOCH, 0.3, memory(f"{name} gcn", "pyg"))
        for name in ("coauthor-physics", "coauthor-cs")
    ),
    Target("GAS epoch, GCNII with 64 layers on cora, to PyG on edge_index", EPOCH, 0.6, epoch("cora gcnii, 64 layers", "pyg")),
    Target(
        "building an epoch's batches, to the epoch (10 of 80 parts per step)", EPOCH, 0.05,
        of_gas("arxiv-size gcn, 10 parts", lambda row: float(row["building"] / row["seconds"])),
    ),
    Target("METIS, permutation and building, to METIS only", EPOCH, 1.5, of_gas("arxiv-size gcn", preparation)),
    Target(
        "exact evaluation, to a training epoch", EPOCH, 1.0,
        of_gas("arxiv-size gcn", lambda row: float(row["evaluation"]["exact"] / row["seconds"])),
    ),
    Target(
        "evaluation from histories, to a training epoch (3 layers)", EPOCH, 1 / 3,
        of_gas("arxiv-size gcn", lambda row: float(row["evaluation"]["history"] / row["seconds"])),
    ),
    Target("seconds per edge at 8x, to 1x", "growth-cpu", 1.15, growth(lambda row: float(row["seconds"] / row["edges"]))),
    Target("memory of a step at 8x, to 1x", "growth-cpu", 1.05, growth(lambda row: float(row["step_memory"]))),
    Target(
        "torch-sparse's weighted sum and gradient, to ours", "aggregation-cpu", 3.0,
        aggregation(lambda row: float(row["times_ours"]), "torch-sparse"), at_least=True,
    ),
    Target(
        "our weighted sum and gradient: share of the bandwidth floor", "aggregation-cpu", 0.7,
        aggregation(share_of_floor, "ours"), at_least=True,
    ),
    Target(
        "peak resident memory at ogbn-arxiv's size, to graph, features, histories, one step and its batch", "resident-memory", 1.2,
        resident("arxiv-size", lambda row: float(row["ratio"])),
    ),
    Target(
        "GiB in all, METIS included: raw files of ogbn-products' size, loaded and trained on for an epoch", "resident-memory", 24.0,
        resident("products-size", lambda row: float(row["total"] / 2**30)),
    ),
    Target("graph attention, forward and backward, to PyG's", "attention-cpu", 1 / 3, attention),
)  # fmt: skip


def table(results: dict[str, Rows]) -> str:
    """Every target with what was measured; `results` has the rows of those that are there."""
    lines = ["| what | target | measured | met |", "|---|---|---|---|"]
    for target in TARGETS:
        value = target.measure(results[target.result]) if target.result in results else None
        goal = f"{'at least' if target.at_least else 'at most'} {target.limit:.2f}"
        measured = ("–", "not measured") if value is None else (f"{value:.2f}", "yes" if target.met(value) else "no")
        lines.append(f"| {target.what} | {goal} | {' | '.join(measured)} |")
    return "\n".join(lines)
