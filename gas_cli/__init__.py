"""gas-train: train message-passing GNNs on graphs larger than the device (GNNAutoScale, ICML 2021).

`import gas_cli` loads neither torch nor Hydra; each name below loads what it needs when it is first used. It does one thing: it sets two
environment variables for torch, where torch is not loaded yet (`process.py`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gas_cli.process import prepare_torch

__version__ = "0.1.0"

prepare_torch()

if TYPE_CHECKING:
    from gas_cli.api import Run as Run
    from gas_cli.api import embed as embed
    from gas_cli.api import predict as predict
    from gas_cli.api import register_dataset as register_dataset
    from gas_cli.api import register_method as register_method
    from gas_cli.api import register_model as register_model
    from gas_cli.api import resume as resume
    from gas_cli.api import train as train
    from gas_cli.config.compose import compose_config as compose_config
    from gas_cli.config.dataset import DatasetConfig as DatasetConfig
    from gas_cli.config.method import MethodConfig as MethodConfig
    from gas_cli.config.model import ModelConfig as ModelConfig
    from gas_cli.config.root import Config as Config
    from gas_cli.errors import Interrupted as Interrupted
    from gas_cli.errors import UserError as UserError
    from gas_cli.graph.graph import Graph as Graph
    from gas_cli.graph.graph import Split as Split
    from gas_cli.method.method import Link as Link
    from gas_cli.method.method import Method as Method
    from gas_cli.method.method import Training as Training
    from gas_cli.model.model import Drop as Drop
    from gas_cli.model.model import Model as Model
    from gas_cli.model.model import propagate as propagate
    from gas_cli.model.model import transform as transform
    from gas_cli.predicted import Embeddings as Embeddings
    from gas_cli.predicted import Predictions as Predictions

_PLACES = {
    "Config": "config.root",
    "DatasetConfig": "config.dataset",
    "Drop": "model.model",
    "Embeddings": "predicted",
    "Graph": "graph.graph",
    "Interrupted": "errors",
    "Link": "method.method",
    "Method": "method.method",
    "MethodConfig": "config.method",
    "Model": "model.model",
    "ModelConfig": "config.model",
    "Predictions": "predicted",
    "Run": "api",
    "Split": "graph.graph",
    "Training": "method.method",
    "UserError": "errors",
    "compose_config": "config.compose",
    "embed": "api",
    "predict": "api",
    "propagate": "model.model",
    "register_dataset": "api",
    "register_method": "api",
    "register_model": "api",
    "resume": "api",
    "train": "api",
    "transform": "model.model",
}
"""The public names, and the modules that they are in."""

__all__ = list(_PLACES)


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module 'gas_cli' has no attribute {name!r}")
    import importlib

    value = getattr(importlib.import_module(f"gas_cli.{_PLACES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_PLACES})
