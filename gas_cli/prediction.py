"""Class probabilities from a run's folder."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from gas_cli.batch.builder import BatchBuilder
from gas_cli.batch.loader import BatchLoader
from gas_cli.config.compose import load_config
from gas_cli.config.root import Config
from gas_cli.errors import UserError
from gas_cli.files import replaced
from gas_cli.graph.graph import SHOWN_CLASSES, Graph
from gas_cli.graph.splits import numbered_split
from gas_cli.method.make import make_method
from gas_cli.model.model import Model
from gas_cli.passes.evaluator import Evaluator
from gas_cli.passes.loss import probabilities
from gas_cli.prepared.problem import Problem
from gas_cli.report.prediction_table import FORMS, write_table
from gas_cli.run import prepare, run_folder
from gas_cli.tables.histories import Histories
from gas_cli.training.assemble import make_model, pick_device
from gas_cli.training.checked import check_weights
from gas_cli.training.checkpoint import load_checkpoint, naming
from gas_cli.training.identity import check_applicable, check_same_settings, graph_changes, identity_of
from gas_cli.training.progress import check_best

log = logging.getLogger(__name__)


@dataclass(frozen=True, repr=False)
class Predictions:
    """Class probabilities of n nodes.

    nodes          [n], ids as in the dataset: int64, or texts
    probabilities  float32 [n, C]: each row adds up to 1 with one class per node, and is C separate probabilities with several
    classes        the dataset's label of each column, as text
    several        whether a node may have several of them
    """

    nodes: NDArray[Any]
    probabilities: NDArray[np.float32]
    classes: tuple[str, ...]
    several: bool = False

    @property
    def labels(self) -> NDArray[np.str_]:
        """The most likely class of each node, as text [n]."""
        names: NDArray[np.str_] = np.array(self.classes)
        chosen: NDArray[np.str_] = names[self.probabilities.argmax(1)]
        return chosen

    def save(self, path: str | os.PathLike[str], top: int | None = None) -> Path:
        """Write the file `path`, whole or not at all: a table by id (.csv, .parquet; of the `top` most likely classes, if given), or the
        arrays `nodes`, `probabilities` and `classes` (.npz, which is appended to any other name). Raises UserError where that cannot be
        done."""
        out = Path(path)
        out = out if out.suffix in (".npz", *FORMS) else out.with_name(out.name + ".npz")
        if top is not None and not 1 <= top <= len(self.classes):
            raise UserError(f"top={top} is not valid: expected a number of classes from 1 to {len(self.classes)}.")
        try:
            out.parent.mkdir(parents=True, exist_ok=True)
            with replaced(out) as file:
                if out.suffix in FORMS:
                    write_table(file, out.suffix, self.nodes, self.probabilities, self.classes, self.several, top)
                else:
                    nodes = self.nodes if self.nodes.dtype.kind == "i" else self.nodes.astype(str)  # no pickled objects
                    np.savez(file, nodes=nodes, probabilities=self.probabilities, classes=np.array(self.classes))
        except OSError as error:
            raise UserError(f"out={out} cannot be written: {error.strerror}. Choose another path.") from error
        return out

    def __len__(self) -> int:
        return len(self.nodes)

    def __repr__(self) -> str:
        shown = ", ".join(self.classes[:SHOWN_CLASSES]) + ", …" * (len(self.classes) > SHOWN_CLASSES)
        return f"Predictions({len(self)} nodes, {len(self.classes)} classes: {shown})"


def predict(
    run: Path,
    nodes: ArrayLike | None = None,
    *,
    mode: str = "exact",
    checkpoint: str = "best",
    device: str = "auto",
    graph: Graph | None = None,
    source: str = "nodes",
) -> Predictions:
    """The probabilities of `nodes` (ids as in the dataset), or of all; `gas_cli.predict` documents the rest. `source` is what messages call
    `nodes`. Raises UserError for a folder, checkpoint, graph or node that does not fit."""
    config = config_of(run)
    path = run / "checkpoints" / f"{checkpoint}.pt"
    state = load_checkpoint(path)
    if mode == "history":
        config.method.require_histories("mode", mode, "exact")
    problem = prepare(config, progress=True, graph=graph)
    if mode == "history" and problem.graph.inductive:
        raise UserError(f"mode=history: {problem.graph.name} is inductive, and only its training nodes have histories. Use mode=exact.")
    wanted = _rows_of(nodes, problem.graph, source)
    with naming(path):
        _check_run(config, problem, state, mode)
        if checkpoint == "best":
            check_best(state.get("progress"))
        model, histories = _restored(config, problem, state, mode, pick_device(device))
    scores = _scores(config, problem, model, histories, pick_device(device))
    original = torch.empty_like(scores)
    original[problem.partition.node_perm] = scores  # back into the dataset's order
    values = probabilities(original[torch.from_numpy(wanted)], problem.multilabel)
    bad = torch.isfinite(values).all(1).logical_not().nonzero()
    if bad.numel():
        node = _named(problem.graph, int(wanted[int(bad[0])]))
        raise UserError(
            f"{run}: the probabilities of node {node} are NaN: its class scores overflow, so nothing was written. "
            "Check this node's features and those of its neighbours: they are much larger than in the training."
        )
    ids = problem.graph.node_ids
    names = problem.graph.class_names or tuple(str(c) for c in range(values.shape[1]))
    return Predictions(wanted if ids is None else ids.take(wanted), values.numpy(), names, problem.multilabel)


def config_of(run: Path) -> Config:
    """The settings of a single run. Raises UserError for a folder that holds several."""
    config = load_config(run / "config.yaml")
    if (runs := len(config.single_runs())) > 1:
        raise UserError(f"run={run} holds {runs} runs: choose one, such as run={run / run_folder(0)}.")
    return config


def _check_run(config: Config, problem: Problem, state: dict[str, Any], mode: str) -> None:
    """Raise UserError where the checkpoint is of another run, or cannot be applied to this graph; say in one line how the graph differs.

    Exact predictions need the weights only, so that nodes may have come since; histories are those of the nodes of the training.
    """
    saved, ours = state.get("fingerprint"), identity_of(config, problem, config.seed)
    check_same_settings(saved, ours)
    check_applicable(saved, ours)  # type: ignore[arg-type]  # its form was checked
    changes = graph_changes(saved, ours)  # type: ignore[arg-type]
    if changes and mode == "history":
        raise UserError(
            f"mode=history: the graph or its partition has changed since the training ({', '.join(changes)}), so the histories do "
            "not fit it. Use mode=exact, or restore the dataset's files."
        )
    if changes and changes != ["another partition"]:  # which exact predictions do not depend on
        log.warning("The graph has changed since the training (%s): predicting for the current graph.", ", ".join(changes))


def _restored(config: Config, problem: Problem, state: dict[str, Any], mode: str, device: torch.device) -> tuple[Model, Histories | None]:
    """The trained model, and for `mode=history` its histories. Raises UserError where those of the checkpoint do not fit."""
    model = make_model(config.model, problem, config.seed).to(device)
    check_weights(state.get("model"), model.state_dict())
    model.load_state_dict(state["model"])
    if mode == "exact":
        return model, None
    method = make_method(config, problem, numbered_split(problem.graph, config.dataset.split, config.seed), model, device)
    method.check(state.get("method"))
    method.load_state_dict(state["method"])
    return model, method.histories


def _scores(config: Config, problem: Problem, model: Model, histories: Histories | None, device: torch.device) -> Tensor:
    split = numbered_split(problem.graph, config.dataset.split, config.seed)
    builder = BatchBuilder(problem.graph, problem.adj, problem.partition, split, model.num_layers)
    groups = problem.evaluation_groups(min(config.trainer.parts_per_step, problem.train_parts))
    loader = BatchLoader(builder, config.trainer.prefetch)
    evaluator = Evaluator(model, problem.graph, loader, groups, device, config.precision, lambda: None)
    return evaluator.exact() if histories is None else evaluator.from_history(histories)


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


def _named(graph: Graph, row: int) -> Any:
    """What the dataset calls the node."""
    return row if graph.node_ids is None else graph.node_ids.take(np.array([row]))[0]


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
