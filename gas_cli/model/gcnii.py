"""GCNII."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from gas_cli.batch.batch import Block, Reading, Rows
from gas_cli.config.model import GCNIIConfig
from gas_cli.graph.graph import Features
from gas_cli.model.batch_norm import BatchNorm
from gas_cli.model.gain import Gain, spectral_norm
from gas_cli.model.model import Drop, Model, State, glorot, input_linear, propagate, transform
from gas_cli.ops.dropout import Noise, masked
from gas_cli.ops.identity_map import identity_map, identity_map_relu


class GCNII(Model):
    """Deep GCN with initial residual and identity mapping (Chen et al., ICML 2020).

        s = (1-α) Â dropout(h^l) + α h_0,    h^{l+1} = ReLU(norm((1-β_l) s + β_l s W_l) [+ h^l]),    β_l = log(θ/(l+1) + 1)

    between two linear layers; with `shared_weights=false` the two summands of s have a matrix each.

    Shapes: x [n, in_channels] → scores [n, out_channels]; histories [N, hidden_channels] for layers 1..L-1.
    """

    uses_initial = can_activate_inputs = True

    def __init__(self, config: GCNIIConfig, in_channels: int, out_channels: int) -> None:
        super().__init__()
        depth, hidden = config.num_layers, config.hidden_channels
        self.num_layers, self.widths, self.out_width = depth, (hidden,) * depth, hidden
        self.alpha, self.residual = config.alpha, config.residual
        self.reading = Reading(others=config.batch_norm)
        self.betas = [math.log(config.theta / (index + 1) + 1) for index in range(depth)]
        self.lin_in = input_linear(in_channels, hidden)
        self.lin_out = nn.Linear(hidden, out_channels)
        self.weights = nn.ParameterList(glorot(hidden, hidden) for _ in range(depth))
        self.initial_weights = nn.ParameterList(glorot(hidden, hidden) for _ in range(0 if config.shared_weights else depth))
        self.norms = nn.ModuleList(BatchNorm(hidden, config.track_running_stats) for _ in range(depth if config.batch_norm else 0))
        self.drop_input = Drop(config.dropout if config.drop_input else 0.0, site=0)
        self.drops = [Drop(config.dropout, site=index + 1) for index in range(depth + 1)]

    @property
    def sum_widths(self) -> tuple[int, ...]:
        return self.widths[1:]

    def encode(self, x: Features, ids: Tensor, noise: Noise) -> Tensor:
        x = self.drop_input(x, ids, noise)
        return transform(x, self.lin_in.weight.t()).add_(self.lin_in.bias).relu_()

    def layer(self, index: int, rows: Rows, block: Block, state: State) -> Tensor:
        rows = self.active_inputs(index, rows)
        assert isinstance(state.initial, Tensor) and isinstance(rows.target, Tensor)
        beta, keep = self.betas[index], 1 - self.alpha
        masks = self.drops[index].masks(block, state.noise)
        if len(self.initial_weights):
            mixed = propagate(rows, block, masks, keep)
            mapped = mixed @ self.weights[index] + self.alpha * (state.initial @ self.initial_weights[index])
            out = torch.lerp(mixed.add(state.initial, alpha=self.alpha), mapped.to(mixed.dtype), beta)
        else:
            mixed = propagate(rows, block, masks, keep, state.initial, self.alpha)
            if not (len(self.norms) or self.residual or self.activates_inputs):
                return identity_map_relu(mixed, self.weights[index], beta)
            out = identity_map(mixed, self.weights[index], beta)
        residual = None
        if self.residual:
            residual = rows.target if masks is None else masked(rows.target, masks[0])
        if len(self.norms):
            norm = self.norms[index]
            assert isinstance(norm, BatchNorm)
            if not self.activates_inputs:
                return norm.relu(out, residual)
            out = norm(out)
        out = out if residual is None else out.add_(residual)
        return out if self.activates_inputs else out.relu_()

    def active_output(self, index: int, out: Tensor) -> Tensor:
        return out.relu() if self.activates_inputs else out

    def decode(self, h: Tensor, block: Block, state: State) -> Tensor:
        h = self.active_output(self.num_layers - 1, h)
        return self.lin_out(self.drops[self.num_layers](h, block.target_ids, state.noise))  # type: ignore[no-any-return]

    def gain(self, index: int) -> Gain | None:
        """(1-α) σ_max((1-β) I + β W), times the norm's; plus the residual. The h_0 term is exact."""
        weight, beta = self.weights[index].detach(), self.betas[index]
        identity = torch.eye(weight.shape[0], device=weight.device)
        gain = Gain(0.0, (1 - self.alpha) * spectral_norm(torch.lerp(identity, weight, beta))).normalised(self.norms, index)
        return gain.with_residual() if gain is not None and self.residual else gain

    def decode_gain(self) -> float:
        return spectral_norm(self.lin_out.weight)

    def regularized(self) -> list[nn.Parameter]:
        return [*self.weights, *self.initial_weights, *self.norms.parameters()]
