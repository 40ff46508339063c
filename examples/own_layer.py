"""A layer of your own, in a file that the command reads:

    gas-train model=custom model.module=examples/own_layer.py model.layer_args.sharpness=2.0

docs/own-layer.md says what the class gets and returns.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Gated(nn.Module):
    """h'_v = W h_v + mean over the neighbours w of sigmoid(sharpness (U h_w + b)) * V h_w, by channel."""

    def __init__(self, in_channels: int, out_channels: int, sharpness: float = 1.0) -> None:
        super().__init__()
        self.own = nn.Linear(in_channels, out_channels)
        self.gate = nn.Linear(in_channels, out_channels)
        self.message = nn.Linear(in_channels, out_channels)
        self.sharpness = sharpness

    def forward(self, x: tuple[Tensor, Tensor], edge_index: Tensor) -> Tensor:
        x_source, x_target = x  # [B+H, in_channels], [B, in_channels]
        source, target = edge_index  # [2, E]: rows of x_source, rows of x_target
        messages = (self.sharpness * self.gate(x_source)).sigmoid() * self.message(x_source)
        total = messages.new_zeros(len(x_target), messages.shape[1]).index_add_(0, target, messages[source])
        degree = torch.bincount(target, minlength=len(x_target)).clamp(min=1).unsqueeze(1)
        return self.own(x_target) + total / degree
