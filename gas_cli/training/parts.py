"""From settings and a loaded graph to the number of parts, where it is `auto`."""

from __future__ import annotations

import logging

import torch
from torch import Tensor

from gas_cli.config.model import GATConfig, ModelConfig
from gas_cli.config.root import Config
from gas_cli.graph.graph import Features, Graph
from gas_cli.measure.memory import total_memory
from gas_cli.model.registry import build_model
from gas_cli.partition.auto import LIBRARIES, Load, decide
from gas_cli.training.assemble import pick_device

log = logging.getLogger(__name__)

FEATURES = 3
"""Rows of features per target: those of the batch, and with dropout on them."""
MESSAGE = 24
"""Bytes per edge of the blocks, transposed too."""


def with_parts(config: Config, graph: Graph) -> Config:
    """The same with both numbers of parts as they are for this graph on this machine, and a line that says why; those that are set stay.

    A file of parts is read later (`Problem.parts`).
    """
    num_parts, batch_parts = config.partitioner.num_parts, config.trainer.batch_parts
    if not config.has_auto or config.partitioner.name == "file":
        return config
    if not config.method.has_parts:
        return config.with_parts(1, 1)
    decision = decide(
        step_load(config.model, graph, config.device),
        memory_of(config.device),
        num_parts if isinstance(num_parts, int) else None,
        batch_parts if isinstance(batch_parts, int) else None,
    )
    log.info("%s", decision.reason)
    return config.with_parts(decision.num_parts, decision.batch_parts)


def step_load(config: ModelConfig, graph: Graph, device: str) -> Load:
    """What a step of the model on all of `graph` takes: an estimate from sizes only. Of an inductive graph the nodes that training sees."""
    classes = max(1, graph.num_classes)
    model, used = build_model(config, graph.num_features, classes, 0, graph.edge_dim), pick_device(device)  # whatever its weights
    nodes = int(graph.splits[0].train.sum()) if graph.inductive and graph.splits else graph.num_nodes
    messages = (graph.num_edges + graph.num_nodes) * nodes // max(1, graph.num_nodes)
    features = feature_bytes(graph.x) // max(1, graph.num_nodes)
    hidden, width = sum(model.widths[1:]), sum(model.widths[1:]) + classes
    encoded = 0 if model.widths[0] == graph.num_features else model.widths[0] + config.hidden_channels
    kept_messages = 0 if _only_sums(config, used) else config.kept_messages
    on_cpu = used.type == "cpu"
    return Load(
        nodes=nodes,
        messages=messages,
        row=FEATURES * features + 4 * config.kept_rows * (encoded + width),
        halo=2 * features + (4 if on_cpu else 8) * hidden,  # on a GPU those of the next step are read ahead
        message=MESSAGE + 4 * (kept_messages * width + 2 * graph.edge_dim),
        fixed=LIBRARIES + (graph.num_nodes * features + 16 * graph.num_edges if on_cpu else 0),
        history=4 * hidden if on_cpu else 0,
    )


def _only_sums(config: ModelConfig, device: torch.device) -> bool:
    """Whether a step has no row per edge: attention of the first version is compiled for the CPU only."""
    return isinstance(config, GATConfig) and config.version == 1 and device.type == "cpu"


def feature_bytes(x: Features) -> int:
    """Of all nodes."""
    return x.numel() * 4 if isinstance(x, Tensor) else x.nbytes


def memory_of(device: str) -> int:
    """Bytes of the device that computes: all it has, so that a decision does not depend on what else runs."""
    found = pick_device(device)
    return torch.cuda.get_device_properties(found).total_memory if found.type == "cuda" else total_memory()
