"""Models of the user's own: a layer or a whole model in a module that `model.module` names, or one that a package registers."""

from __future__ import annotations

import difflib
import inspect
from dataclasses import replace
from typing import Any

from torch import Tensor, nn

from gas_cli.batch.batch import Block, Reading, Rows
from gas_cli.config.model import CustomConfig, ModelConfig, StackConfig
from gas_cli.errors import UserError
from gas_cli.graph.graph import Features
from gas_cli.model.bipartite import Bipartite, check_edge_dim, constructor_arguments, dense
from gas_cli.model.model import Model, State, propagate
from gas_cli.ops.csr import CSR
from gas_cli.ops.dropout import Noise
from gas_cli.user_code import blaming, classes_of, load_module, place_of


class Custom(Bipartite):
    """A stack of the user's convolution, built from (in_channels, out_channels, **layer_args), as `Bipartite` runs it.

    Where `forward` takes `sums`, it gets the targets' rows [B, C] and the weighted sums of their messages [B, C] instead, and no source:
    so whatever it does, its layer is a function of sums, and methods that need sums are right with it.

    Its output is checked and copied: what follows works in place, which an operation inside the convolution may not bear.
    """

    def __init__(self, config: CustomConfig, in_channels: int, out_channels: int, edge_dim: int = 0) -> None:
        self.convolution, self.module = user_class(config), config.module
        self.takes_sums = takes_sums(self.convolution)
        if self.takes_sums:
            self.convolution_reads = Reading(messages=False)
        super().__init__(config, in_channels, out_channels, edge_dim)
        self.out_widths = (*self.widths[1:], config.hidden_channels if config.linear else out_channels)

    @classmethod
    def takes_edge_attr(cls, config: ModelConfig) -> bool:
        assert isinstance(config, CustomConfig)
        convolution = user_class(config)
        if takes_sums(convolution):
            return False
        named = {*inspect.signature(convolution.__init__).parameters, *inspect.signature(convolution.forward).parameters}
        return config.edge_attr and not named.isdisjoint(("edge_dim", "edge_attr"))

    @classmethod
    def takes_edge_weight(cls, config: ModelConfig) -> bool:
        assert isinstance(config, CustomConfig)
        convolution = user_class(config)
        return takes_sums(convolution) or "edge_weight" in inspect.signature(convolution.forward).parameters

    @property
    def sum_widths(self) -> tuple[int, ...] | None:
        return self.widths[1:] if self.takes_sums else None

    def without_sums(self) -> tuple[str, str]:
        name = self.convolution.__name__
        return f"layer {name} reads its sources one by one", "a layer whose forward takes (x, sums): docs/own-layer.md"

    def make_conv(self, config: StackConfig, in_channels: int, out_channels: int, index: int) -> nn.Module:
        assert isinstance(config, CustomConfig)
        check_edge_dim(config, "model.layer_args", config.layer_args, self.edge_dim)
        with blaming(self.module, f"{self.convolution.__name__}({in_channels}, {out_channels}, **{config.layer_args})"):
            arguments = constructor_arguments(self.convolution, config.layer_args, self.edge_dim)
            conv: nn.Module = self.convolution(in_channels, out_channels, **arguments)
            return conv

    def convolve(self, index: int, rows: Rows, block: Block, state: State) -> Tensor:
        name = self.convolution.__name__
        if self.takes_sums:
            target = dense(rows.target)
            sums = propagate(replace(rows, target=target, halo=dense(rows.halo)), block)
            with blaming(self.module, f"{name}.forward(x, sums)"):
                out = self.convs[index](target, sums=sums)
        else:
            with blaming(self.module, f"{name}.forward((x_source, x_target), edge_index)"):
                out = super().convolve(index, rows, block, state)
        return _checked(out, block.num_targets, self.out_widths[index], self.convolution.forward).clone()


