"""The contract by which the backward pass of a sum hears of nodes that the step does not compute."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor

from gas_cli.ops.csr import CSR


class Feedback(Protocol):
    """Of the sums s of one layer and one batch: its targets' gradients go out, those of their readers outside of the batch come in.

    A backward pass calls `push` and then `pull`, once each.
    """

    def push(self, gradient: Tensor) -> None:
        """Take ∂loss/∂s [B, C] of the targets; nobody changes it afterwards."""

    def pull(self) -> tuple[CSR, Tensor]:
        """The weights [B, R] of the messages from the targets to their R readers, and the gradients [R, C] by the readers' sums."""
