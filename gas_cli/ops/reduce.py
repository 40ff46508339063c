"""Several aggregations of the neighbours' messages at once: mean, standard deviation, variance, sum, maximum, minimum.

One pass over the edges computes all of them: columns are averaged, added or maximised; `std` and `var` are averages of a message and its
square, with the squares' round-off, as in PyG; `min` is a maximum of the negative. On the CPU a compiled kernel runs; whole-tensor
operations are the path on CUDA and the kernel's slow twin. An edge of weight 0 is no edge (edge dropout makes such), other weights are
not used; without edges every aggregation is 0.

The gradient of a maximum goes to one source: the first of equal ones, targets before halo, ascending. Which of equal rows it is makes no
difference to the parameters behind them, and a gradient that went to a halo row would be lost in its history.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from gas_cli.ops.csr import CSR
from gas_cli.ops.csr_tensors import row_ids
from gas_cli.ops.kernels import reduce_kernels
from gas_cli.ops.spmm import row_sums, wide
from gas_cli.ops.threads import over_equal_rows, over_rows
from gas_cli.ops.twins import TWINS

SMALLEST_VARIANCE = 1e-5
"""Below it the standard deviation is 0: its gradient grows without bound there."""
_CHUNK = 1 << 26
"""Messages that the whole-tensor maximum holds at once."""


class Columns(NamedTuple):
    """How columns are reduced: [0, means) averaged, [means, sums) added, [sums, W) maximised."""

    means: int
    sums: int


def aggregate(inner: CSR, outer: CSR, target: Tensor, halo: Tensor, aggregators: Sequence[str]) -> Tensor:
    """[B, A, W] from the messages `target` [B, A·W] and `halo` [H, A·W]: columns a·W … (a+1)·W-1 are for `aggregators[a]`.

    inner [B, B] and outer [B, H] list the messages' sources as in `Block`.
    """
    terms = sorted((term for a, name in enumerate(aggregators) for term in _terms(a, name)), key=lambda term: term.kind)
    width = target.shape[1] // len(aggregators)
    averaged, added = (sum(term.kind <= kind for term in terms) * width for kind in (_AVERAGE, _ADD))
    as_they_are = [(a, None) for a in range(len(aggregators))] == [(term.aggregator, term.message) for term in terms]
    if not as_they_are:
        target, halo = _arrange(target, terms, width), _arrange(halo, terms, width)
    reduced: Tensor = _Reduce.apply(inner, outer, wide(target), wide(halo), Columns(averaged, added))  # type: ignore[no-untyped-call]
    blocks = reduced.view(-1, len(terms), width)
    return blocks if as_they_are else _finish(blocks, terms, aggregators)


class _Term(NamedTuple):
    """One block of columns: what is made of the messages for which aggregator, and how it is reduced."""

    aggregator: int
    kind: int
    message: Callable[[Tensor], Tensor] | None


_AVERAGE, _ADD, _MAXIMISE = range(3)


def _terms(a: int, name: str) -> list[_Term]:
    match name:
        case "mean":
            return [_Term(a, _AVERAGE, None)]
        case "sum":
            return [_Term(a, _ADD, None)]
        case "max":
            return [_Term(a, _MAXIMISE, None)]
        case "min":
            return [_Term(a, _MAXIMISE, torch.neg)]
        case "std" | "var":
            return [_Term(a, _AVERAGE, None), _Term(a, _AVERAGE, torch.square)]
    raise AssertionError(f"the settings admit no aggregator {name}")


def _arrange(x: Tensor, terms: list[_Term], width: int) -> Tensor:
    blocks = [x.narrow(1, term.aggregator * width, width) for term in terms]
    return torch.cat([x if term.message is None else term.message(x) for x, term in zip(blocks, terms, strict=True)], dim=1)


def _finish(blocks: Tensor, terms: list[_Term], aggregators: Sequence[str]) -> Tensor:
    parts: list[list[Tensor]] = [[] for _ in aggregators]
    for k, term in enumerate(terms):
        parts[term.aggregator].append(blocks[:, k])
    return torch.stack([_outcome(name, own) for name, own in zip(aggregators, parts, strict=True)], dim=1)


def _outcome(name: str, parts: list[Tensor]) -> Tensor:
    if name == "min":
        return -parts[0]
    if name not in ("std", "var"):
        return parts[0]
    variance = parts[1] - parts[0].square()
    if name == "var":
        return variance
    return torch.where(variance > SMALLEST_VARIANCE, variance.clamp(min=SMALLEST_VARIANCE).sqrt(), 0)


class _Reduce(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, inner: CSR, outer: CSR, target: Tensor, halo: Tensor, columns: Columns) -> Tensor:
        ctx.inner, ctx.outer, ctx.columns = inner, outer, columns
        reduced, chosen, share = (by_tensors if TWINS.slow or target.is_cuda else by_kernel)(inner, outer, target, halo, columns)
        ctx.save_for_backward(chosen, share)
        return reduced

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[None, None, Tensor | None, Tensor | None, None]:
        back = back_by_tensors if TWINS.slow or grads[0].is_cuda else back_by_kernel
        chosen, share = ctx.saved_tensors
        to_target = back(grads[0], chosen, share, ctx.columns, ctx.inner, 0) if ctx.needs_input_grad[2] else None
        to_halo = back(grads[0], chosen, share, ctx.columns, ctx.outer, ctx.inner.num_rows) if ctx.needs_input_grad[3] else None
        return None, None, to_target, to_halo, None


def by_kernel(inner: CSR, outer: CSR, target: Tensor, halo: Tensor, columns: Columns) -> tuple[Tensor, Tensor, Tensor]:
    """(reduced [B, W], chosen int32 [B, W - sums], share [B]), as `reduce_kernels.combine` says."""
    num_targets, width = inner.num_rows, target.shape[1]
    reduced = target.new_empty(num_targets, width)
    chosen = torch.empty(num_targets, width - columns.sums, dtype=torch.int32)
    share = target.new_empty(num_targets)
    tensors = (inner.rowptr, inner.col, inner.value, outer.rowptr, outer.col, outer.value, target, halo)
    arrays: list[Any] = [t.detach().contiguous().numpy() for t in tensors]
    arguments = [*arrays, *columns, reduced.numpy(), chosen.numpy(), share.numpy()]
    over_rows(partial(reduce_kernels.combine, *arguments), (inner.rowptr + outer.rowptr).numpy(), width)
    return reduced, chosen, share


def back_by_kernel(grad: Tensor, chosen: Tensor, share: Tensor, columns: Columns, a: CSR, first: int) -> Tensor:
    """The gradient [m, W] at the sources of `a` [B, m], which are numbered from `first` on."""
    out = grad.new_zeros(a.num_cols, grad.shape[1])
    grads, result = grad.contiguous().numpy(), out.numpy()
    if columns.sums:
        back = a.transpose()
        rowptr, col, value = (t.contiguous().numpy() for t in (back.rowptr, back.col, back.value))
        over_rows(partial(reduce_kernels.spread_sums, rowptr, col, value, grads, share.numpy(), *columns, result), rowptr, columns.sums)
    if chosen.shape[1]:
        over_equal_rows(
            partial(reduce_kernels.route_maxima, chosen.numpy(), grads, columns.sums, first, result), chosen.shape[1], a.num_rows
        )
    return out


def by_tensors(inner: CSR, outer: CSR, target: Tensor, halo: Tensor, columns: Columns) -> tuple[Tensor, Tensor, Tensor]:
    """The same by whole-tensor operations; the maxima take [edges, columns] of memory, by chunks of columns."""
    added = row_sums([(_pattern(inner, target), target[:, : columns.sums]), (_pattern(outer, target), halo[:, : columns.sums])])
    source, to = _edges(inner, outer)
    share = 1 / torch.bincount(to, minlength=inner.num_rows).clamp_(min=1).to(target.dtype)
    added[:, : columns.means] *= share.unsqueeze(1)
    step = max(1, _CHUNK // max(1, source.numel()))
    rows = torch.cat([target[:, columns.sums :], halo[:, columns.sums :]])
    pairs = [_maximum(rows[:, c : c + step], source, to, inner.num_rows) for c in range(0, rows.shape[1], step)]
    nobody = target.new_empty(inner.num_rows, 0, dtype=torch.int32)
    return torch.cat([added, *(peak for peak, _ in pairs)], dim=1), torch.cat([nobody, *(chosen for _, chosen in pairs)], dim=1), share


def back_by_tensors(grad: Tensor, chosen: Tensor, share: Tensor, columns: Columns, a: CSR, first: int) -> Tensor:
    """The same by whole-tensor operations."""
    out = grad.new_zeros(a.num_cols, grad.shape[1])
    if columns.sums:
        scaled = torch.cat([grad[:, : columns.means] * share.unsqueeze(1), grad[:, columns.means : columns.sums]], dim=1)
        out[:, : columns.sums] = row_sums([(_pattern(a.transpose(), grad), scaled)])
    mine = (chosen >= first) & (chosen < first + a.num_cols)
    index = torch.where(mine, chosen - first, 0).long()
    if a.num_cols:
        out[:, columns.sums :].scatter_add_(0, index, grad[:, columns.sums :] * mine)
    return out


def _pattern(a: CSR, like: Tensor) -> CSR:
    """The matrix with weight 1 on every edge."""
    return a.with_values((a.value != 0).to(like.dtype))


def _edges(inner: CSR, outer: CSR) -> tuple[Tensor, Tensor]:
    """Source (targets first, then halo) and target of every edge, int64."""
    kept = torch.cat([inner.value, outer.value]) != 0
    source = torch.cat([inner.col.long(), outer.col.long() + inner.num_rows])
    to = torch.cat([row_ids(a.rowptr, a.nnz) for a in (inner, outer)])
    return source[kept], to[kept]


def _maximum(rows: Tensor, source: Tensor, to: Tensor, num_targets: int) -> tuple[Tensor, Tensor]:
    """Maxima [B, C] over each target's sources, 0 without any, and the first source int32 [B, C] that has it, -1 without any."""
    messages, index = rows[source], to.unsqueeze(1).expand(-1, rows.shape[1])
    peak = rows.new_full((num_targets, rows.shape[1]), float("-inf")).scatter_reduce_(0, index, messages, "amax")
    has_it = (messages == peak[to]) | messages.isnan()
    nobody = rows.shape[0]
    candidates = torch.where(has_it, source.unsqueeze(1), nobody).int()
    chosen = torch.full(peak.shape, nobody, dtype=torch.int32, device=rows.device).scatter_reduce_(0, index, candidates, "amin")
    lonely = torch.bincount(to, minlength=num_targets) == 0
    return peak.masked_fill(lonely.unsqueeze(1), 0), chosen.masked_fill(chosen == nobody, -1)
