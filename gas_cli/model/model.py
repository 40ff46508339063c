"""The contract between an architecture and its drivers.

A model is `encode`, `layer(0..L-1)`, `decode`. Full-batch training, history training and exact layer-wise inference are three drivers of
these same methods, so they cannot drift apart.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from gas_cli.batch.batch import Block, Reading, Rows
from gas_cli.config.model import ModelConfig
from gas_cli.graph.graph import Features
from gas_cli.model.gain import Gain
from gas_cli.ops.aggregate import Masks, aggregate, heard, with_feedback
from gas_cli.ops.csr import CSR
from gas_cli.ops.dropout import Noise, drop_entries, dropout, make_mask
from gas_cli.ops.spmm import spmm, wide

Perturb = Callable[[Tensor, Tensor], Tensor]
"""Rows [n, C] of the nodes with the ids [n] to the same rows with noise."""


@dataclass
class State:
    """What a forward pass of one batch carries beside its rows.

    noise     the step's randomness
    initial   h_0 of the targets [B, C_0] (GCNII's and APPNP's residual), written by the driver after `encode`
    outputs   outputs of earlier layers for the targets, for models that join them (jumping knowledge)
    """

    noise: Noise
    initial: Features
    outputs: list[Tensor] = field(default_factory=list)

    def of(self, block: Block) -> State:
        """The state of the targets of `block`, which are the first of those here."""
        initial = self.initial
        if not isinstance(initial, Tensor) or initial.shape[0] <= block.num_targets:
            return self
        return State(self.noise, initial[: block.num_targets], [rows[: block.num_targets] for rows in self.outputs])


class Model(nn.Module, ABC):
    """Base of all architectures; L = `num_layers` message-passing layers.

    `widths[l]` is the number of channels that layer l reads (l = 0..L-1); layers 1..L-1 read histories of these widths.
    Layer-wise inference keeps for all nodes only what a model says it reads: `uses_initial` (`state.initial` is read by layers beyond the
    first, or by `decode`; else it is undefined there), `joins_outputs` (`state.outputs` is read). A class that `takes_edge_attr` is also
    built with `edge_dim`, the columns of `block.edge_attr`, 0 where the edges have none.

    `reading` promises what layer 0 and the last layer do not read, so that batches can do without.

    With `activates_inputs`, which a method sets where the class says that it can (`can_activate_inputs`), a layer's activation moves to
    where its output is read: `layer` leaves it out, and the next layer, or `decode`, makes up for it (`active_inputs`, `active_output`).
    What lies between two layers, histories too, is then before the activation; scores and parameters are the same. Such a model says how
    many channels the last layer puts out (`out_width`). A subclass that overrides `layer` or `decode` has to say again that it can.
    """

    num_layers: int
    widths: tuple[int, ...]
    uses_initial = False
    joins_outputs = False
    can_activate_inputs = False
    activates_inputs = False
    out_width: int
    reading = Reading()

    def __init_subclass__(cls, **arguments: Any) -> None:
        super().__init_subclass__(**arguments)
        promise = next(kind for kind in cls.__mro__ if "can_activate_inputs" in vars(kind))
        names = [name for name in ("layer", "finish", "decode") if hasattr(promise, name)]
        if any(getattr(cls, name) is not getattr(promise, name) for name in names):
            cls.can_activate_inputs = False

    @classmethod
    def takes_edge_attr(cls, config: ModelConfig) -> bool:
        """Whether edge attributes play a part in this architecture under `config`; batches carry none otherwise."""
        return False

    @classmethod
    def takes_edge_weight(cls, config: ModelConfig) -> bool:
        """Whether the weights of the edges play a part in this architecture under `config`."""
        return True

    @classmethod
    def heeds_edge_dropout(cls, config: ModelConfig) -> bool:
        """Whether an edge whose weight becomes 0 sends no message in this architecture under `config`."""
        return cls.takes_edge_weight(config)

    def observe(self, adj: CSR) -> None:
        """Called once after construction with the adjacency of all nodes that training sees.

        For statistics that no batch has; they are kept as buffers.
        """

    @abstractmethod
    def encode(self, x: Features, ids: Tensor, noise: Noise) -> Features:
        """Row-wise start: features [n, F] of the nodes `ids` [n] to h_0 [n, widths[0]] (possibly x itself)."""

    def encode_rows(self, x: Rows, block: Block, noise: Noise) -> Rows:
        """h_0 of targets and halo by `encode`; overridden where a normalisation takes its statistics over both while training."""
        return Rows(self.encode(x.target, block.target_ids, noise), self.encode(x.halo, block.halo_ids, noise))

    @abstractmethod
    def layer(self, index: int, rows: Rows, block: Block, state: State) -> Tensor:
        """Message-passing layer `index`: the inputs of targets and halo to the targets' output [B, C]."""

    @abstractmethod
    def decode(self, h: Tensor, block: Block, state: State) -> Tensor:
        """Row-wise end: the last layer's output [B, C_L] to class scores [B, num_classes]."""

    @abstractmethod
    def regularized(self) -> list[nn.Parameter]:
        """The parameters of the `reg_weight_decay` group; all others are in the `weight_decay` group."""

    def active_output(self, index: int, out: Tensor) -> Tensor:
        """What layer `index` gives without `activates_inputs`, of its output `out` [n, C]; a new tensor where that differs."""
        return out

    def active_inputs(self, index: int, rows: Rows) -> Rows:
        """The inputs of layer `index` with the activation that the layer before left out. `rows` may be a table's, and stay as they are."""
        if index == 0 or not self.activates_inputs:
            return rows
        assert isinstance(rows.target, Tensor) and isinstance(rows.halo, Tensor), "only layer 0 reads raw features"
        return replace(rows, target=self.active_output(index - 1, rows.target), halo=self.active_output(index - 1, rows.halo))

    @property
    def sum_widths(self) -> tuple[int, ...] | None:
        """The widths of the sums that layers 1..L-1 make of their sources by `propagate` or `propagate_and_transform`, once each and with
        `rows.feedback`; None where a layer reads a source otherwise (attention, maximum), so that no gradient can be sent back by its
        weight only."""
        return None

    def without_sums(self) -> tuple[str, str]:
        """For a message, where `sum_widths` is None: what the layers do, after "whose", and what has sums, after "or"."""
        return "layers do more than sum up their neighbours by fixed weights", "one of model=gcn, sage, gin, gcnii, appnp"

    def layer_and_shift(self, index: int, rows: Rows, block: Block, state: State, perturb: Perturb) -> tuple[Tensor, Tensor]:
        """Layer `index`, and how far the targets' outputs move when its inputs are perturbed: ‖f(z) - f(z + noise)‖_2 [B].

        f is the whole layer and z the rows of targets and halo, but for models whose f is the perceptron after the aggregation (GIN).
        """
        out = self.layer(index, rows, block, state)
        assert isinstance(rows.target, Tensor) and isinstance(rows.halo, Tensor), "raw features are not perturbed"
        noisy = Rows(perturb(rows.target, block.target_ids), perturb(rows.halo, block.halo_ids))
        with held_statistics(self):
            return out, row_distance(out, self.layer(index, noisy, block, state))

    def gain(self, index: int) -> Gain | None:
        """How much layer `index` amplifies errors of its inputs, in evaluation mode; None where no global constant is known."""
        return None

    def decode_gain(self) -> float | None:
        """The Lipschitz constant of `decode`; None where there is none. Asked only of models that have a `gain`."""
        return None


