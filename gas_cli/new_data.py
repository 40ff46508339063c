"""Other data for a trained model: which settings of the dataset may differ, and a graph in the columns and classes of the training."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gas_cli.config.compose import compose_config, load_config
from gas_cli.config.dataset import FEATURE_SETTINGS, GIVEN, SPLIT_SETTINGS, DatasetConfig, FolderConfig, UnlabelledConfig
from gas_cli.config.partitioner import PartitionerConfig, PartsOfSize
from gas_cli.errors import UserError
from gas_cli.graph.fitting import fit_columns
from gas_cli.graph.graph import Graph
from gas_cli.graph.scaling import scaled
from gas_cli.graph.schema import Schema
from gas_cli.partition.permute import fits_memory
from gas_cli.prepared.problem import Problem

log = logging.getLogger(__name__)

LABELLED = ("labels", "masks", "classes", "class names", "task")
"""Fingerprints of what predictions on other data do not read."""


def other_data(trained: DatasetConfig, path: Path, settings: Sequence[str], state: Mapping[str, Any]) -> DatasetConfig:
    """The dataset that `settings` describe: settings of the dataset `trained` of the run, such as `dataset.path=DIR`, or a dataset by name
    and its settings. Of a user's graph labels and splits are not read.

    path   the configuration of the run
    state  the checkpoint. Raises UserError.
    """
    for setting in settings:
        if not setting.startswith(("dataset=", "dataset.")):
            raise UserError(f"{setting} is not valid: expected settings of the graph to predict on, such as dataset.path=DIR.")
    if any(setting.startswith("dataset=") for setting in settings):
        dataset = compose_config(list(settings)).dataset
    elif trained.name == GIVEN:
        raise UserError(
            f"{settings[0]} is not valid: the graph of this run was passed in Python, so it has no such setting. "
            "Type dataset=folder dataset.path=DIR, or pass another graph: gas_cli.predict(folder, graph=graph)."
        )
    else:
        dataset = load_config(path, settings).dataset
    dataset = _with_features_of_training(dataset, trained, settings)
    if isinstance(dataset, FolderConfig):
        schema = schema_of(state)
        words = [column.name for column in (*schema.features, *schema.edge_attributes) if column.kind == "words"]
        kept = {field.name: getattr(dataset, field.name) for field in fields(dataset) if field.name not in SPLIT_SETTINGS}
        left_out = [name for name in (dataset.split_by, *dataset.columns.ignore) if name is not None]
        dataset = UnlabelledConfig(**kept | {"columns": replace(dataset.columns, ignore=left_out)}, words=words)
    return dataset


def _with_features_of_training(dataset: DatasetConfig, trained: DatasetConfig, settings: Sequence[str]) -> DatasetConfig:
    """`dataset` with features made as in the training. Raises `UserError` where `settings` ask for others."""
    for name in FEATURE_SETTINGS:
        ours, theirs = getattr(dataset, name), getattr(trained, name)
        if ours != theirs and any(setting.startswith(f"dataset.{name}=") for setting in settings):
            raise UserError(
                f"dataset.{name}={'null' if ours is None else ours} is not valid: the model was trained with "
                f"{'null' if theirs is None else theirs}, and predicts with the same. Leave it out."
            )
    return replace(dataset, **{name: getattr(trained, name) for name in FEATURE_SETTINGS})


def unscaled(dataset: DatasetConfig) -> DatasetConfig:
    """The same with features as they are loaded or made: `as_trained` finds their columns, then puts them on the scale of the training."""
    return replace(dataset, normalize=None)


def check_same_nodes(problem: Problem, state: Mapping[str, Any], dataset: DatasetConfig) -> None:
    """Raise `UserError` where features are random and the nodes are not those of the training: their numbers mean nothing to the model.

    The nodes are known by their ids, and without these by their edges.
    """
    before, here = state["fingerprint"]["graph"], problem.fingerprints
    known_by = ("nodes", "ids" if "ids" in here else "edges")
    if dataset.features == "random" and any(before.get(name) != here[name] for name in known_by):
        raise UserError(
            "the model was trained with dataset.features=random, so it knows only the nodes of the training, and the graph has others. "
            "Restore the dataset's files, or train with dataset.features=degree."
        )


def of_any_size(partitioner: PartitionerConfig, state: Mapping[str, Any]) -> PartsOfSize:
    """The same with parts as large as in the training of the checkpoint `state`: exact predictions do not depend on the parts."""
    nodes = state["fingerprint"]["graph"].get("nodes", "")
    saved = {field.name: getattr(partitioner, field.name) for field in fields(partitioner)}
    if partitioner.name == "file":  # its parts are those of the nodes of the training
        saved |= {"name": "metis", "file": ""}
    return PartsOfSize(**saved, nodes=int(nodes) if nodes.isdecimal() else 1)


@dataclass(frozen=True)
class TrainedOn:
    """What a checkpoint says of the graph of the training (`Graph.described`)."""

    schema: Schema
    num_classes: int
    class_names: tuple[str, ...]
    columns_of_y: int
    regression: bool

    def unknown(self, num_nodes: int) -> Tensor:
        """y of so many nodes, none of which has a label."""
        size = (num_nodes, self.columns_of_y) if self.columns_of_y else (num_nodes,)
        if self.regression:
            return torch.full(size, float("nan"))
        return torch.zeros(size) if self.columns_of_y else torch.full(size, -1)


def trained_on(state: Mapping[str, Any]) -> TrainedOn:
    """Raises UserError where the checkpoint does not say it."""
    try:
        stored = state["schema"]
        names, columns = tuple(map(str, stored["class_names"])), int(stored["columns_of_y"])
        return TrainedOn(Schema.from_json(stored), int(stored["num_classes"]), names, columns, bool(stored["regression"]))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(
            f"it does not say what the model was trained on ({error!r}): it is damaged, or of an earlier version of gas-train. "
            "Restore an intact copy, or start the run again."
        ) from error


def schema_of(state: Mapping[str, Any]) -> Schema:
    """The columns and the scale of the features in the training. Checkpoints of earlier versions have the columns in the fingerprint, and
    scaled nothing. Raises UserError for a damaged one."""
    if "schema" in state:
        return trained_on(state).schema
    try:
        return Schema.from_text(state["fingerprint"]["graph"].get("columns", ""))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"the checkpoint's columns cannot be read ({error}): it is damaged. Restore an intact copy.") from error


def source_of(dataset: DatasetConfig, graph: Graph) -> str:
    """What messages call the graph."""
    return dataset.path if isinstance(dataset, FolderConfig) else graph.name


def as_trained(problem: Problem, state: Mapping[str, Any], dataset: DatasetConfig) -> Problem:
    """The problem in the columns and on the scale of the training (`fit_columns`, `scaled`); without labels also with its classes, all
    labels unknown.

    problem  features are as they were loaded or made (`unscaled`)
    state    a checkpoint

    Raises UserError for other columns and for a damaged checkpoint; without labels also for one of an earlier version, which does not name
    the classes.
    """
    schema = schema_of(state)
    graph, fingerprints = fit_columns(problem.graph, schema, source_of(dataset, problem.graph)), problem.fingerprints
    scaling = schema.scaling
    if (None if scaling is None else scaling.kind) != dataset.normalize:
        raise UserError(f"it does not hold the scale of dataset.normalize={dataset.normalize}: it is damaged. Restore an intact copy.")
    if scaling is not None:
        graph = scaled(graph, scaling, in_memory=fits_memory(graph.x))
        fingerprints = {**fingerprints, "features": scaling.digest(fingerprints["features"])}
    if graph.num_classes == 0:
        trained = trained_on(state)
        y, classes = trained.unknown(graph.num_nodes), trained.num_classes
        graph = replace(graph, y=y, num_classes=classes, class_names=trained.class_names, regression=trained.regression)
    return replace(problem, graph=graph, fingerprints=fingerprints)
