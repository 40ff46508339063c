"""PNA's layer as the published GAS runs define and initialise it, in plain torch and edge by edge; PyG's PNAConv is another layer."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import torch
from torch import Tensor, nn


class PublishedPNAConv(nn.Module):
    """W h_v + Σ_{a, s} s(d_v) (W^{as} a_{w ∈ N(v)} ReLU(V^{as} h_w + c^{as}) + b^{as}): every map is an `nn.Linear` of its own.

    `degrees` [N] are the in-degrees of the nodes that training sees. Scalers: identity and amplification; aggregators: mean, max, sum, min.
    """

    def __init__(self, in_channels: int, out_channels: int, aggregators: Sequence[str], scalers: Sequence[str], degrees: Tensor) -> None:
        super().__init__()
        assert set(scalers) <= {"identity", "amplification"}, scalers
        self.pairs = list(product(aggregators, scalers))
        self.pre = nn.ModuleList(nn.Linear(in_channels, out_channels) for _ in self.pairs)
        self.post = nn.ModuleList(nn.Linear(out_channels, out_channels) for _ in self.pairs)
        self.own = nn.Linear(in_channels, out_channels)
        self.log_mean = float(degrees.float().log1p().mean())

    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        """x [N, in_channels], edges (source, target) [2, E] to [N, out_channels]."""
        from torch_geometric.utils import scatter

        source, target = edge_index
        amplification = torch.bincount(target, minlength=len(x)).float().log1p().unsqueeze(1) / self.log_mean
        out: Tensor = self.own(x)
        for (aggregator, scaler), pre, post in zip(self.pairs, self.pre, self.post, strict=True):
            messages = pre(x).relu()[source]
            reduced = post(scatter(messages, target, 0, len(x), reduce=aggregator))
            out = out + (reduced * amplification if scaler == "amplification" else reduced)
        return out