@dataclass(frozen=True)
class Drop:
    """Dropout with probability `p` by global node ids. `site` numbers the places of a network, so that each draws its own masks."""

    p: float
    site: int

    def __call__(self, x: Features, ids: Tensor, noise: Noise) -> Features:
        """Features [n, F] of the nodes `ids` [n], with dropout."""
        if isinstance(x, CSR):
            mask = make_mask(self.p, noise, self.site, ids)
            return x if mask is None else drop_entries(x, mask)
        return dropout(x, self.p, noise, self.site, ids)

    def rows(self, rows: Rows, block: Block, noise: Noise) -> Rows:
        """The rows of targets and halo of `block`, with dropout."""
        if self.p == 0:
            return rows
        return replace(rows, target=self(rows.target, block.target_ids, noise), halo=self(rows.halo, block.halo_ids, noise))

    def masks(self, block: Block, noise: Noise) -> Masks:
        """What `rows` would drop, for operations that drop on their way."""
        target, halo = (make_mask(self.p, noise, self.site, ids) for ids in (block.target_ids, block.halo_ids))
        return None if target is None or halo is None else (target, halo)


def drops(module: nn.Module) -> bool:
    """Whether any `Drop` inside, kept as an attribute or in a list of one, drops anything."""
    attributes = [value for part in module.modules() for value in vars(part).values()]
    each = [item for value in attributes for item in (value if isinstance(value, list | tuple) else (value,))]
    return any(item.p > 0 for item in each if isinstance(item, Drop))


@contextmanager
def held_statistics(module: nn.Module) -> Iterator[None]:
    """Batch norms inside normalise as ever, but do not count what they see towards their running statistics."""
    norms = [norm for norm in batch_norms(module) if norm.track_running_stats and norm.training]
    for norm in norms:
        norm.track_running_stats = False
    try:
        yield
    finally:
        for norm in norms:
            norm.track_running_stats = True


def mixes_nodes(module: nn.Module) -> bool:
    """Whether a row [C] that `module` puts out depends, while training, on the rows of other nodes: by the statistics of a batch norm."""
    return len(batch_norms(module)) > 0


def batch_norms(module: nn.Module) -> list[nn.modules.batchnorm._BatchNorm]:
    """The batch norms inside, `module` itself included."""
    return [m for m in module.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]


