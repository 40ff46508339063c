"""A certified cap on the error of a mini-batch: from the gains of the layers, and the measured errors of the histories it reads.

    cap_B^{l+1} = own_l · cap_B^l + messages_l · (|A_BB| cap_B^l + |A_BH| d_H^l),    cap^0 = cap^1 = 0

cap bounds e = ‖ĥ - h‖ of the targets B, where d are the errors of the halo's histories H: layer 0 reads raw features, which are exact.
It holds in exact arithmetic, in evaluation mode. One sparse product per layer. How far above the error it lies depends on the weights and
the depth, so it is an alarm for mistakes in the code rather than an estimate.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from gas_cli.batch.batch import Block, Rows
from gas_cli.model.model import Model, propagate
from gas_cli.ops.csr import CSR
from gas_cli.ops.spmm import spmm

SLACK = {"float32": 1e-4, "bfloat16": 5e-2}
"""Round-off that a cap is allowed to be exceeded by, relative to the embedding, by the precision of the products."""


class Bound:
    """The caps of one model under its current weights; `known` says whether it has gains at all (attention has none)."""

    def __init__(self, model: Model) -> None:
        self._gains = [gain for index in range(1, model.num_layers) if (gain := model.gain(index)) is not None]
        self._decode = model.decode_gain()
        self.known = len(self._gains) == model.num_layers - 1 and self._decode is not None

    def caps(self, block: Block, halo_errors: Sequence[Tensor]) -> list[Tensor]:
        """Of the inputs of layers 1..L-1 and of the scores: L tensors [B]. `halo_errors` [H] are those of layers 1..L-1."""
        assert self._decode is not None, "asked only where known"
        magnitudes = replace(block, inner=magnitude(block.inner), outer=magnitude(block.outer))
        caps = [torch.zeros(block.num_targets, 1, device=block.inner.device)]
        for gain, halo in zip(self._gains, halo_errors, strict=True):
            own = caps[-1]
            caps.append(gain.own * own + gain.messages * propagate(Rows(own, halo.unsqueeze(1)), magnitudes))
        caps[-1] = caps[-1] * self._decode
        return [cap.squeeze(1) for cap in caps]


def history_shares(block: Block) -> Tensor:
    """r_v = Σ_{w in the halo} |a_vw| / Σ_w |a_vw|, [B]: how much of a target's input is history; 0 for a node without messages."""
    inner, outer = _row_sums(block.inner), _row_sums(block.outer)
    return outer / (inner + outer).clamp(min=torch.finfo(torch.float32).tiny)


def exceeded(cap: Tensor, error: Tensor, norm: Tensor, precision: str) -> int:
    """For how many nodes the error is above its cap by more than round-off, relative to the embedding's norm."""
    return int((error > cap * (1 + SLACK[precision]) + SLACK[precision] * (1 + norm)).sum())


def magnitude(a: CSR) -> CSR:
    """|A|, entry by entry."""
    return replace(a, value=a.value.abs(), _transposed=None)


def _row_sums(a: CSR) -> Tensor:
    return spmm(magnitude(a), torch.ones(a.num_cols, 1, device=a.device)).squeeze(1)
