"""Class probabilities and embeddings from a run's folder."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from gas_cli.batch.builder import BatchBuilder
from gas_cli.batch.loader import BatchLoader
from gas_cli.config.checks import require
from gas_cli.config.compose import load_config
from gas_cli.config.continued import fixed_settings
from gas_cli.config.dataset import UnlabelledConfig
from gas_cli.config.root import Config
from gas_cli.config.training import TrainerConfig
from gas_cli.errors import UserError
from gas_cli.graph.graph import Graph, Split
from gas_cli.method.make import make_method
from gas_cli.method.method import Method, Training
from gas_cli.model.model import Model
from gas_cli.new_data import LABELLED, as_trained, check_same_nodes, of_any_size, other_data, unscaled
from gas_cli.passes.evaluator import Evaluator
from gas_cli.passes.loss import probabilities
from gas_cli.predicted import Embeddings, Predictions
from gas_cli.prepared.problem import Problem
from gas_cli.report.prediction_table import target_names
from gas_cli.run import prepare, run_folder
from gas_cli.tables.histories import Histories
from gas_cli.training.assemble import make_model, pick_device
from gas_cli.training.average import scoring_weights
from gas_cli.training.checked import check_weights
from gas_cli.training.checkpoint import load_checkpoint, naming
from gas_cli.training.identity import check_applicable, check_same_settings, graph_changes, identity_of
from gas_cli.training.progress import check_best

log = logging.getLogger(__name__)


def predict(
    run: Path,
    nodes: ArrayLike | None = None,
    *,
    mode: str = "exact",
    checkpoint: str = "best",
    device: str = "auto",
    graph: Graph | None = None,
    settings: Sequence[str] = (),
    source: str = "nodes",
) -> Predictions:
    """The probabilities of `nodes` (ids as in the dataset), or of all; `gas_cli.predict` documents the rest. `source` is what messages call
    `nodes`. Raises UserError for a folder, checkpoint, graph or node that does not fit."""
    trained = _opened(run, mode, checkpoint, device, graph, settings)
    wanted = _rows_of(nodes, trained.graph, source)
    scores, regression = trained.of_nodes(trained.scores(), wanted), trained.graph.regression
    values = scores.float() if regression else probabilities(scores, trained.problem.multilabel)
    trained.check_finite(values, wanted, "predictions" if regression else "probabilities")
    count = values.shape[1]
    names = target_names(count) if regression else trained.graph.class_names or tuple(map(str, range(count)))
    return Predictions(trained.ids(wanted), values.numpy(), names, trained.problem.multilabel, regression)


def embed(
    run: Path,
    nodes: ArrayLike | None = None,
    *,
    layer: int | None = None,
    checkpoint: str = "best",
    device: str = "auto",
    graph: Graph | None = None,
    settings: Sequence[str] = (),
    source: str = "nodes",
) -> Embeddings:
    """What layer `layer` gives for `nodes`; `gas_cli.embed` documents it. Raises UserError."""
    layers = config_of(run).model.num_layers
    layer = max(1, layers - 1) if layer is None else layer
    require(1 <= layer <= layers, "layer", layer, f"a layer from 1 to {layers}, those of the model")
    trained = _opened(run, "exact", checkpoint, device, graph, settings)
    wanted = _rows_of(nodes, trained.graph, source)
    values = trained.of_nodes(trained.evaluator.embeddings(layer), wanted)
    trained.check_finite(values, wanted, f"outputs of layer {layer}")
    return Embeddings(trained.ids(wanted), values.numpy(), layer)


@dataclass(frozen=True)
class _Trained:
    """A run's model on a graph. Tables of all N nodes are in the order of the partition."""

    run: Path
    problem: Problem
    evaluator: Evaluator
    histories: Histories | None

    @property
    def graph(self) -> Graph:
        return self.problem.graph

    def scores(self) -> Tensor:
        """Class scores [N, C]."""
        return self.evaluator.exact() if self.histories is None else self.evaluator.from_history(self.histories)

    def of_nodes(self, table: Tensor, wanted: NDArray[np.int64]) -> Tensor:
        """The rows of these nodes, which are numbered as in the dataset."""
        position = torch.empty_like(self.problem.partition.node_perm)
        position[self.problem.partition.node_perm] = torch.arange(len(position))
        return table[position[torch.from_numpy(wanted)]]

    def ids(self, wanted: NDArray[np.int64]) -> NDArray[Any]:
        return wanted if self.graph.node_ids is None else self.graph.node_ids.take(wanted)

    def check_finite(self, values: Tensor, wanted: NDArray[np.int64], what: str) -> None:
        """Raise UserError naming the first node with a NaN or an infinite value."""
        bad = torch.isfinite(values).all(1).logical_not().nonzero()
        if bad.numel():
            node = self.ids(wanted[int(bad[0]) : int(bad[0]) + 1])[0]
            raise UserError(
                f"{self.run}: the {what} of node {node} are NaN or infinite: the model's numbers overflow, so nothing was written. "
                "Check this node's features and those of its neighbours: they are much larger than in the training."
            )


