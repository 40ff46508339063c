"""The library: what the commands do, as functions of a program or a notebook."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from gas_cli import prediction
from gas_cli.config.checks import require
from gas_cli.config.compose import compose_config, load_config
from gas_cli.config.continued import load_continued
from gas_cli.config.dataset import FEATURE_SETTINGS, GIVEN, SPLIT_SETTINGS, DatasetConfig
from gas_cli.config.method import MethodConfig
from gas_cli.config.model import ModelConfig
from gas_cli.config.registered import register
from gas_cli.config.root import DEVICES, Config
from gas_cli.config.schemas import METHOD_SCHEMAS, MODEL_SCHEMAS
from gas_cli.config.training import CHECKPOINTS, EVALUATION_MODES
from gas_cli.errors import UserError
from gas_cli.graph.graph import Graph
from gas_cli.graph.load import SOURCES
from gas_cli.method.method import Method
from gas_cli.model.model import Model
from gas_cli.predicted import Embeddings, Predictions
from gas_cli.process import report_late
from gas_cli.report.recorder import read_metrics
from gas_cli.report.results import results_table
from gas_cli.report.summary import read_summary
from gas_cli.run import resume as resume_run
from gas_cli.run import run as run_new

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Place = str | os.PathLike[str]
Settings = Config | Sequence[str]
"""A configuration, or settings as `gas-train` takes them: `["dataset=cora", "model=gcn", "trainer.epochs=50"]`."""

SHIPPED = {"dataset": (*SOURCES, GIVEN), "model": MODEL_SCHEMAS, "method": METHOD_SCHEMAS}
T = TypeVar("T")


class Run:
    """A run's folder: what `train` returns, or an earlier run, also of `gas-train`. Nothing is read before it is asked for."""

    def __init__(self, folder: Place) -> None:
        self.folder = Path(folder)

    @property
    def config(self) -> Config:
        """Its settings. Raises UserError where its config.yaml is missing or damaged."""
        return load_config(self.folder / "config.yaml")

    @property
    def summary(self) -> dict[str, Any]:
        """summary.json: `status`; `train`, `val` and `test` at the best validation epoch, means over the seeds where `runs` > 1; seconds,
        memory and the rest. Raises UserError."""
        return read_summary(self.folder / "summary.json")

    @property
    def metrics(self) -> list[dict[str, Any]]:
        """One record per epoch: `epoch`, `loss`, `train`, `val` and `test` where evaluated, `seconds` by phase. Raises UserError."""
        return read_metrics(self.folder / "metrics.jsonl")

    def predict(self, nodes: Any = None, **options: Any) -> Predictions:
        """`gas_cli.predict` of this run."""
        return predict(self.folder, nodes, **options)

    def embed(self, nodes: Any = None, **options: Any) -> Embeddings:
        """`gas_cli.embed` of this run."""
        return embed(self.folder, nodes, **options)

    def __repr__(self) -> str:
        try:
            summary = self.summary
        except UserError:
            return f"Run({str(self.folder)!r}, not started)"
        what = " ".join(str(summary.get(key, "?")) for key in ("dataset", "model", "method"))
        table = results_table(summary)
        return f"Run({str(self.folder)!r}, {summary.get('status')}: {what})" + (f"\n{table.rstrip()}" if table else "")


def train(config: Settings, folder: Place, graph: Graph | None = None) -> Run:
    """Train what `config` describes and leave checkpoints, metrics and summary in `folder`, as `gas-train` does.

    config  a `Config`, or a list of settings: `["model=gcn", "trainer.epochs=50"]`
    folder  where the run goes: a new or empty folder
    graph   train on this graph instead of the dataset of `config`; give it to `resume` and `predict` again

    Shows a progress bar on a terminal; elsewhere epochs go to the logger `gas_cli`. Raises UserError for settings, files or a graph that do
    not fit, and where `folder` holds a run; `Interrupted` after Ctrl-C, with everything saved for `resume`.
    """
    report_late()
    run_new(_of_graph(_config(config), graph), Path(folder), graph)
    return Run(folder)


def resume(folder: Place, settings: Sequence[str] = (), graph: Graph | None = None) -> Run:
    """Continue the run in `folder` from its last checkpoint, as `gas-train resume=FOLDER` does.

    settings  what is to be different from now on, such as `["trainer.epochs=400"]`; what would change the result so far is refused
    graph     the graph that `train` was given, if it was

    Raises like `train`, and UserError where `folder` holds no run.
    """
    report_late()
    path = _existing(folder)
    _, config = load_continued(path / "config.yaml", _listed(settings))
    resume_run(path, _of_graph(config, graph), graph)
    return Run(path)


