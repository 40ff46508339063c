"""Evaluation: exact and layer by layer, or in the time of one layer from histories."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from gas_cli.batch.batch import Batch
from gas_cli.batch.loader import BatchLoader
from gas_cli.batch.side_stream import arrived
from gas_cli.config.metrics import LOSS, SELECTABLE, check_metric_fits, metric_kind
from gas_cli.graph.graph import Graph, Split
from gas_cli.model.model import Model
from gas_cli.ops.dropout import Noise
from gas_cli.ops.low_precision import low_precision
from gas_cli.passes.class_counts import ClassCounts, count_classes
from gas_cli.passes.drivers import NO_NOISE, last_layer, layerwise
from gas_cli.passes.metrics import Metric, make_metric
from gas_cli.tables.histories import Histories


class Evaluator:
    """Scores of all nodes, and their metrics on the three masks of a split.

    `groups` are the parts of each batch; the same at every evaluation, so that the loader keeps their blocks.
    `between` is called before each batch; it may raise to stop an evaluation halfway, which changes nothing.
    `select` is the metric by which the best epoch is chosen, where that is not the graph's. Raises UserError where it does not fit.
    `loss` is what it is for `select=loss`, which needs it.
    """

    def __init__(
        self,
        model: Model,
        graph: Graph,
        loader: BatchLoader,
        groups: list[list[int]],
        device: torch.device,
        precision: str,
        between: Callable[[], None],
        select: str | None = None,
        loss: Metric | None = None,
    ) -> None:
        self.model, self.graph, self.loader, self.device = model, graph, loader, device
        self.precision, self.between = precision, between
        self.metric = make_metric(graph.metric)
        if select is not None:
            check_metric_fits("evaluation.select", select, graph.task, SELECTABLE)
        self.select = None if select == graph.metric else select
        self.chooses = metric_kind(self.select or graph.metric)
        self._selecting = loss if select == LOSS else None if self.select is None else make_metric(self.select)
        self.groups = groups

    def exact(self, refresh: Histories | None = None, noise: Noise = NO_NOISE) -> Tensor:
        """Exact scores [N, C], under the dropout masks of `noise`; with `refresh`, those histories become exact on the way."""
        with self.evaluating():
            return layerwise(self.model, self.batches, self.graph.num_nodes, self.device, refresh, noise=noise)

    def embeddings(self, layer: int) -> Tensor:
        """Exact h_`layer` [N, width]: what the first `layer` layers give."""
        with self.evaluating():
            return layerwise(self.model, self.batches, self.graph.num_nodes, self.device, layer=layer)

    def from_history(self, histories: Histories) -> Tensor:
        """Approximate scores [N, C] from the stored inputs of the last layer."""
        with self.evaluating():
            return last_layer(self.model, self.batches, self.graph.num_nodes, histories)

    def measure(self, scores: Tensor, split: Split) -> dict[str, float]:
        """The graph's metric for `train`, `val` and `test`."""
        return self._measured(self.metric, scores, split)

    def selected(self, scores: Tensor, split: Split) -> dict[str, float] | None:
        """The same of the metric that chooses the best epoch; None where it is the graph's."""
        return None if self._selecting is None else self._measured(self._selecting, scores, split)

    def _measured(self, metric: Metric, scores: Tensor, split: Split) -> dict[str, float]:
        masks = {"train": split.train, "val": split.val, "test": split.test}
        if self.graph.regression:
            scores = scores.reshape(self.graph.y.shape)
        return {name: metric(scores[mask], self.graph.y[mask]) for name, mask in masks.items()}

    def count(self, scores: Tensor, mask: Tensor) -> ClassCounts | None:
        """Of the nodes in `mask` bool [N]: how many are of each class, how many were predicted to be. None without classes."""
        return None if self.graph.regression else count_classes(scores[mask], self.graph.y[mask])

    def batches(self, inputs: bool) -> Iterator[Batch]:
        """All nodes once, on the device, in the same batches every time; without `inputs` their features need not be there."""
        return self.arriving(self.loader.batches(self.groups, keep=True, inputs=inputs))

    def batches_of(self, groups: list[list[int]], inputs: bool = True) -> Iterator[Batch]:
        """The batches of other groups of parts."""
        return self.arriving(self.loader.batches(groups, keep=False, inputs=inputs))

    def arriving(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        """Batches on the device; a run may be stopped between two."""
        for batch in batches:
            self.between()
            yield arrived(batch.to(self.device))

    @contextmanager
    def evaluating(self) -> Iterator[None]:
        """Evaluation mode, and the precision of the run."""
        training = self.model.training
        self.model.eval()
        try:
            with low_precision(self.device, self.precision == "bfloat16"):
                yield
        finally:
            self.model.train(training)
