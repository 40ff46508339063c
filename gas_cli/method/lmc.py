"""LMC, local message compensation (Shi, Liang, Wang, ICLR 2023): a step also computes its halo, as far as the batch shows it, both ways.

Forward, the halo O receives the messages from B ∪ O only, and what the targets B read of it is mixed with its histories:

    h̃_O^{l+1} = f_l(ĥ_O^l, A_OO ĥ_O^l + A_OB h_B^l)        ĥ_O = (1-β) h̄_O + β h̃_O        ĥ_O^0 = h_O^0        h̄_B ← h_B

Here h is what a layer gives before its activation, which the next layer applies to what it reads (`Model.activates_inputs`), and f_l
starts with it. Backward, V = ∂loss/∂h has histories V̄, too, and what the halo sends back to B and O is mixed alike, g̃ being what this
step finds:

    V_O = (1-β) V̄_O + β g̃_O        V̄_B ← V_B

The loss covers the halo's training nodes too, by scores from the last layer's outputs mixed with histories of these. Weights take their
gradient from B only, where each node is in one batch of an epoch. A node's β is α · score(x), x being the share of its messages that come
from B ∪ O. All V have one scale: the loss weighs by training nodes (`trainer.loss_weighting=full_batch`), and batches without any run
backward too.

Both mixtures come from one objective: autograd finds β g̃ through ĥ, and the rest is the gradient of a product whose value is left out,

    loss_B + loss_O + Σ_l ⟨(1-β) V̄_O^l, h̃_O^l⟩        l = 1..L-1

With weights that stay as they are and β = 0, each batch's gradient becomes exact, that of layer l (from 1) from epoch 2L-l on: a gradient
passes the activation of a mixed row, which is exact then. Not so where a layer has an activation of its own, as GIN's perceptron: that
is of h̃, which has not seen all messages; nor with models that cannot move their activation, whose h is behind it. With β > 0 it never
does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from gas_cli.batch.batch import Batch, HaloTargets, Rows
from gas_cli.batch.halo import with_halo
from gas_cli.batch.loader import BatchLoader, DerivedLoader
from gas_cli.config.method import LMCConfig, MethodConfig
from gas_cli.errors import UserError
from gas_cli.graph.graph import Features
from gas_cli.method.gas import GAS, GASLink
from gas_cli.method.gradients import gradient_tables
from gas_cli.method.method import Link, Objective, Phase, Through, Training, itself, untimed
from gas_cli.method.sums import sums_of
from gas_cli.model.model import State, batch_norms
from gas_cli.ops.dropout import Noise
from gas_cli.saved import check_keys
from gas_cli.tables.histories import Histories, make_histories
from gas_cli.tables.table import Pending

SCORES: dict[str, Callable[[Tensor], Tensor]] = {
    "constant": torch.ones_like,
    "linear": lambda x: x,
    "square": torch.square,
    "concave": lambda x: 2 * x - x * x,
    "sine": torch.sin,
}


class LMC(GAS):
    """GAS with compensated messages. Raises UserError for a model or a graph with which it is not right."""

    reads_sums = False
    reads_inputs = True
    before_activation = True

    def __init__(self, config: MethodConfig, training: Training) -> None:
        assert isinstance(config, LMCConfig)
        _check(training)
        super().__init__(config, training)
        self.alpha, self.score = config.alpha, SCORES[config.score]
        self.reads_as_stored = config.alpha == 0
        self.gradients = gradient_tables(self.model.widths[1:], training)
        width = _out_width(training) if self.model.activates_inputs else self.problem.graph.num_classes
        self.outputs = make_histories((width,), self.problem.seen_ptr, training.history, self.device)

    def link(self, phase: Phase = untimed, through: Through = itself) -> Link:
        return LMCLink(self, phase, through)

    def loader(self, whole: BatchLoader) -> BatchLoader:
        """The last block may hold the training targets' messages only: of nobody else's scores the histories are read."""
        complete = self.completion(whole.builder.device)
        return DerivedLoader(whole, lambda batch: self.loss_block(complete(batch)))

    def completion(self, device: torch.device) -> Callable[[Batch], Batch]:
        return with_halo(self.problem, self.split, device, among=True)

    def learns_from(self, batch: Batch) -> bool:
        """A batch without training nodes sends the gradients of others on, too."""
        return True

    def beta(self, halo: HaloTargets) -> Tensor:
        """β float32 [H, 1]: the share of what this step finds in the rows of the halo."""
        return (self.alpha * self.score(halo.share)).unsqueeze(1)

    @property
    def tables(self) -> dict[str, Histories]:
        return {**super().tables, "gradients": self.gradients, "outputs": self.outputs}

    def state_dict(self) -> dict[str, Any]:
        return {name: tables.state_dict() for name, tables in self.tables.items()}

    def check(self, saved: Any, step: int | None = None) -> None:
        check_keys("the method's state", saved, tuple(self.tables))
        for name, tables in self.tables.items():
            tables.check(saved[name], step)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for name, tables in self.tables.items():
            tables.load_state_dict(state[name])


class LMCLink(GASLink):
    """Computes the halo's rows, layer by layer behind the targets'. Histories are pushed, pulled and pulled ahead as in GAS; the pulls of
    V̄ are issued during the forward pass."""

    def __init__(self, method: LMC, phase: Phase, through: Through) -> None:
        assert method.histories is not None
        super().__init__(method.histories.map(through), phase)
        self._method, self._model = method, method.model
        self.gradients, self.outputs = method.gradients.map(through), method.outputs.map(through)
        self._inputs: Rows  # of the layer before; the halo's send no gradient to weights
        self._initial: Features  # h_0 of the halo
        self._noise: Noise
        self._beta: Tensor
        self._computed: dict[int, tuple[Tensor, Pending]] = {}  # layer -> h̃_O and V̄_O on its way
        self._last: Tensor  # what the last layer gave of the targets
        self._written = False

    def begin(self, batch: Batch, upcoming: Batch | None) -> None:
        super().begin(batch, upcoming)
        self._beta, self._computed, self._written = self._method.beta(self._halo), {}, False

    def first(self, rows: Rows, state: State) -> Rows:
        halo = rows.halo.detach() if isinstance(rows.halo, Tensor) else rows.halo  # its own step sends its gradient to what encodes it
        self._inputs, self._initial, self._noise = replace(rows, halo=halo), halo, state.noise
        return self._inputs

    def between(self, layer: int, h: Tensor) -> Rows:
        rows = super().between(layer, h)
        if not self._has_halo:
            return rows
        found = self._outputs(layer - 1).float()
        if found.requires_grad:
            self._computed[layer] = found, self.gradients[layer].read(self._positions, self._batch.ready)
        if h.requires_grad:
            h.register_hook(lambda gradient: self._push_gradient(layer, gradient))  # type: ignore[no-untyped-call]
        assert isinstance(rows.halo, Tensor)
        self._inputs = Rows(h, torch.lerp(rows.halo, found, self._beta))
        return self._inputs

    def last(self, h: Tensor) -> Tensor:
        width = self.outputs.widths[0]
        if self._model.activates_inputs and h.shape[1] != width:
            raise UserError(f"The last layer puts out {h.shape[1]} channels: expected {width}, the model's out_width (docs/own-layer.md).")
        if self._has_halo:
            self._last = h.detach()
        return h

    def loss(self, objective: Objective, scores: Tensor, batch: Batch, num_batches: int) -> Tensor:
        own = objective(scores, batch, num_batches)
        if not self._has_halo:
            return own
        old = self.outputs[1].read(self._positions, self._batch.ready)
        added = [((1 - self._beta) * gradient.wait() * found).sum() for found, gradient in self._computed.values()]
        if self._halo.train_rows.numel():
            with _fixed(self._model.parameters()):
                found = self._scores(self._outputs(self._model.num_layers - 1), old)
            added.append(objective(found, replace(batch, y=self._halo.y, train_rows=self._halo.train_rows), num_batches))
        pushed = self._last if self._model.activates_inputs else scores.detach()
        self.outputs[1].write(self._batch.ranges, pushed.float())
        del self._last  # its memory goes to the backward pass
        self._written = True
        return own + sum(term - term.detach() for term in added)

    def _scores(self, outputs: Tensor, old: Pending) -> Tensor:
        """Those of the halo from the last layer's `outputs` [H, C], which are mixed with `old` before the activation that may follow; of a
        model that does not move it, the scores are. Their gradient goes on undiminished."""
        if self._model.activates_inputs:
            return self._model.decode(self._mixed(outputs.float(), old), self._halo.block, self._state()).float()
        return self._mixed(self._model.decode(outputs, self._halo.block, self._state()).float(), old)

    def _mixed(self, found: Tensor, old: Pending) -> Tensor:
        return found + ((1 - self._beta) * (old.wait() - found)).detach()

    def end(self, step: int) -> None:
        if self._written:
            for tables in (self.gradients, self.outputs):
                tables.ages.mark(self._batch.parts, step)
        self._computed = {}
        super().end(step)

    def flush(self) -> None:
        super().flush()
        self.gradients.flush()
        self.outputs.flush()

    @property
    def _halo(self) -> HaloTargets:
        assert self._batch.halo is not None, "the method's loader gives batches what their halo receives"
        return self._batch.halo

    @property
    def _has_halo(self) -> bool:
        return self._halo.block.num_targets > 0

    @property
    def _positions(self) -> Tensor:
        return self._batch.blocks[-1].halo

    def _state(self) -> State:
        return State(self._noise, self._initial)

    def _outputs(self, index: int) -> Tensor:
        """h̃_O [H, C], what layer `index` gives of the rows that are here; no gradient of it reaches a weight."""
        rows = Rows(self._inputs.halo, self._inputs.target)
        with _fixed(self._model.parameters()):
            return self._model.layer(index, rows, self._halo.block, self._state())

    def _push_gradient(self, layer: int, gradient: Tensor) -> None:
        self.gradients[layer].write(self._batch.ranges, gradient.detach().float())


@contextmanager
def _fixed(weights: Iterable[nn.Parameter]) -> Iterator[None]:
    """What is computed inside sends no gradient to the weights."""
    trained = [weight for weight in weights if weight.requires_grad]
    for weight in trained:
        weight.requires_grad_(False)
    try:
        yield
    finally:
        for weight in trained:
            weight.requires_grad_(True)


def _out_width(training: Training) -> int:
    """Channels of the last layer's output, of a model that can move its activation."""
    width = getattr(training.model, "out_width", None)
    if not isinstance(width, int) or width < 1:
        raise UserError(
            f"model={training.layers.name}: out_width={width} is not valid: a model with can_activate_inputs says how many channels its "
            "last layer puts out (docs/own-layer.md)."
        )
    return width


def _check(training: Training) -> None:
    name, graph = training.layers.name, training.problem.graph
    sums_of(training, "method=lmc", "method=gas", ": what they give of a part of the messages compensates nothing")
    if batch_norms(training.model):
        raise UserError(
            f"method=lmc is not valid with the batch norms of model={name}: their statistics would mix targets and halo. "
            "Use model.batch_norm=false (and model.mlp_batch_norm=false for gin), or method=gas."
        )
    if not graph.symmetric:
        raise UserError(
            f"method=lmc is not valid with {graph.name}, whose edges are directed: who reads a node is not whom it reads, and gradients of "
            "these are not known. Use dataset.undirected=true (of your own graph), or method=gas method.gradients=history."
        )
