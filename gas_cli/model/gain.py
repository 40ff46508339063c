"""How much a layer can amplify an error of its inputs: Lipschitz constants, from which the caps on stale histories are built.

If every input row h_v is off by at most ε_v in 2-norm, then output row v is off by at most

    own · ε_v + messages · Σ_w |Â_vw| ε_w

in evaluation mode, where dropout is the identity and batch normalisation a fixed affine map. ReLU and ELU are 1-Lipschitz.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Gain:
    """The two constants of a layer: for the row itself (residual, self weight) and for the sum over its messages."""

    own: float
    messages: float

    def times(self, factor: float) -> Gain:
        """Followed by a map with Lipschitz constant `factor`."""
        return Gain(self.own * factor, self.messages * factor)

    def normalised(self, norms: nn.ModuleList, index: int) -> Gain | None:
        """Followed by `norms[index]`, where there are any; None where that has no constant (`norm_gain`)."""
        factor = norm_gain(norms[index]) if len(norms) else 1.0
        return None if factor is None else self.times(factor)

    def with_residual(self) -> Gain:
        """h added to the output."""
        return Gain(self.own + 1, self.messages)


def spectral_norm(weight: Tensor) -> float:
    """σ_max, the largest singular value: the Lipschitz constant of x ↦ x W. In float64, since a cap must not be rounded down."""
    return float(torch.linalg.matrix_norm(weight.detach().double(), ord=2)) if weight.numel() else 0.0


def norm_gain(norm: nn.Module) -> float | None:
    """max_j |γ_j| / √(var_j + eps) of batch normalisation by running statistics; 1 for no normalisation.

    None where there is no constant: by the statistics of a batch, a row moves when others do.
    """
    if isinstance(norm, nn.Identity):
        return 1.0
    if not isinstance(norm, nn.BatchNorm1d) or norm.running_var is None:
        return None
    return float((norm.weight.detach().double().abs() / (norm.running_var.double() + norm.eps).sqrt()).max())
