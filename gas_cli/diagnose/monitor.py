"""The error monitor: histories and mini-batch results beside the exact ones, on the whole graph, without changing the training.

With h exact, ĥ what a mini-batch step would give now, h̄ the history: closeness e = ‖ĥ - h‖, staleness s = ‖h̄ - ĥ‖, history error
d = ‖h̄ - h‖ ≤ e + s. h and ĥ are computed in evaluation mode; h̄ was written by training steps, so with dropout its error holds the
dropout noise of that step besides its age. See docs/error-monitor.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from gas_cli.batch.batch import Batch
from gas_cli.config.history import HistoryConfig
from gas_cli.diagnose.bound import Bound, exceeded, history_shares
from gas_cli.diagnose.distribution import Groups, by_age, by_decile, summarize, summarize_low
from gas_cli.diagnose.draws import Draws, describe, has_dropout
from gas_cli.diagnose.gradient import add, bias, full_gradient, parameters
from gas_cli.diagnose.probe import Step, probe
from gas_cli.method.method import Method
from gas_cli.passes.evaluator import Evaluator
from gas_cli.passes.loss import Loss
from gas_cli.tables.histories import Histories, make_histories

ROWS_AT_A_TIME = 1 << 16
"""History errors are computed for this many nodes at once, which bounds the scratch memory."""


@dataclass
class _Layer:
    """Numbers per node [N] on the host, of the inputs of one layer or of the scores: ‖h‖, d, cos(h̄, h), e, s, and the cap of e."""

    norm: Tensor
    history: Tensor
    cosine: Tensor
    closeness: Tensor
    staleness: Tensor
    cap: Tensor


def measures_histories(method: Method) -> bool:
    """Whether the method's batches are parts that have histories, which a `Monitor` compares with what is exact."""
    return method.histories is not None and not method.units.drawn


