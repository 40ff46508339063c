"""PNA, and PNA with jumping knowledge."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from gas_cli.batch.batch import Block, Rows
from gas_cli.config.model import ModelConfig, PNAConfig, PNAJKConfig, StackConfig
from gas_cli.graph.graph import Features
from gas_cli.model.batch_norm import BatchNorm
from gas_cli.model.model import Drop, State, transform
from gas_cli.model.stack import Stack
from gas_cli.ops.csr import CSR
from gas_cli.ops.dropout import Noise
from gas_cli.ops.reduce import aggregate


class PNAConv(nn.Module):
    """Parameters of one layer; K pairs of an aggregator and a scaler, scalers varying fastest. Each pair is initialised on its own."""

    def __init__(self, in_channels: int, out_channels: int, pairs: int) -> None:
        super().__init__()
        self.pre = nn.Linear(in_channels, pairs * out_channels)
        bound = 1 / math.sqrt(out_channels)
        self.post = nn.Parameter(torch.empty(pairs * out_channels, out_channels).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(pairs, out_channels).uniform_(-bound, bound))
        self.own = nn.Linear(in_channels, out_channels)


class PNA(Stack):
    """Principal neighbourhood aggregation (Corso et al., NeurIPS 2020), as GNNAutoScale's published runs define its layer:

        conv_l(h)_v = W_l h_v + Σ_{a, s} s(d_v) (W_l^{as} a_{w ∈ N(v)} ReLU(V_l^{as} h_w + c_l^{as}) + b_l^{as})

    a: mean, std, var, sum, max or min by channel, 0 without neighbours. s, of the in-degree d (at least 1 where it divides): identity 1,
    amplification log(d+1)/δ, attenuation δ/log(d+1), linear d/m, inverse_linear m/d, with the means δ of log(d+1) and m of d over all nodes
    that training sees (buffers, set by `observe`).

    PyG's PNAConv differs: its messages are linear (or an MLP) in both ends and shared by all a and s. The two are equal where that plays
    no part: V = 1 on non-negative h.

    Edge weights are not used, but an edge that edge dropout removed is no message; d counts it still, so that scales are those of
    evaluation. History per node and layer: hidden_channels values.
    """

    degree_means: Tensor

    def __init__(self, config: PNAConfig, in_channels: int, out_channels: int) -> None:
        super().__init__(config, in_channels, out_channels, width=config.hidden_channels)
        self.aggregators, self.scalers = tuple(config.aggregators), tuple(config.scalers)
        self.register_buffer("degree_means", torch.full((2,), math.nan))  # (δ, d̄); scores are nan without `observe`

    @classmethod
    def takes_edge_weight(cls, config: ModelConfig) -> bool:
        return False

    @classmethod
    def heeds_edge_dropout(cls, config: ModelConfig) -> bool:
        return True

    def observe(self, adj: CSR) -> None:
        degree = adj.rowptr.diff().double()
        means = torch.stack([degree.log1p().mean(), degree.mean()])
        self.degree_means.copy_(torch.where(means > 0, means, 1))  # without any edge every aggregation is 0, whatever its scale

    def make_conv(self, config: StackConfig, in_channels: int, out_channels: int, index: int) -> nn.Module:
        assert isinstance(config, PNAConfig)
        return PNAConv(in_channels, out_channels, len(config.aggregators) * len(config.scalers))

    def convolve(self, index: int, rows: Rows, block: Block, state: State) -> Tensor:
        conv = self.convs[index]
        assert isinstance(conv, PNAConv)
        target, halo = (transform(x, conv.pre.weight.t()).add_(conv.pre.bias).relu_() for x in (rows.target, rows.halo))
        reduced = aggregate(block.inner, block.outer, target, halo, self.aggregators)  # [B, A, S·C]
        scales = self._scales(block)
        by_pair = reduced.view(block.num_targets, len(self.aggregators), len(self.scalers), conv.own.out_features)
        scaled = by_pair * scales.unsqueeze(1).unsqueeze(3)
        out: Tensor = scaled.flatten(1) @ conv.post + scales.repeat(1, len(self.aggregators)) @ conv.bias
        return out.add_(transform(rows.target, conv.own.weight.t())).add_(conv.own.bias)

    def _scales(self, block: Block) -> Tensor:
        """s(d_v) [B, S]."""
        degree = (block.inner.rowptr.diff() + block.outer.rowptr.diff()).float()
        return torch.stack([_scale(name, degree, *self.degree_means.unbind()) for name in self.scalers], dim=1)


def _scale(name: str, degree: Tensor, log_mean: Tensor, mean: Tensor) -> Tensor:
    match name:
        case "identity":
            return torch.ones_like(degree)
        case "amplification":
            return degree.log1p() / log_mean
        case "attenuation":
            return log_mean / degree.clamp(min=1).log1p()
        case "linear":
            return degree / mean
        case "inverse_linear":
            return mean / degree.clamp(min=1)
    raise AssertionError(f"the settings admit no scaler {name}")


class PNAJK(PNA):
    """PNA with jumping knowledge (Xu et al., ICML 2018): scores from the start and the outputs of all layers.

        h_0 = ReLU(norm(V x + c));    scores = W dropout(h_0 ∥ h_1 ∥ … ∥ h_L) + b

    With `jump=max` their maximum by channel instead. The first convolution reads h_0 without dropout. While training, norm takes the
    statistics of h_0 over targets and halo; those of the layers are over the targets. History per node and layer: hidden_channels values.
    """

    uses_initial = joins_outputs = True

    def __init__(self, config: PNAJKConfig, in_channels: int, out_channels: int) -> None:
        super().__init__(config, in_channels, out_channels)
        self.jump = config.jump
        joined = (config.num_layers + 1 if config.jump == "cat" else 1) * config.hidden_channels
        self.lin_out = nn.Linear(joined, out_channels)
        self.norm_in = BatchNorm(config.hidden_channels, config.track_running_stats) if config.batch_norm else nn.Identity()
        self.drops[0] = Drop(0.0, site=1)

    def encode(self, x: Features, ids: Tensor, noise: Noise) -> Tensor:
        return self.norm_in(self._project(x, ids, noise)).relu_()  # type: ignore[no-any-return]

    def encode_rows(self, x: Rows, block: Block, noise: Noise) -> Rows:
        target, halo = self._project(x.target, block.target_ids, noise), self._project(x.halo, block.halo_ids, noise)
        both = self.norm_in(torch.cat([target, halo])).relu_()
        return Rows(both[: block.num_targets], both[block.num_targets :])

    def _project(self, x: Features, ids: Tensor, noise: Noise) -> Tensor:
        assert self.lin_in is not None
        return transform(self.drop_input(x, ids, noise), self.lin_in.weight.t()).add_(self.lin_in.bias)

    def decode(self, h: Tensor, block: Block, state: State) -> Tensor:
        assert isinstance(state.initial, Tensor)
        layers = [state.initial, *state.outputs, h]
        joined = torch.cat(layers, dim=1) if self.jump == "cat" else torch.stack(layers).amax(0)
        return super().decode(joined, block, state)