def takes_sums(convolution: type[nn.Module]) -> bool:
    """Whether its `forward` takes the sums of messages. Raises `UserError` where it takes the edges as well."""
    taken = inspect.signature(convolution.forward).parameters
    edges = [name for name in ("edge_index", "edge_weight", "edge_attr") if name in taken]
    if "sums" in taken and edges:
        raise UserError(
            f"{place_of(convolution.forward)}: {convolution.__name__}.forward takes sums and {', '.join(edges)}: expected (x, sums), "
            "which gets the weighted sums of the messages, or (x, edge_index), which gets the edges."
        )
    return "sums" in taken


class Checked(Model):
    """Before the user's `Model` in the order of base classes: what its methods raise and return is answered by file and line."""

    module: str

    def __init__(self, config: CustomConfig, in_channels: int, out_channels: int, **extra: int) -> None:
        with blaming(config.module, f"{type(self).__name__}(config, {in_channels}, {out_channels})"):
            super().__init__(config, in_channels, out_channels, **extra)
            self.out_widths = (*self.widths[1 : self.num_layers], None)

    def without_sums(self) -> tuple[str, str]:
        return f"class {type(self).__name__} has no sum_widths", "a model that has: docs/own-layer.md"

    def encode(self, x: Features, ids: Tensor, noise: Noise) -> Features:
        method = super().encode  # type: ignore[safe-super]
        with blaming(self.module, "encode"):
            out = method(x, ids, noise)
        return out if isinstance(out, CSR) else _checked(out, ids.numel(), self.widths[0], method)

    def layer(self, index: int, rows: Rows, block: Block, state: State) -> Tensor:
        method = super().layer  # type: ignore[safe-super]
        with blaming(self.module, f"layer {index}"):
            out = method(index, rows, block, state)
        return _checked(out, block.num_targets, self.out_widths[index], method)

    def decode(self, h: Tensor, block: Block, state: State) -> Tensor:
        method = super().decode  # type: ignore[safe-super]
        with blaming(self.module, "decode"):
            out = method(h, block, state)
        return _checked(out, block.num_targets, None, method)


def _checked(out: Any, rows: int, columns: int | None, method: Any) -> Tensor:
    """`out` [rows, columns], any columns where they are None; else a `UserError` that points at `method`."""
    if isinstance(out, Tensor) and out.dim() == 2 and out.shape[0] == rows and columns in (None, out.shape[1]):
        return out
    found = f"a tensor of shape {list(out.shape)}" if isinstance(out, Tensor) else f"a {type(out).__name__}"
    expected = f"[{rows}, {'C' if columns is None else columns}]"
    raise UserError(
        f"{place_of(method)}: {method.__qualname__} returned {found}: expected {expected}, with rows in the order of the input."
    )


def custom_class(config: CustomConfig) -> type[Model]:
    """The user's class with checks around it where it is a `Model`, else the stack that runs it."""
    chosen = user_class(config)
    # It promises what `chosen` does: `Checked` overrides methods, but only to look at what they give.
    members = {"module": config.module, "can_activate_inputs": getattr(chosen, "can_activate_inputs", False)}
    return type(chosen.__name__, (Checked, chosen), members) if issubclass(chosen, Model) else Custom


def user_class(config: CustomConfig) -> type[Any]:
    """The class that `model.module` and `model.layer` name. Raises `UserError` where there is none, or more than one."""
    module = load_module(config.module)
    known = classes_of(module)
    if config.layer:
        return _named(config, vars(module).get(config.layer), list(known))
    if len(known) == 1:
        return next(iter(known.values()))
    if not known:
        raise UserError(f"model.module={config.module} defines no subclass of torch.nn.Module: expected a convolution or a Model.")
    raise UserError(f"model.module={config.module} defines {', '.join(known)}: choose one, as in model.layer={next(iter(known))}.")


def _named(config: CustomConfig, value: Any, known: list[str]) -> type[Any]:
    if inspect.isclass(value) and issubclass(value, nn.Module):
        return value
    near = difflib.get_close_matches(config.layer, known, n=1)
    hint = f" Did you mean {near[0]}?" if near else ""
    raise UserError(
        f"model.layer={config.layer} is not a subclass of torch.nn.Module in {config.module}.{hint} Choices: {', '.join(known) or 'none'}."
    )