class Monitor:
    """Measures between epochs: nothing it does reaches weights, gradients, histories or random generators.

    Holds the exact inputs of all layers in float32 on the host, as large as histories in that precision, and takes as long as a few
    epochs: an exact pass forward and backward, and a pass over the batches. With dropout it does all of this again for each draw of
    masks. Of an inductive graph it measures what training sees.
    """

    def __init__(self, evaluator: Evaluator, method: Method, loss: Loss) -> None:
        assert method.histories is not None, "it measures their errors"
        self.evaluator, self.histories, self.method, self.model = evaluator, method.histories, method, evaluator.model
        histories = self.histories
        self.num_nodes, self.device = histories.num_nodes, evaluator.device
        self.loss = replace(loss, weighting="full_batch")  # the bias of histories alone, not that of the weighting
        num_parts = histories.part_ptr.numel() - 1
        self._part = torch.repeat_interleave(torch.arange(num_parts), histories.part_ptr.diff())
        self._degrees = by_decile(evaluator.graph.adj.rowptr[: self.num_nodes + 1].diff())
        self._seen = [group for group in evaluator.groups if max(group) < num_parts]

    def measure(self, step: int, groups: list[list[int]]) -> dict[str, Any]:
        """Everything about the state after `step` steps, JSON-safe; `groups` are the parts of each batch, every part in one of them."""
        ages = by_age(self.histories.ages.at(step)[self._part])
        with self.evaluator.evaluating():
            exact = make_histories(self.histories.widths, self.histories.part_ptr, HistoryConfig(placement="host"), self.device)
            scores = self.evaluator.exact(refresh=exact)[: self.num_nodes]
            layers = [self._histories(layer, exact) for layer in range(1, self.model.num_layers)] + [_scores_layer(scores)]
            found, batches = self._batches(exact, scores, layers, groups)
            full = full_gradient(self.model, lambda inputs: self.evaluator.batches_of(self._seen, inputs), exact, self.loss)
            training = self._in_training(step, groups, exact) if has_dropout(self.method) else {}
        known = self._bound() is not None
        return {
            "ages": {"up_to": ages.up_to, "nodes": ages.sizes},
            "degrees": {"up_to": self._degrees.up_to, "nodes": self._degrees.sizes},
            "batches": batches,
            "layers": [self._describe(index + 1, layer, ages, known) for index, layer in enumerate(layers[:-1])],
            "scores": self._closeness(layers[-1], known),
            "gradient": {**bias(found, full, list(parameters(self.model))), **training, **self.method.figures()},
        }

    def _bound(self) -> Bound | None:
        """None where no cap is known: of models without gains, and where a step changes what it reads of histories."""
        bound = Bound(self.model)
        return bound if bound.known and self.method.reads_as_stored else None

    # -- measuring -----------------------------------------------------------------------------------------------------------------

    def _histories(self, layer: int, exact: Histories) -> _Layer:
        """What is known of a layer's histories before any batch is computed."""
        result = _empty_layer(self.num_nodes)
        for start in range(0, self.num_nodes, ROWS_AT_A_TIME):
            rows = slice(start, min(start + ROWS_AT_A_TIME, self.num_nodes))
            history, h = (table.read([(rows.start, rows.stop)]).wait().cpu() for table in (self.histories[layer], exact[layer]))
            result.norm[rows], result.history[rows] = h.norm(dim=1), (history - h).norm(dim=1)
            result.cosine[rows] = torch.nn.functional.cosine_similarity(history, h, dim=1)
        return result

    def _batches(
        self, exact: Histories, scores: Tensor, layers: list[_Layer], groups: list[list[int]]
    ) -> tuple[list[Tensor], dict[str, Any]]:
        """Every batch as a step would compute it now: fills closeness, staleness and cap of `layers`; the summed gradient, and figures."""
        weights, bound = list(parameters(self.model).values()), self._bound()
        total = [torch.zeros_like(weight) for weight in weights]
        figures: list[tuple[float, float, float]] = []
        complete = self.method.completion(self.device)
        for batch in map(complete, self.evaluator.batches_of(groups)):
            step = probe(self.model, batch, self.method, self.loss, len(groups), weights)
            add(total, step.gradient)
            self._compare(batch, step, exact, scores, layers)
            if bound is not None:
                errors = [layer.history[batch.blocks[-1].halo.cpu()].to(self.device) for layer in layers[:-1]]
                for layer, cap in zip(layers, bound.caps(batch.blocks[-1], errors), strict=True):
                    layer.cap[_positions(batch)] = cap.cpu()
            block = batch.blocks[-1]
            figures.append((block.num_halo, block.outer.nnz / max(block.num_edges, 1), float(history_shares(block).mean())))
        columns = torch.tensor(figures, dtype=torch.float64).unbind(1)
        names = ("halo", "cut_edges", "history_share")
        return total, {"count": len(figures), **{name: summarize(column) for name, column in zip(names, columns, strict=True)}}

    def _in_training(self, step: int, groups: list[list[int]], exact: Histories) -> dict[str, Any]:
        """The gradient's bias and variance with dropout. Overwrites `exact`: as many tables again would be as large as the histories."""
        draws = Draws(self.method, self.evaluator, self.loss, step)
        batches = map(self.method.completion(self.device), self.evaluator.batches_of(groups))
        found = draws.gradients(batches, len(groups))
        return {"training": describe(found, draws.full_gradients(self._seen, exact), list(parameters(self.model)))}

    def _compare(self, batch: Batch, step: Step, exact: Histories, scores: Tensor, layers: Sequence[_Layer]) -> None:
        """Closeness of the batch's targets in every layer, and how far their histories are from what would be pushed now."""
        positions = _positions(batch)
        for index, (layer, output) in enumerate(zip(layers, step.outputs, strict=True)):
            last = index == len(layers) - 1
            h = scores[positions].to(self.device) if last else exact[index + 1].read(batch.ranges).wait()
            layer.closeness[positions] = (output - h).norm(dim=1).cpu()
            if not last:
                layer.staleness[positions] = (self.histories[index + 1].read(batch.ranges).wait() - output).norm(dim=1).cpu()

    # -- describing ----------------------------------------------------------------------------------------------------------------

    def _describe(self, number: int, layer: _Layer, ages: Groups, known: bool) -> dict[str, Any]:
        relative = layer.history / layer.norm.clamp(min=torch.finfo(torch.float32).tiny)
        return {
            "layer": number,
            "history_error": summarize(layer.history),
            "relative_error": summarize(relative[layer.norm > 0]),
            "cosine": summarize_low(layer.cosine[layer.norm > 0]),
            "staleness": summarize(layer.staleness),
            **self._closeness(layer, known),
            "by_age": dict(_means(layer, ages)),
            "by_degree": dict(_means(layer, self._degrees)),
        }

    def _closeness(self, layer: _Layer, known: bool) -> dict[str, Any]:
        """‖h‖, e, and its cap where the model has one, with the number of nodes that exceed it: more than none is a mistake in the code."""
        described: dict[str, Any] = {"norm": summarize(layer.norm), "closeness": summarize(layer.closeness)}
        if known:
            above = exceeded(layer.cap, layer.closeness, layer.norm, self.evaluator.precision)
            described["cap"] = {**summarize(layer.cap), "exceeded": above}
        return described


def _means(layer: _Layer, groups: Groups) -> Iterator[tuple[str, list[float | None]]]:
    yield "history_error", groups.means(layer.history)
    yield "closeness", groups.means(layer.closeness)


def _empty_layer(num_nodes: int) -> _Layer:
    return _Layer(*(torch.zeros(num_nodes) for _ in range(6)))


def _scores_layer(scores: Tensor) -> _Layer:
    layer = _empty_layer(scores.shape[0])
    layer.norm = scores.norm(dim=1)
    return layer


def _positions(batch: Batch) -> Tensor:
    return torch.cat([torch.arange(start, stop) for start, stop in batch.ranges])
