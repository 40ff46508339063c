"""VR-GCN (Chen, Zhu, Song, ICML 2018): neighbour sampling with histories as control variates.

A step computes the scores of some training nodes, the seeds. A sum over all neighbours, P h, is estimated by a few of them, drawn anew in
every step, and by histories h̄ of all:

    m = P̂ (h − h̄) + P h̄  =  P̂ h + (P − P̂) h̄,        E[P̂] = P

P̂ keeps the term of the node itself as it is, and k of its m neighbours with weights times m/k. Where histories are exact, nothing is
random; where they are old, only the differences are. Gradients take the way of P̂ h. After the update h̄_v ← h_v for every row that the step
computed. Layer 0 reads the features of all neighbours: its sums are exact.

With dropout (CVD) a second stream μ runs without it and without gradient, and histories are of μ:

    m = R (drop(h) − μ) + P̂ (μ − μ̄) + P μ̄  =  R drop(h) + (P̂ − R) μ + (P − P̂) μ̄,        m_μ = P̂ μ + (P − P̂) μ̄

drop(h) − μ has mean zero and is independent from node to node, so that k of m neighbours with weights P √(m/k), which is R, give a sum with
the variance of all m. The paper scales every term by √(D/n) of P̂; here the term of the node itself, which is not sampled, stays as it is.
The backward pass multiplies by P̂^T and not by R^T, which would make the gradients of neighbours √(k/m) times too small.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from gas_cli.batch.batch import Batch, Block, Control, Rows
from gas_cli.batch.control_builder import ControlBuilder
from gas_cli.batch.data import GraphData
from gas_cli.batch.loader import BatchLoader
from gas_cli.batch.make import host_loader
from gas_cli.config.method import CVD, MethodConfig, VRGCNConfig
from gas_cli.method.method import Link, Method, Phase, Through, Training, itself, untimed
from gas_cli.method.sums import sums_of
from gas_cli.model.model import Model, State, drops, held_statistics
from gas_cli.ops.dropout import Noise
from gas_cli.ops.spmm import row_sums, wide
from gas_cli.partition.groups import Units
from gas_cli.tables.histories import Histories, make_histories
from gas_cli.tables.table import Pending


class VRGCN(Method):
    """Mini-batches of training nodes, with a sample of neighbours and histories of all.

    Raises UserError for a model with layers that are not sums, and where there is no room.
    """

    def __init__(self, config: MethodConfig, training: Training) -> None:
        super().__init__(config, training)
        assert isinstance(config, VRGCNConfig)
        sums_of(training, f"method={config.name}", "method=sampling")
        self.batch_size, self.others = config.batch_size, config.others(training.layers)
        self.noisy = config.estimator == CVD and drops(self.model)
        self.seeds: Tensor = self.split.train.nonzero().flatten()
        each = torch.arange(self.problem.num_seen + 1, device=self.device)
        self.histories = make_histories(self.model.widths[1:], each, training.history, self.device)

    @property
    def units(self) -> Units:
        """Training nodes."""
        return Units(self.seeds.numel(), self.batch_size, drawn=True)

    def loader(self, whole: BatchLoader) -> BatchLoader:
        return host_loader(self.builder(), self.training.loop.prefetch, self.device)

    def builder(self) -> ControlBuilder:
        """What makes its batches."""
        problem, reading = self.problem, self.model.reading
        sums = None if reading.messages else problem.feature_sums
        own = reading.own or sums is None
        data = GraphData.of(problem.graph, problem.adj, problem.partition, self.split, sums, own)
        return ControlBuilder(data, self.seeds, self.others, own, self.noisy, self.training.seed)

    def link(self, phase: Phase = untimed, through: Through = itself) -> Link:
        assert self.histories is not None
        return VRGCNLink(self.model, self.histories.map(through), self.noisy, phase)


class VRGCNLink(Link):
    """Pulls the histories of all neighbours, and pushes the rows that the step has computed when it ends.

    The pulls of step t+1 are issued after the pushes of step t, and run behind what is left of it.
    """

    def __init__(self, model: Model, histories: Histories, noisy: bool, phase: Phase = untimed) -> None:
        self.model, self.histories, self.noisy, self._phase = model, histories, noisy, phase
        self._batch: Batch
        self._upcoming: Batch | None = None
        self._due: dict[int, Pending] = {}  # layer -> histories for `_batch`
        self._ahead: dict[int, Pending] = {}  # layer -> histories for `_ahead_of`
        self._ahead_of: Batch | None = None
        self._new: dict[int, Tensor] = {}  # layer -> rows to push
        self._means: _Means

    def begin(self, batch: Batch, upcoming: Batch | None) -> None:
        if self._ahead_of is not batch:  # the first step, or the first after a flush
            self._ahead = self._pull(batch)
        self._batch, self._upcoming, self._due, self._new = batch, upcoming, self._ahead, {}
        self._ahead, self._ahead_of = {}, None
        if self.noisy:
            self._means = _Means(self.model, batch)

    def between(self, layer: int, h: Tensor) -> Rows:
        block, control = self._batch.blocks[layer], control_of(self._batch, layer)
        with self._phase("pull"):
            histories = self._due.pop(layer).wait()
        known = row_sums([(control.weights, histories)])
        if self.noisy:
            mean = self._means.next(layer)
            self._means.feed(layer, mean, known)
            known = known + _undrawn_noise(block, control, mean)
        else:
            mean = h.detach()
        self._new[layer] = mean
        target, halo = torch.split(h, [block.num_targets, block.num_halo])
        return Rows(target, halo, known)

    def end(self, step: int) -> None:
        with self._phase("push"):
            for layer, rows in self._new.items():
                self.histories[layer].write(control_of(self._batch, layer).nodes, rows)
        if 1 in self._new:  # the rows of layer 1 are among them those of all layers
            self.histories.ages.mark(control_of(self._batch, 1).nodes, step)
        if self._upcoming is not None:
            self._ahead, self._ahead_of = self._pull(self._upcoming), self._upcoming
        self._new = {}
        del self._batch, self._upcoming  # their memory goes to the next ones
        if self.noisy:
            del self._means

    def flush(self) -> None:
        self.histories.flush()
        self._ahead, self._ahead_of = {}, None

    def _pull(self, batch: Batch) -> dict[int, Pending]:
        return {layer: self.histories[layer].read(control_of(batch, layer).sources, batch.ready) for layer in self.histories.layers}


class _Means:
    """The stream μ of one batch, a layer at a time."""

    def __init__(self, model: Model, batch: Batch) -> None:
        self.model, self.batch = model, batch
        self._rows: Rows
        self._state: State

    @torch.no_grad()
    def next(self, layer: int) -> Tensor:
        """μ^`layer` [T + H, C], what the layer before gives."""
        if layer == 1:
            block, noise = self.batch.blocks[0], Noise.off()
            self._rows = replace(self.model.encode_rows(self.batch.x, block, noise), known=self.batch.x.known)
            self._state = State(noise, self._rows.target)
        else:
            block = drawn_block(self.batch, layer - 1)
        with held_statistics(self.model):
            return wide(self.model.layer(layer - 1, self._rows, block, self._state))

    def feed(self, layer: int, mean: Tensor, known: Tensor) -> None:
        """Give layer `layer` its inputs: the rows `mean` of `next`, and what histories add to their sums."""
        block = drawn_block(self.batch, layer)
        target, halo = torch.split(mean, [block.num_targets, block.num_halo])
        self._rows, self._state = Rows(target, halo, known), self._state.of(block)


def _undrawn_noise(block: Block, control: Control, mean: Tensor) -> Tensor:
    """(P̂ − R) μ [T, C]."""
    assert control.drawn is not None
    pairs = ((control.drawn.inner, block.inner), (control.drawn.outer, block.outer))
    inner, outer = (drawn.with_values(drawn.value - noisy.value) for drawn, noisy in pairs)
    target, halo = torch.split(mean, [block.num_targets, block.num_halo])
    return row_sums([(inner, target), (outer, halo)])


def control_of(batch: Batch, layer: int) -> Control:
    """That of layer 1..L-1."""
    assert batch.controls is not None
    control = batch.controls[layer]
    assert control is not None, "layers beyond the first have one"
    return control


def drawn_block(batch: Batch, layer: int) -> Block:
    """The block of layer 1..L-1 with the weights P̂."""
    return control_of(batch, layer).drawn or batch.blocks[layer]
