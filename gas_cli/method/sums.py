"""What methods ask of a model whose layers they take apart: that they are weighted sums, and how wide these are."""

from __future__ import annotations

from gas_cli.errors import UserError
from gas_cli.method.method import Training


def sums_of(training: Training, setting: str, instead: str, because: str = "") -> tuple[int, ...]:
    """The widths of the sums of layers 1..L-1.

    Raises UserError for a model without: `setting` is what asks for sums, `instead` what does not, `because` what is wrong without.
    """
    model, name = training.model, training.layers.name
    widths = model.sum_widths
    if widths is None:
        reason, others = model.without_sums()
        raise UserError(f"{setting} is not valid with model={name}, whose {reason}{because}. Use {instead}, or {others}.")
    if len(widths) != model.num_layers - 1:
        raise UserError(
            f"model={name}: sum_widths={widths} is not valid: expected the widths of the sums of layers 1 to {model.num_layers - 1}, "
            f"{model.num_layers - 1} numbers."
        )
    return widths
