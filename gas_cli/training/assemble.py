"""The one place that puts a trainer together: device, split, model and loop of a configuration, on a prepared problem."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch

from gas_cli.batch.batch import Reading
from gas_cli.config.model import ModelConfig
from gas_cli.config.root import Config
from gas_cli.errors import UserError
from gas_cli.graph.splits import numbered_split
from gas_cli.model.model import Model
from gas_cli.model.registry import build_model
from gas_cli.prepared.problem import Problem
from gas_cli.training.trainer import Trainer


def make_trainer(
    config: Config, problem: Problem, folder: Path, seed: int | None = None, reading: Callable[[Reading], Reading] | None = None
) -> Trainer:
    """The training of `config` in `folder`, where nothing is written yet, from its first step on; `seed` is `config.seed` without another.

    `reading` changes what the model promises not to read, so that a comparison can take a shortcut back.

    Raises UserError for a device or a split that does not exist.
    """
    config, seed = config.with_parts(*problem.parts), config.seed if seed is None else seed
    device, split = pick_device(config.device), numbered_split(problem.graph, config.dataset.split, seed)
    torch.manual_seed(seed)
    model = make_model(config.model, problem, seed)
    model.reading = model.reading if reading is None else reading(model.reading)
    return Trainer(config, problem, split, model, seed, device, folder)


def make_model(config: ModelConfig, problem: Problem, seed: int) -> Model:
    """The model with the weights that `seed` draws; what it wants to know of the edges that training sees, it has seen."""
    graph = problem.graph
    model = build_model(config, graph.num_features, graph.num_classes, seed, graph.edge_dim)
    model.observe(problem.seen_adj)
    return model


def pick_device(name: str) -> torch.device:
    """`auto` takes CUDA where there is one. Raises UserError for `cuda` without a device."""
    if name == "cuda" and not torch.cuda.is_available():
        built = "this torch is built without CUDA" if torch.version.cuda is None else "torch sees no CUDA device"
        raise UserError(f"device=cuda: {built}. Use device=cpu (or auto), or install a CUDA build of torch and check `nvidia-smi`.")
    if name == "cpu" or not torch.cuda.is_available():
        return torch.device("cpu")
    return torch.device("cuda", torch.cuda.current_device())  # with its index, as tensors name their device
