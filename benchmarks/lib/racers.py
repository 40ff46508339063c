"""What benchmarks.time_to_accuracy drives: one epoch of training at a time, and the accuracy after it."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from benchmarks.lib.our_training import clock_for, make_trainer
from benchmarks.lib.pyg_training import full_epoch, make_training
from gas_cli.config.root import Config
from gas_cli.graph.graph import Graph, Split
from gas_cli.graph.load import load_graph
from gas_cli.run import prepare

Racer = tuple[Callable[[], float], Callable[[], tuple[float, float]]]
"""Trains an epoch and returns its seconds; returns the accuracy on validation and test nodes."""


def our_racer(config: Config) -> Racer:
    """GAS or full batch; the first epoch's seconds include the filling of the histories."""
    problem = prepare(config)
    warm_up = make_trainer(config, problem, config.seed)
    warm_up.train_epoch()
    warm_up.evaluator.exact()
    trainer = make_trainer(config, problem, config.seed)
    now = clock_for(trainer.device)

    def epoch() -> float:
        started = now()
        trainer._fill()  # only before the first epoch, as `fit` does
        trainer.train_epoch()
        seconds = now() - started
        trainer.progress.next_epoch()
        return seconds

    def accuracy() -> tuple[float, float]:
        measured = trainer.evaluator.measure(trainer.evaluator.exact(), trainer.split)
        return measured["val"], measured["test"]

    return epoch, accuracy


def pyg_racer(config: Config, variant: str) -> Racer:
    """PyG, evaluated in full batch on `edge_index` whatever it trains on. Raises Missing."""
    graph = load_graph(config.dataset)
    split = graph.splits[config.seed % len(graph.splits)]
    torch.manual_seed(config.seed)
    make_training(graph, split.train, config, variant).run_epoch()
    torch.manual_seed(config.seed)
    training = make_training(graph, split.train, config, variant)
    whole = full_epoch(graph, split.train, "pyg", training.device) if variant.endswith("-loader") else training.epoch
    x, adjacency, *_ = next(whole())

    def accuracy() -> tuple[float, float]:
        training.model.eval()
        with torch.no_grad():
            return accuracies(training.model(x, adjacency), graph, split)

    return lambda: training.run_epoch()["seconds"], accuracy


def accuracies(scores: Tensor, graph: Graph, split: Split) -> tuple[float, float]:
    right = scores.argmax(1).cpu() == graph.y
    return float(right[split.val].double().mean()), float(right[split.test].double().mean())
