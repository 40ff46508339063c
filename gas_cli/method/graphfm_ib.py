"""GraphFM-IB, in-batch feature momentum (Yu, Wang, Xu, Ji, ICML 2022): neighbour sampling whose sums remember those of earlier steps.

A step computes the scores of some training nodes, the seeds. In each layer but the first, the sum over a few drawn neighbours moves that
of the step in which the node was last computed:

    s_v = Σ_w P̂_vw h_w        m_v = (1-α) s_v + α m̄_v        m̄_v ← m_v for the targets of the layer, after the update

P̂ is the sample of `method=sampling`. The layer goes on with m, and the gradient takes the way of s: its factor is 1-α. The momentum
averages over the samples of several steps, and over their dropout masks, and so has less variance than s, but m̄ is of old weights. Tables
start at 0. Layer 0 reads the features of all neighbours: its sums need no memory. α = 0 is sampling.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from gas_cli.batch.batch import Batch, Rows
from gas_cli.config.method import GraphFMIBConfig, MethodConfig
from gas_cli.method.method import Link, Phase, Through, Training, itself, untimed
from gas_cli.method.sampling import Computed, Sampling
from gas_cli.method.sums import sums_of
from gas_cli.saved import check_keys
from gas_cli.tables.histories import Histories, make_histories
from gas_cli.tables.table import Pending


class GraphFMIB(Sampling):
    """Neighbour sampling with momentum on the sums.

    sums  m̄ of layers 1..L-1 of all nodes that training sees; ages are of nodes, by the step that last computed their row of layer 1

    Raises UserError for a model whose layers are not sums, and where there is no room.
    """

    def __init__(self, config: MethodConfig, training: Training) -> None:
        assert isinstance(config, GraphFMIBConfig)
        sums_of(training, "method=graphfm_ib", "method=sampling")
        super().__init__(config, training)
        self.momentum = config.momentum
        each = torch.arange(self.problem.num_seen + 1, device=self.device)
        self.sums = make_histories(self.model.widths[1:], each, training.history, self.device)
        self._seeds = self.seeds.to(self.device)

    def link(self, phase: Phase = untimed, through: Through = itself) -> Link:
        if self.momentum == 0:
            return super().link(phase, through)
        return GraphFMIBLink(self, self.sums.map(through), phase)

    def targets(self, batch: Batch) -> Tensor:
        """int64: the positions of the targets of layer 1. Those of each further layer are the first of them, down to the seeds."""
        visits = torch.tensor(batch.parts, device=self.device) % self._seeds.numel()
        return torch.cat([self._seeds[visits], *(block.halo for block in batch.blocks[:1:-1])])

    @property
    def tables(self) -> dict[str, Histories]:
        return {"sums": self.sums}

    def state_dict(self) -> dict[str, Any]:
        return {"sums": self.sums.state_dict()}

    def check(self, saved: Any, step: int | None = None) -> None:
        check_keys("the method's state", saved, ("sums",))
        self.sums.check(saved["sums"], step)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.sums.load_state_dict(state["sums"])


class GraphFMIBLink(Computed):
    """Pulls the old sums of the targets, and pushes the new ones when the step ends. The pulls of step t+1 are issued after the pushes of
    step t, and run behind what is left of it."""

    def __init__(self, method: GraphFMIB, sums: Histories, phase: Phase) -> None:
        self._method, self.sums, self._phase = method, sums, phase
        self._batch: Batch
        self._upcoming: Batch | None = None
        self._targets: Tensor
        self._due: dict[int, Pending] = {}  # layer -> m̄ for `_batch`
        self._ahead: tuple[Batch, Tensor, dict[int, Pending]] | None = None  # a batch, the targets of its layer 1, and their m̄
        self._new: dict[int, Tensor] = {}  # layer -> m to push

    def begin(self, batch: Batch, upcoming: Batch | None) -> None:
        super().begin(batch, upcoming)
        ahead = self._ahead
        if ahead is None or ahead[0] is not batch:  # the first step, or the first after a flush
            ahead = self._pull(batch)
        self._batch, self._targets, self._due = ahead
        self._upcoming, self._ahead, self._new = upcoming, None, {}

    def between(self, layer: int, h: Tensor) -> Rows:
        with self._phase("pull"):
            old = self._due.pop(layer).wait()
        return replace(super().between(layer, h), mixed=partial(self._mix, layer, old))

    def _mix(self, layer: int, old: Tensor, sums: Tensor) -> Tensor:
        alpha = self._method.momentum
        mixed = (sums * (1 - alpha)).add(old, alpha=alpha)
        self._new[layer] = mixed.detach()
        return mixed

    def end(self, step: int) -> None:
        with self._phase("push"):
            for layer, rows in self._new.items():
                self.sums[layer].write(self._targets[: rows.shape[0]], rows)
        if self._new:
            self.sums.ages.mark(self._targets, step)
        if self._upcoming is not None:
            self._ahead = self._pull(self._upcoming)
        self._new, self._due = {}, {}
        del self._batch, self._upcoming, self._blocks  # their memory goes to the next ones

    def flush(self) -> None:
        self.sums.flush()
        self._ahead = None

    def _pull(self, batch: Batch) -> tuple[Batch, Tensor, dict[int, Pending]]:
        targets = self._method.targets(batch)
        counts = {layer: batch.blocks[layer].num_targets for layer in self.sums.layers}
        return batch, targets, {layer: self.sums[layer].read(targets[:count], batch.ready) for layer, count in counts.items()}
