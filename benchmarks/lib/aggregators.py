"""The ways to aggregate neighbours that benchmarks.aggregation times: one forward and one backward pass each, of the same function."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from gas_cli.ops.csr import CSR

PNA = ("mean", "min", "max", "std")
AGGREGATIONS: dict[str, tuple[str, ...]] = {"weighted sum": ("sum",), "mean": ("mean",), "max": ("max",), "min": ("min",), "PNA's set": PNA}

Step = Callable[[], tuple[Tensor, Tensor]]
"""Returns the output and the gradient of x."""


class Missing(Exception):
    """A library that this variant needs is not installed."""


@dataclass(frozen=True)
class Case:
    """`adj` [N, N] (its weights are only those of the sum), rows `x` [N, C], and `grad` [N, A·C] of the A `aggregators`' outputs."""

    adj: CSR
    x: Tensor
    grad: Tensor
    aggregators: tuple[str, ...]

    @cached_property
    def edge_index(self) -> Tensor:
        """int64 [2, E], sources first."""
        target = torch.repeat_interleave(torch.arange(self.adj.num_rows, device=self.adj.device), self.adj.rowptr.diff())
        return torch.stack([self.adj.col.long(), target])

    def step(self, forward: Callable[[Tensor], Tensor]) -> Step:
        rows = self.x.detach().requires_grad_()

        def step() -> tuple[Tensor, Tensor]:
            out = forward(rows)
            return out.detach(), torch.autograd.grad(out, rows, self.grad)[0]

        return step


def make_case(adj: CSR, aggregators: tuple[str, ...], channels: int) -> Case:
    """Rows of distinct values, channel by channel: where two neighbours tie for the largest, libraries share its gradient differently."""
    generator = torch.Generator().manual_seed(0)
    ranks = torch.stack([torch.randperm(adj.num_rows, generator=generator) for _ in range(channels)], dim=1)
    x = 4 * ranks / adj.num_rows - 2
    grad = torch.randn(adj.num_rows, channels * len(aggregators), generator=generator)
    return Case(adj, x.to(adj.device), grad.to(adj.device), aggregators)


def ours(case: Case) -> Step:
    """As a step of full batch calls it. Of a symmetric matrix the backward pass of a sum reads the matrix itself."""
    from gas_cli.ops.reduce import aggregate

    if case.aggregators == ("sum",):
        return summed(case, case.adj)
    adj, count = case.adj, len(case.aggregators)
    nobody = CSR(torch.zeros_like(adj.rowptr), adj.col[:0], adj.value[:0], 0)
    return case.step(lambda x: aggregate(adj, nobody, x.repeat(1, count), x.new_empty(0, x.shape[1] * count), case.aggregators).flatten(1))


def ours_directed(case: Case) -> Step:
    """As for a matrix that is not known to be symmetric: the backward pass is the product with its transpose, by rows of the result."""
    return summed(case, CSR(case.adj.rowptr, case.adj.col, case.adj.value, case.adj.num_cols))


def summed(case: Case, adj: CSR) -> Step:
    """The weighted sum over `adj` and no halo."""
    from gas_cli.ops.aggregate import aggregate

    nobody = CSR(torch.zeros_like(adj.rowptr), adj.col[:0], adj.value[:0], 0)
    return case.step(lambda x: aggregate(adj, nobody, x, x.new_empty(0, x.shape[1]), None))


def torch_sparse(case: Case) -> Step:
    """`matmul` of torch-sparse; its transpose, too, is made in the warm-up and kept."""
    try:
        from torch_sparse import SparseTensor, matmul
    except ImportError as error:
        raise Missing("torch-sparse is not installed") from error
    adj = SparseTensor(rowptr=case.adj.rowptr, col=case.adj.col.long(), value=case.adj.value, sparse_sizes=case.adj.shape)
    return case.step(lambda x: matmul(adj, x))


def torch_csr(case: Case) -> Step:
    """torch's own sparse matrices."""
    arrays: tuple[Any, ...] = (case.adj.rowptr.int(), case.adj.col, case.adj.value)
    matrix = torch.sparse_csr_tensor(*arrays, size=case.adj.shape, check_invariants=False)
    return case.step(lambda x: matrix @ x)


def pyg(case: Case) -> Step:
    """PyG's message passing on `edge_index`: a message for every edge."""
    from torch_geometric.nn import SimpleConv

    names = list(case.aggregators)
    conv = SimpleConv(aggr=names if len(names) > 1 else names[0])
    weight = case.adj.value if names == ["sum"] else None
    return case.step(lambda x: conv(x, case.edge_index, weight))


SUMS: dict[str, Callable[[Case], Step]] = {
    "ours": ours, "ours, transpose": ours_directed, "torch-sparse": torch_sparse, "torch.sparse CSR": torch_csr, "pyg": pyg,
}  # fmt: skip
OTHERS: dict[str, Callable[[Case], Step]] = {"ours": ours, "pyg": pyg}


def check_equal(name: str, found: tuple[Tensor, Tensor], expected: tuple[Tensor, Tensor]) -> None:
    """What is compared computes the same: raises SystemExit where outputs or gradients differ by more than round-off."""
    for what, one, other in zip(("output", "gradient"), found, expected, strict=True):
        difference, size = float((one - other).abs().max()), float(other.abs().max())
        if not difference <= 1e-3 * size:
            raise SystemExit(f"benchmarks.aggregation: the {what} of {name} differs by {difference:.2e} where values reach {size:.2e}.")
