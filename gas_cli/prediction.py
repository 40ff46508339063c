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

    nodes          int64 [n], ids as in the dataset
    probabilities  float32 [n, C]: each row adds up to 1 with one class per node, and is C separate probabilities with several
    classes        the dataset's label of each column, as text
    """

    nodes: NDArray[np.int64]
    probabilities: NDArray[np.float32]
    classes: tuple[str, ...]

    @property
    def labels(self) -> NDArray[np.str_]:
        """The most likely class of each node, as text [n]."""
        names: NDArray[np.str_] = np.array(self.classes)
        chosen: NDArray[np.str_] = names[self.probabilities.argmax(1)]
        return chosen

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the three arrays to the .npz file `path`, whole or not at all. Raises UserError where that cannot be done."""
        out = Path(path)
        out = out if out.suffix == ".npz" else out.with_name(out.name + ".npz")
        try:
            out.parent.mkdir(parents=True, exist_ok=True)
            with replaced(out) as file:
                np.savez(file, nodes=self.nodes, probabilities=self.probabilities, classes=np.array(self.classes))
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
    wanted = _checked(nodes, problem.graph.num_nodes, source)
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
        raise UserError(
            f"{run}: the probabilities of node {wanted[int(bad[0])]} are NaN: its class scores overflow, so nothing was written. "
            "Check this node's features and those of its neighbours: they are much larger than in the training."
        )
    return Predictions(wanted, values.numpy(), problem.graph.class_names or tuple(str(c) for c in range(values.shape[1])))


def config_of(run: Path) -> Config:
    """The settings of a single run. Raises UserError for a folder that holds several."""
    config = load_config(run / "config.yaml")
    if config.runs > 1:
        raise UserError(f"run={run} holds {config.runs} runs: choose one, such as run={run / run_folder(0)}.")
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
    groups = problem.evaluation_groups(min(config.trainer.batch_parts, problem.train_parts))
    loader = BatchLoader(builder, config.trainer.prefetch)
    evaluator = Evaluator(model, problem.graph, loader, groups, device, config.precision, lambda: None)
    return evaluator.exact() if histories is None else evaluator.from_history(histories)


def _checked(nodes: ArrayLike | None, num_nodes: int, source: str) -> NDArray[np.int64]:
    if nodes is None:
        return np.arange(num_nodes)
    ids = np.asarray(nodes)
    if ids.ndim != 1 or ids.dtype.kind not in "iuf" or not np.all(np.isfinite(ids)) or np.any(ids != np.floor(ids)):
        raise UserError(f"{source} has shape {ids.shape} and type {ids.dtype}: expected one whole number per node.")
    if not ids.size:
        raise UserError(f"{source} holds no node ids: expected at least one, or leave `nodes` out for all nodes.")
    bad = np.flatnonzero((ids < 0) | (ids >= num_nodes))
    if bad.size:
        raise UserError(f"{source}: entry {bad[0]} is {ids[bad[0]]:g}, expected node ids from 0 to {num_nodes - 1}.")
    return ids.astype(np.int64)


def read_nodes(path: Path) -> NDArray[Any]:
    """The array in an .npy file, or the numbers in a text file, one per line. Raises UserError."""
    try:
        if path.suffix != ".npy":
            return np.array([line for line in path.read_text().splitlines() if line.strip()], dtype=np.float64)
        ids = np.load(path, allow_pickle=False)
        if not isinstance(ids, np.ndarray):
            raise ValueError("it is an archive of several arrays")
    except (OSError, ValueError, EOFError) as error:
        raise UserError(f"nodes={path} cannot be read ({error}): expected an .npy array or a text file, one node id per line.") from error
    return ids