def row_distance(one: Tensor, other: Tensor) -> Tensor:
    """‖one_v - other_v‖_2 [B] of each row, in float32; its gradient is 0 where the rows are equal."""
    distance: Tensor = torch.linalg.vector_norm((one - other).float(), dim=1)
    return distance


class Projection(nn.Module):
    """A weight [in_channels, out_channels] that multiplies from the right, dense or sparse rows alike, and a bias.

    The bias starts at zero; the weight as GCN's does (`glorot`), or by another function of its shape. `like_linear` starts both otherwise.
    """

    def __init__(self, in_channels: int, out_channels: int, initial: Callable[[int, int], Tensor] | None = None) -> None:
        super().__init__()
        self.weight = nn.Parameter((initial or glorot)(in_channels, out_channels))
        self.bias = nn.Parameter(torch.zeros(out_channels))

    @classmethod
    def like_linear(cls, in_channels: int, out_channels: int) -> Projection:
        """Weight and bias as `nn.Linear` draws them: both uniform in ± 1/√in_channels.

        For maps that are an `nn.Linear` in the published code. Glorot's bound, √(6 / (in + out)), is √(6 in / (in + out)) times larger:
        √3 for a square matrix, √6 where the inputs are many and the outputs few.
        """
        made = cls(in_channels, out_channels, fan_in)
        nn.init.uniform_(made.bias, -1 / math.sqrt(in_channels), 1 / math.sqrt(in_channels))
        return made


def input_linear(in_channels: int, out_channels: int) -> nn.Linear:
    """A linear layer whose weight [out, in] lies in memory by input channel: so sparse features and their gradients read and write it."""
    linear = nn.Linear(in_channels, out_channels)
    linear.weight.data = linear.weight.data.t().contiguous().t()
    return linear


def glorot(rows: int, columns: int) -> Tensor:
    """A matrix with Glorot's uniform initialisation."""
    return nn.init.xavier_uniform_(torch.empty(rows, columns))


def fan_in(rows: int, columns: int) -> Tensor:
    """A matrix drawn as `nn.Linear` draws its weight: uniform in ± 1/√rows, so that wide inputs weigh less, however few the outputs."""
    bound = 1 / math.sqrt(rows)
    return torch.empty(rows, columns).uniform_(-bound, bound)


def transform(x: Features, weight: Tensor) -> Tensor:
    """x [n, F] times weight [F, C], for dense and sparse x."""
    return spmm(x, weight) if isinstance(x, CSR) else x @ weight


def propagate(
    rows: Rows, block: Block, masks: Masks = None, scale: float = 1.0, initial: Tensor | None = None, weight: float = 0.0
) -> Tensor:
    """scale · mixed(A_BB drop(h_B) + A_BH drop(h_H) + known) + weight · h_0: the weighted sum of each target's messages [B, C]."""
    assert isinstance(rows.target, Tensor) and isinstance(rows.halo, Tensor), "sparse features are transformed before they are propagated"
    if rows.mixed is not None:
        sums = rows.mixed(propagate(replace(rows, mixed=None), block, masks))
        sums = sums if scale == 1 else sums * scale
        return sums if initial is None else sums.add(wide(initial), alpha=weight)
    if rows.known is not None and block.num_edges == 0 and scale == 1 and initial is None:
        return rows.known
    out = aggregate(block.inner, block.outer, rows.target, rows.halo, masks, scale, initial, weight, rows.feedback)
    return out if rows.known is None else out.add(rows.known, alpha=scale)


def transforms_first(rows: Rows, weight: Tensor) -> bool:
    """Whether A h W is cheaper as A (h W): where W shrinks h, or h is sparse, unless A h is known or wanted."""
    return rows.known is None and rows.mixed is None and (isinstance(rows.target, CSR) or weight.shape[1] < weight.shape[0])


def propagate_and_transform(rows: Rows, block: Block, weight: Tensor) -> Tensor:
    """A h W, multiplied on the narrower side: h W first when W shrinks h (or h is sparse), A h first otherwise.

    Aggregating first also spares the product with W on the halo rows. With feedback, s = A (h W): the readers' gradients by their s go to h
    through W^T and past W itself, whose gradient is that of the targets' sums only.
    """
    if not transforms_first(rows, weight):
        return propagate(rows, block) @ weight
    h = rows.target
    if isinstance(h, Tensor):
        h = with_feedback(h, rows.feedback, lambda gradient: gradient @ weight.detach().t())
    return heard(propagate(Rows(transform(h, weight), transform(rows.halo, weight)), block), rows.feedback)


def narrower(*weights: Tensor) -> tuple[int, ...]:
    """The width of what `propagate_and_transform` sums up, for each weight [C, C'] and dense rows of which nothing is known."""
    return tuple(min(weight.shape) for weight in weights)