def predict(
    run: Place | Run,
    nodes: NDArray[np.int64] | Sequence[int] | None = None,
    *,
    mode: str = "exact",
    checkpoint: str = "best",
    device: str = "auto",
    graph: Graph | None = None,
    settings: Sequence[str] = (),
) -> Predictions:
    """Class probabilities of a trained model, or the predicted numbers (`values`) of a regression.

    run         the run, or its folder
    nodes       ids [n] as in the dataset; None for all N
    mode        exact: all layers on the whole graph; history: only the last layer, on the stored histories
    checkpoint  best (by the validation metric) or last
    device      auto, cpu or cuda
    graph       the graph that `train` was given, if it was; with mode=exact it may have other nodes and edges than in training
    settings    of other data with the same columns: `["dataset.path=DIR"]`; labels and splits of a folder are not read then

    Raises UserError for a folder, checkpoint, graph or node that does not fit.
    """
    require(mode in EVALUATION_MODES, "mode", mode, "one of " + ", ".join(EVALUATION_MODES))
    options = _checked_options(checkpoint, device, graph, settings)
    return prediction.predict(_folder_of(run), nodes, mode=mode, **options)


def embed(
    run: Place | Run,
    nodes: NDArray[np.int64] | Sequence[int] | None = None,
    *,
    layer: int | None = None,
    checkpoint: str = "best",
    device: str = "auto",
    graph: Graph | None = None,
    settings: Sequence[str] = (),
) -> Embeddings:
    """What layer `layer` of a trained model gives: h_l [n, width] of the n nodes, computed exactly.

    layer  1 to L, the model's number of layers; None takes L-1 (1 of a model with one layer), which the last layer reads

    The other arguments and errors are those of `predict`.
    """
    options = _checked_options(checkpoint, device, graph, settings)
    return prediction.embed(_folder_of(run), nodes, layer=layer, **options)


def _checked_options(checkpoint: str, device: str, graph: Graph | None, settings: Sequence[str]) -> dict[str, Any]:
    report_late()
    require(checkpoint in CHECKPOINTS, "checkpoint", checkpoint, "one of " + ", ".join(CHECKPOINTS))
    require(device in DEVICES, "device", device, "one of " + ", ".join(DEVICES))
    if graph is not None:
        graph.validate()
        require(not settings, "settings", list(settings), "no settings where a graph is given")
    return {"checkpoint": checkpoint, "device": device, "graph": graph, "settings": _listed(settings)}


def _folder_of(run: Place | Run) -> Path:
    return _existing(run.folder if isinstance(run, Run) else run)


def register_dataset(
    name: str, settings: type[DatasetConfig] = DatasetConfig
) -> Callable[[Callable[[Any], Graph]], Callable[[Any], Graph]]:
    """Decorate a function `load(config) -> Graph` to make it `dataset=name` in this process.

    `settings` is a dataclass below `DatasetConfig`: what `load` is given, and the settings `dataset.KEY=VALUE`. For the commands, a package
    registers a dataset by an entry point (docs/graph-files.md). Raises UserError for a name of a shipped dataset.
    """
    return _registering("dataset", name, settings)


def register_model(name: str, settings: type[ModelConfig] = ModelConfig) -> Callable[[type[Model]], type[Model]]:
    """Decorate a class below `Model` to make it `model=name` in this process; `settings` is the dataclass of its settings.

    For the commands, use `model=custom model.module=FILE`, or an entry point of a package (docs/own-layer.md). Raises UserError for the
    name of a shipped model.
    """
    return _registering("model", name, settings)


def register_method(name: str, settings: type[MethodConfig] = MethodConfig) -> Callable[[type[Method]], type[Method]]:
    """Decorate a class below `Method` to make it `method=name` in this process; `settings` is the dataclass of its settings, which also
    answers for what the method asks of the other groups. Raises UserError for the name of a shipped method."""
    return _registering("method", name, settings)


def _registering(group: str, name: str, settings: type[Any]) -> Callable[[T], T]:
    require(name not in SHIPPED[group], "name", name, f"another name: {group}={name} is already in this package")

    def decorate(implementation: T) -> T:
        register(group, name, settings, implementation)
        return implementation

    return decorate


def _config(config: Settings) -> Config:
    return config if isinstance(config, Config) else compose_config(_listed(config))


def _listed(settings: Sequence[str]) -> list[str]:
    if isinstance(settings, str) or not all(isinstance(setting, str) for setting in settings):
        raise UserError(f"settings={settings!r} is not valid: expected a list of texts, as in ['model=gcn', 'trainer.epochs=50'].")
    return list(settings)


def _of_graph(config: Config, graph: Graph | None) -> Config:
    """With the name of the dataset that says that a program has the graph."""
    if graph is None:
        return config
    if not isinstance(graph, Graph):
        raise UserError(f"graph is a {type(graph).__name__}: expected a gas_cli.Graph, such as Graph.from_pyg(data) returns.")
    graph.validate()
    kept = {name: getattr(config.dataset, name) for name in (*SPLIT_SETTINGS, *FEATURE_SETTINGS)}
    return replace(config, dataset=DatasetConfig(name=GIVEN, **kept))


def _existing(folder: Place) -> Path:
    path = Path(folder)
    require((path / "config.yaml").is_file(), "folder", path, "the folder of a run, with config.yaml in it")
    return path
