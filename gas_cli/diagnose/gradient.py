"""Gradients of the task's loss, of the whole graph in bounded memory and of a batch with histories.

Norms are as in evaluation mode. There is no dropout, or that of given masks.

Even exact histories leave the gradient of a mini-batch biased: messages to nodes outside the batch are cut in the backward pass.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gas_cli.batch.batch import Batch, Rows
from gas_cli.batch.builder import cut_rows
from gas_cli.diagnose.distribution import short
from gas_cli.model.model import Model, State
from gas_cli.ops.dropout import Noise
from gas_cli.passes.drivers import NO_NOISE, Batches, start
from gas_cli.passes.loss import Loss
from gas_cli.tables.histories import Histories
from gas_cli.tables.table import Pending


def parameters(model: Model) -> dict[str, nn.Parameter]:
    """The trained parameters by name."""
    return {name: p for name, p in model.named_parameters() if p.requires_grad}


def gradients(objective: Tensor, inputs: list[Tensor]) -> list[Tensor]:
    """d objective / d inputs, zeros where it does not depend on one; the `.grad` of parameters stays as it is."""
    found: tuple[Tensor, ...] = torch.autograd.grad(objective, inputs, allow_unused=True, materialize_grads=True)
    return list(found)


def full_gradient(model: Model, batches: Batches, exact: Histories, loss: Loss, noise: Noise = NO_NOISE) -> list[Tensor]:
    """The gradient of the full-batch loss by every trained parameter: layer by layer from the last one, batch by batch.

    `exact` holds the exact inputs of layers 1..L-1. Each layer is computed again on them, and what its output's gradient gives for its
    inputs is added up over all batches, halo rows included, before the layer below is next: so nothing is cut. Holds one [N, width]
    table of gradients per layer that is still read (two, but for models that join all outputs) beside one batch. `loss` has the
    weighting `full_batch`. With `noise`, everything is under its dropout masks, which are the same in any batches; so must `exact` be.
    """
    weights = list(parameters(model).values())
    total = [torch.zeros_like(p) for p in weights]
    above: dict[int, Tensor] = {}  # layer -> gradient by its inputs [N, widths[layer]], on the host
    for index in reversed(range(model.num_layers)):
        for batch in batches(index == 0 or model.uses_initial):
            inputs = _Inputs(model, index, batch, exact, noise)
            objective = _objective(model, index, batch, inputs, above, loss)
            if objective is None:
                continue
            found = gradients(objective, weights + inputs.leaves)
            add(total, found[: len(weights)])
            inputs.collect(found[len(weights) :], above)
        above.pop(index + 1, None)
    return total


def add(total: list[Tensor], more: list[Tensor]) -> None:
    """Add tensor by tensor, in place."""
    for mine, other in zip(total, more, strict=True):
        mine.add_(other)


def _objective(model: Model, index: int, batch: Batch, inputs: _Inputs, above: dict[int, Tensor], loss: Loss) -> Tensor | None:
    """A scalar whose gradient is the batch's part of the loss' gradient through layer `index`; None where that is zero."""
    block = batch.blocks[index]
    h = model.layer(index, inputs.rows, block, inputs.state)
    if index < model.num_layers - 1:
        upstream = cut_rows(above[index + 1], list(batch.ranges))
        assert isinstance(upstream, Tensor)
        return (h.float() * upstream.to(h.device)).sum()
    return loss(model.decode(h, block, inputs.state), batch, 1) if batch.num_train > 0 else None


class _Inputs:
    """What layer `index` reads of one batch, as leaves of a new graph of operations."""

    def __init__(self, model: Model, index: int, batch: Batch, exact: Histories, noise: Noise) -> None:
        self.batch, self.halo = batch, batch.blocks[index].halo
        self.layers = [*range(1, index)] if model.joins_outputs else []
        self.layers += [index] if index else []
        self.leaves: list[Tensor] = []  # of `layers`, the targets' rows; then the halo's of `index`
        self.num_nodes = exact.num_nodes
        if index == 0 or model.uses_initial:
            self.rows, self.state = start(model, batch, noise, with_halo=index == 0)
        if index > 0:
            targets = [_leaf(exact[layer].read(batch.ranges)) for layer in self.layers]
            halo = _leaf(exact[index].read(batch.blocks[index].halo))
            self.leaves = [*targets, halo]
            self.rows = Rows(targets[-1], halo)
            first = self.state.initial if model.uses_initial else targets[-1]
            self.state = State(noise, first, targets if model.joins_outputs else [])

    def collect(self, found: list[Tensor], tables: dict[int, Tensor]) -> None:
        """Add the gradients of the leaves to the tables of their layers."""
        if not self.leaves:
            return
        for layer, piece in zip(self.layers, found, strict=False):
            if layer not in tables:
                tables[layer] = torch.zeros(self.num_nodes, piece.shape[1])
            offset = 0
            for begin, stop in self.batch.ranges:
                tables[layer][begin:stop] += piece[offset : offset + stop - begin].cpu()
                offset += stop - begin
        tables[self.layers[-1]].index_add_(0, self.halo.cpu(), found[-1].cpu())


def _leaf(rows: Pending) -> Tensor:
    return rows.wait().detach().requires_grad_()


def bias(mean: list[Tensor], full: list[Tensor], names: list[str]) -> dict[str, object]:
    """‖mean of batch gradients - full gradient‖ / ‖full gradient‖ in total and for each weight; None where the latter is zero.

    `cosine` is that of the two gradients.
    """
    ones, others = torch.cat([g.flatten() for g in mean]).double(), torch.cat([g.flatten() for g in full]).double()
    each = {name: _relative(a.double(), b.double()) for name, a, b in zip(names, mean, full, strict=True)}
    cosine = torch.nn.functional.cosine_similarity(ones, others, dim=0)
    return {"total": _relative(ones, others), "cosine": short(float(cosine)), "weights": each}


def _relative(a: Tensor, b: Tensor) -> float | None:
    norm = float(b.norm())
    return short(float((a - b).norm()) / norm) if norm > 0 else None
