"""The benchmarked models as users of PyG write them: PyG's layers, dense features, `F.dropout`."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gas_cli.config.model import ModelConfig


def build(settings: ModelConfig, in_channels: int, out_channels: int, degrees: Tensor, cached: bool) -> nn.Module:
    """The same architecture as ours. `degrees` [N] are PNA's; `cached` keeps GCN's normalised adjacency, which only full batch can."""
    if settings.name == "gcnii":
        return DeepGCN(settings, in_channels, out_channels, cached)
    if settings.name == "appnp":
        return Personalised(settings, in_channels, out_channels, cached)
    return Layers(settings, in_channels, out_channels, degrees, cached)


class Layers(nn.Module):
    """Convolution, batch norm, activation, dropout; the last layer is only a convolution."""

    def __init__(self, settings: Any, in_channels: int, out_channels: int, degrees: Tensor, cached: bool) -> None:
        super().__init__()
        width = settings.hidden_channels * getattr(settings, "heads", 1)
        sizes = [in_channels] + [width] * (settings.num_layers - 1) + [out_channels]
        last = settings.num_layers - 1
        self.settings = settings
        self.convs = nn.ModuleList(
            convolution(settings, a, b, index == last, degrees, cached) for index, (a, b) in enumerate(pairwise(sizes))
        )
        self.norms = nn.ModuleList(nn.BatchNorm1d(c) for c in sizes[1:-1]) if settings.batch_norm else None
        self.activation = F.elu if settings.name.startswith("gat") else F.relu

    def forward(self, x: Tensor, adjacency: Any) -> Tensor:
        if self.settings.drop_input:
            x = F.dropout(x, self.settings.dropout, self.training)
        for index, conv in enumerate(self.convs[:-1]):
            x = conv(x, adjacency)
            x = self.norms[index](x) if self.norms is not None else x
            x = F.dropout(self.activation(x), self.settings.dropout, self.training)
        return self.convs[-1](x, adjacency)  # type: ignore[no-any-return]


class DeepGCN(nn.Module):
    """GCNII."""

    def __init__(self, settings: Any, in_channels: int, out_channels: int, cached: bool) -> None:
        super().__init__()
        from torch_geometric.nn import GCN2Conv

        width, self.settings = settings.hidden_channels, settings
        self.lin_in, self.lin_out = nn.Linear(in_channels, width), nn.Linear(width, out_channels)
        self.convs = nn.ModuleList(
            GCN2Conv(width, settings.alpha, settings.theta, layer + 1, settings.shared_weights, cached)
            for layer in range(settings.num_layers)
        )

    def forward(self, x: Tensor, adjacency: Any) -> Tensor:
        p = self.settings.dropout
        x = F.dropout(x, p, self.training) if self.settings.drop_input else x
        x = initial = self.lin_in(x).relu()
        for conv in self.convs:
            x = conv(F.dropout(x, p, self.training), initial, adjacency).relu()
        return self.lin_out(F.dropout(x, p, self.training))  # type: ignore[no-any-return]


class Personalised(nn.Module):
    """APPNP."""

    def __init__(self, settings: Any, in_channels: int, out_channels: int, cached: bool) -> None:
        super().__init__()
        from torch_geometric.nn import APPNP

        self.settings = settings
        self.lin_in, self.lin_out = nn.Linear(in_channels, settings.hidden_channels), nn.Linear(settings.hidden_channels, out_channels)
        self.propagate = APPNP(settings.num_layers, settings.alpha, cached=cached)

    def forward(self, x: Tensor, adjacency: Any) -> Tensor:
        p = self.settings.dropout
        x = F.dropout(x, p, self.training) if self.settings.drop_input else x
        x = F.dropout(self.lin_in(x).relu(), p, self.training)
        return self.propagate(self.lin_out(x), adjacency)  # type: ignore[no-any-return]


def convolution(settings: Any, in_channels: int, out_channels: int, last: bool, degrees: Tensor, cached: bool) -> nn.Module:
    import torch_geometric.nn as pyg

    match settings.name:
        case "gcn":
            return pyg.GCNConv(in_channels, out_channels, cached=cached)  # type: ignore[no-any-return]
        case "sage":
            return pyg.SAGEConv(in_channels, out_channels)  # type: ignore[no-any-return]
        case "gin":
            norm = settings.batch_norm or settings.mlp_batch_norm
            return pyg.GINConv(perceptron(in_channels, out_channels, norm), train_eps=True)  # type: ignore[no-any-return]
        case "gat" | "gatv2":
            kind = pyg.GATConv if settings.version == 1 else pyg.GATv2Conv
            heads = settings.out_heads if last else settings.heads
            channels = out_channels if last else settings.hidden_channels
            return kind(in_channels, channels, heads, concat=not last, dropout=settings.dropout)  # type: ignore[no-any-return]
        case "pna":
            histogram = torch.bincount(degrees)
            return pyg.PNAConv(in_channels, out_channels, list(settings.aggregators), list(settings.scalers), histogram)  # type: ignore[no-any-return]
    raise SystemExit(f"scripts.lib.pyg_models: no PyG twin of model={settings.name}")


def perceptron(in_channels: int, out_channels: int, norm: bool) -> nn.Sequential:
    inner = [nn.BatchNorm1d(out_channels)] if norm else []
    return nn.Sequential(nn.Linear(in_channels, out_channels), *inner, nn.ReLU(), nn.Linear(out_channels, out_channels))
