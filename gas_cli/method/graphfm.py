"""GraphFM-OB, out-of-batch feature momentum (Yu, Wang, Xu, Ji, ICML 2022): GAS that also moves the histories of the halo.

A step of GAS renews the histories of its targets B only. Those of the halo O are known in part: the batch shows which messages B sends
to O. So before they are read, they move towards what layer f_l makes of these messages,

    x̂_O = f_l(A_OB h_B^l)        h̄_O^{l+1} ← γ x̂_O + (1-γ) h̄_O^{l+1}

with the weights of edges and the norms of evaluation, without dropout, without gradient, and without the halo's own rows, which nobody
has computed. A halo node of which B knows no message keeps its history. x̂_O is a partial sum: with γ > 0 histories do not become exact,
even if weights stay as they are. γ = 0 is GAS.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from gas_cli.batch.batch import Batch, Rows
from gas_cli.batch.halo import with_halo
from gas_cli.batch.loader import BatchLoader, DerivedLoader
from gas_cli.config.method import GraphFMConfig, MethodConfig
from gas_cli.graph.graph import Features
from gas_cli.method.gas import GAS, GASLink
from gas_cli.method.method import Link, Phase, Through, Training, itself, untimed
from gas_cli.method.sums import sums_of
from gas_cli.model.model import Model, State
from gas_cli.ops.csr import CSR
from gas_cli.ops.dropout import Noise
from gas_cli.tables.histories import Histories


class GraphFM(GAS):
    """GAS with feature momentum. Raises UserError for a model whose layers are not sums."""

    reads_sums = False
    reads_inputs = True

    def __init__(self, config: MethodConfig, training: Training) -> None:
        assert isinstance(config, GraphFMConfig)
        self.momentum = config.momentum
        self.reads_as_stored = config.momentum == 0
        sums_of(training, "method=graphfm", "method=gas", ": a part of the messages is no part of the output")
        super().__init__(config, training)

    def link(self, phase: Phase = untimed, through: Through = itself) -> Link:
        assert self.histories is not None
        return GraphFMLink(self.model, self.momentum, self.histories.map(through), phase)

    def loader(self, whole: BatchLoader) -> BatchLoader:
        complete = self.completion(whole.builder.device)
        return DerivedLoader(whole, lambda batch: self.loss_block(complete(batch)))

    def completion(self, device: torch.device) -> Callable[[Batch], Batch]:
        return with_halo(self.problem, self.split, device, among=False)


class GraphFMLink(GASLink):
    """Moves the halo's rows between the wait for them and the push of the targets'.

    The rows that a layer reads are those that it has just written, as the table rounds them. The pull of step t+1 is issued as in GAS,
    behind both writes of step t: it gives the rows that step t+1 moves.
    """

    def __init__(self, model: Model, momentum: float, histories: Histories, phase: Phase = untimed) -> None:
        super().__init__(histories, phase)
        self._model, self._momentum = model, momentum
        self._inputs: Features  # of the targets, in the layer before
        self._initial: Features  # h_0 of the halo

    def first(self, rows: Rows, state: State) -> Rows:
        self._inputs, self._initial = rows.target, rows.halo
        return rows

    def between(self, layer: int, h: Tensor) -> Rows:
        halo = self._batch.halo
        assert halo is not None, "the method's loader gives batches what their halo receives"
        if self._momentum == 0 or halo.block.num_targets == 0:
            return super().between(layer, h)
        partial, self._inputs = self._partial(layer - 1), h
        with self._phase("pull"):
            old = self._due.pop(layer).wait()
        table, gain = self.histories[layer], self._momentum * (halo.share > 0)
        moved = torch.lerp(old, partial, gain.unsqueeze(1)).to(table.dtype)
        with self._phase("push"):
            table.write(self._batch.blocks[-1].halo, moved)
            self._push(layer, h)
        return Rows(h, moved.float())

    @torch.no_grad()
    def _partial(self, index: int) -> Tensor:
        """x̂_O [H, C], what layer `index` makes of the targets' messages to the halo."""
        halo = self._batch.halo
        assert halo is not None
        nothing = _no_rows_known(self._inputs, halo.block.num_targets)
        state = State(Noise.off(), self._initial if self._model.uses_initial else nothing)
        with _as_in_evaluation(self._model):
            return self._model.layer(index, Rows(nothing, self._inputs), halo.block, state).float()


def _no_rows_known(like: Features, count: int) -> Features:
    """`count` rows of zeros as wide as those of `like`."""
    return CSR.empty(count, like.num_cols, like.device) if isinstance(like, CSR) else like.new_zeros(count, like.shape[1])


@contextmanager
def _as_in_evaluation(module: nn.Module) -> Iterator[None]:
    """The modules inside are in evaluation mode, and afterwards in that in which each was."""
    training = [part for part in module.modules() if part.training]
    for part in training:
        part.training = False
    try:
        yield
    finally:
        for part in training:
            part.training = True