def _opened(run: Path, mode: str, checkpoint: str, device: str, graph: Graph | None, settings: Sequence[str]) -> _Trained:
    """The model of `checkpoint` on the run's graph, on `graph`, or on the data of `settings`; with its histories in mode `history`."""
    config = config_of(run)
    path = run / "checkpoints" / f"{checkpoint}.pt"
    state = load_checkpoint(path)
    if mode == "history":
        config.method.require_histories("mode", mode, "exact")
        require(
            config.trainer.average == 0,
            "mode",
            mode,
            f"exact with trainer.average={config.trainer.average:g}: histories are of the live weights, predictions of the averaged ones",
        )
    with naming(path):
        check_same_settings(state.get("fingerprint"), identity_of(fixed_settings(config), config.model, config.method))
        dataset = other_data(config.dataset, run / "config.yaml", settings, state) if settings else config.dataset
    partitioner = of_any_size(config.partitioner, state) if mode == "exact" else config.partitioner
    problem = prepare(replace(config, dataset=unscaled(dataset), partitioner=partitioner), progress=True, graph=graph)
    if mode == "history" and problem.graph.inductive:
        raise UserError(f"mode=history: {problem.graph.name} is inductive, and only its training nodes have histories. Use mode=exact.")
    with naming(path):
        check_same_nodes(problem, state, dataset)
        problem = as_trained(problem, state, dataset)
        _check_graph(state, problem, labelled=not isinstance(dataset, UnlabelledConfig), mode=mode)
        if checkpoint == "best":
            check_best(state.get("progress"))
        model = make_model(config.model, problem, config.seed).to(pick_device(device))
        _load_weights(model, scoring_weights(state, config.trainer.average > 0))
        histories = None
        if mode == "history":
            groups = (config.trainer, config.history, config.model, replace(config.evaluation, mode=mode))
            training = Training(problem, _no_split(problem), model, pick_device(device), *groups, config.seed)
            histories = _restored(make_method(config.method, training), state)
    return _Trained(run, problem, _evaluator(problem, model, config.trainer, config.precision, pick_device(device)), histories)


def config_of(run: Path) -> Config:
    """The settings of a single run. Raises UserError for a folder that holds several."""
    config = load_config(run / "config.yaml")
    if (runs := len(config.single_runs())) > 1:
        raise UserError(f"run={run} holds {runs} runs: choose one, such as run={run / run_folder(0)}.")
    return config


def _check_graph(state: dict[str, Any], problem: Problem, labelled: bool, mode: str) -> None:
    """Raise UserError where the checkpoint cannot be applied to this graph; say in one line how the graph differs. `labelled`: whether the
    labels of the data are read.

    Exact predictions need the weights only, so that nodes may have come since; histories are those of the nodes of the training.
    """
    labelled = labelled and problem.fingerprints["classes"] != "0"
    ours = problem.fingerprints | {"feature columns": str(problem.graph.num_features)}
    check_applicable(state["fingerprint"], ours, labelled)
    changes = graph_changes(state["fingerprint"]["graph"], {key: ours[key] for key in ours if labelled or key not in LABELLED})
    if changes and mode == "history":
        raise UserError(
            f"mode=history: the graph or its partition has changed since the training ({', '.join(changes)}), so the histories do "
            "not fit it. Use mode=exact, or restore the dataset's files."
        )
    if changes and changes != ["another partition"]:  # which exact predictions do not depend on
        log.warning("The graph has changed since the training (%s): predicting for the current graph.", ", ".join(changes))


