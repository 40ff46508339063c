"""The gradient of methods whose batches no history belongs to, or that draw them anew: its bias and its variance over several epochs.

With g_d the summed gradient of the batches of epoch d, under the weights of now, and f that of the whole graph, the bias is
‖mean g_d - f‖ / ‖f‖. The epochs are none that a training has, so that nothing of it is seen twice.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from gas_cli.config.history import HistoryConfig
from gas_cli.config.training import MAX_EPOCHS
from gas_cli.diagnose.draws import DRAWS, Draws, describe, has_dropout
from gas_cli.diagnose.gradient import add, full_gradient, parameters
from gas_cli.diagnose.probe import Kept, step_gradient
from gas_cli.method.method import Method
from gas_cli.ops.dropout import Noise
from gas_cli.partition.groups import groups_of
from gas_cli.passes.drivers import NO_NOISE
from gas_cli.passes.evaluator import Evaluator
from gas_cli.passes.loss import Loss
from gas_cli.tables.histories import make_histories


class GradientMonitor:
    """Measures between epochs: nothing it does reaches weights, gradients, histories or random generators.

    Holds the exact inputs of all layers in float32 on the host. Takes `DRAWS` epochs, and an exact pass forward and backward; with
    dropout the steps of these epochs twice, and such passes for each draw, too. Of an inductive graph it measures what training sees.
    """

    def __init__(self, evaluator: Evaluator, method: Method, loss: Loss) -> None:
        self.evaluator, self.method, self.model = evaluator, method, method.model
        self.loss = replace(loss, weighting="full_batch")
        self.loader = method.loader(evaluator.loader)
        self._seen = [group for group in evaluator.groups if max(group) < method.problem.train_parts]

    def measure(self, step: int, groups: list[list[int]]) -> dict[str, Any]:
        """The gradient after `step` steps, JSON-safe; `groups` are those of the epoch before, and not looked at."""
        names, evaluator = list(parameters(self.model)), self.evaluator
        with evaluator.evaluating():
            exact = make_histories(self.model.widths[1:], self.method.problem.seen_ptr, HistoryConfig(placement="host"), evaluator.device)
            evaluator.exact(refresh=exact)
            full = full_gradient(self.model, lambda inputs: evaluator.batches_of(self._seen, inputs), exact, self.loss)
            draws = Draws(self.method, evaluator, self.loss, step) if has_dropout(self.method) else None
            noises = [[NO_NOISE, *([] if draws is None else [draws.noises[draw]])] for draw in range(DRAWS)]
            still, *dropping = zip(*(self._gradients(step, draw, each) for draw, each in enumerate(noises)), strict=True)
            drawn = describe(list(still), [full], names)
            if draws is not None:
                drawn["training"] = describe(list(dropping[0]), draws.full_gradients(self._seen, exact), names)
        return {"gradient": {**drawn, **self.method.figures()}}

    def _gradients(self, step: int, draw: int, noises: list[Noise]) -> list[list[Tensor]]:
        """Those of one epoch by weight, under each of the `noises`; its batches are built once."""
        weights = list(parameters(self.model).values())
        totals = [[torch.zeros_like(weight) for weight in weights] for _ in noises]
        loop, seed = self.method.training.loop, self.method.training.seed
        groups = groups_of(self.method.units, loop.shuffle, seed, MAX_EPOCHS + 1 + step * DRAWS + draw)
        for batch in self.evaluator.arriving(self.loader.batches(groups, keep=False)):
            for noise, total in zip(noises, totals, strict=True):
                link = self.method.link(through=Kept)
                add(total, step_gradient(self.model, batch, self.method, link, self.loss, len(groups), weights, noise)[1])
        return totals