def _load_weights(model: Model, weights: Any) -> None:
    """Raises UserError where they do not fit."""
    check_weights(weights, model.state_dict())
    model.load_state_dict(weights)


def _restored(method: Method, state: dict[str, Any]) -> Histories | None:
    """The histories of the training. Raises UserError where those of the checkpoint do not fit."""
    method.check(state.get("method"))
    method.load_state_dict(state["method"])
    return method.histories


def _no_split(problem: Problem) -> Split:
    """For batches and methods, which carry masks: predictions read none, and other data have none."""
    none = torch.zeros(problem.graph.num_nodes, dtype=torch.bool)
    return Split(none, none, none)


def _evaluator(problem: Problem, model: Model, loop: TrainerConfig, precision: str, device: torch.device) -> Evaluator:
    builder = BatchBuilder(problem.graph, problem.adj, problem.partition, _no_split(problem), model.num_layers)
    groups = problem.evaluation_groups(min(loop.parts_per_step, problem.train_parts))
    loader = BatchLoader(builder, loop.prefetch)
    return Evaluator(model, problem.graph, loader, groups, device, precision, lambda: None)


def _numbers_or_texts(lines: list[str]) -> NDArray[Any]:
    """int64 where every line is a whole number written as such; else float64; else the lines."""
    for kind in (np.int64, np.float64):
        try:
            values: NDArray[Any] = np.array(lines, dtype=kind)
        except (ValueError, OverflowError):
            continue
        if kind is np.float64 or values.astype(str).tolist() == lines:
            return values
    return np.array(lines, dtype=object)


def _rows_of(nodes: ArrayLike | None, graph: Graph, source: str) -> NDArray[np.int64]:
    """The rows of the ids `nodes`, or of all nodes. Raises UserError for an id that no node has."""
    if nodes is None or graph.node_ids is None:
        return _checked(nodes, graph.num_nodes, source)
    ids = np.asarray(nodes)
    if ids.ndim != 1 or not ids.size:
        raise UserError(f"{source} has shape {ids.shape}: expected one id per node, at least one; leave `nodes` out for all nodes.")
    rows = graph.node_ids.rows_of([int(i) if isinstance(i, float) and i.is_integer() else i for i in ids.tolist()])
    if (bad := np.flatnonzero(rows < 0)).size:
        raise UserError(f"{source}: entry {bad[0]} is {ids[bad[0]]}, which is the id of no node of {graph.name}. Correct or remove it.")
    return rows.astype(np.int64)


def _checked(nodes: ArrayLike | None, num_nodes: int, source: str) -> NDArray[np.int64]:
    if nodes is None:
        return np.arange(num_nodes)
    ids = np.asarray(nodes)
    if ids.dtype.kind in "OU":
        raise UserError(f"{source} holds text such as {ids.ravel()[0]!r}: expected one whole number per node, one node id per line.")
    if ids.ndim != 1 or ids.dtype.kind not in "iuf" or not np.all(np.isfinite(ids)) or np.any(ids != np.floor(ids)):
        raise UserError(f"{source} has shape {ids.shape} and type {ids.dtype}: expected one whole number per node.")
    if not ids.size:
        raise UserError(f"{source} holds no node ids: expected at least one, or leave `nodes` out for all nodes.")
    bad = np.flatnonzero((ids < 0) | (ids >= num_nodes))
    if bad.size:
        raise UserError(f"{source}: entry {bad[0]} is {ids[bad[0]]:g}, expected node ids from 0 to {num_nodes - 1}.")
    return ids.astype(np.int64)


def read_nodes(path: Path) -> NDArray[Any]:
    """The array in an .npy file, or the ids in a text file, one per line. Raises UserError."""
    try:
        if path.suffix != ".npy":
            return _numbers_or_texts([line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()])
        ids = np.load(path, allow_pickle=False)
        if not isinstance(ids, np.ndarray):
            raise ValueError("it is an archive of several arrays")
    except (OSError, ValueError, EOFError) as error:
        raise UserError(f"nodes={path} cannot be read ({error}): expected an .npy array or a text file, one node id per line.") from error
    return ids
