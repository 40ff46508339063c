"""The drivers of a model: one batch with histories, and all nodes layer by layer. Both call the same three methods of the model."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

import torch
from torch import Tensor

from gas_cli.batch.batch import Batch, Rows
from gas_cli.method.method import Link
from gas_cli.model.model import Model, State
from gas_cli.ops.dropout import Noise
from gas_cli.passes.lipschitz import NoPenalty, Penalty
from gas_cli.tables.histories import Histories
from gas_cli.tables.memory import ScratchTable
from gas_cli.tables.table import Table

Batches = Callable[[bool], Iterable[Batch]]
"""One pass over all nodes, every node in exactly one batch; with or without their raw features."""

NO_PENALTY = NoPenalty()
NO_NOISE = Noise.off()


def forward(model: Model, batch: Batch, link: Link, noise: Noise, penalty: Penalty = NO_PENALTY) -> Tensor:
    """One batch through all layers, each on its block, what comes between them by `link`: class scores [B, num_classes] of the last
    block's targets.

    With one part there is no halo and this is full-batch training. `penalty` runs the layers and may look at them twice.
    """
    rows, state = start(model, batch, noise)
    h = penalty.layer(model, 0, link.first(rows, state), batch.blocks[0], state)
    for index, block in enumerate(batch.blocks[1:], start=1):
        if model.joins_outputs:
            state.outputs.append(h)
        rows, state = link.between(index, h), state.of(block)
        h = penalty.layer(model, index, rows, block, state)
    return model.decode(link.last(h), batch.blocks[-1], state)


@torch.no_grad()
def renew(model: Model, batch: Batch, link: Link, noise: Noise) -> None:
    """The layers of one batch up to what it has histories of, which `link` writes."""
    rows, state = start(model, batch, noise)
    rows = link.first(rows, state)
    for index, block in enumerate(batch.blocks[:-1]):
        state = state.of(block)
        h = model.layer(index, rows, block, state)
        if model.joins_outputs:
            state.outputs.append(h)
        rows = link.between(index + 1, h)


@torch.no_grad()
def layerwise(
    model: Model,
    batches: Batches,
    num_nodes: int,
    device: torch.device,
    histories: Histories | None = None,
    layer: int | None = None,
    noise: Noise = NO_NOISE,
) -> Tensor:
    """Exact class scores [N, num_classes] of all nodes on the host, in evaluation mode: layer by layer, batch by batch; or h_`layer`
    [N, width], what the first `layer` layers give. With `noise`, under its dropout masks, which are the same in any batches.

    Holds the inputs and outputs of one layer (two [N, width] tables) beside one batch, whatever the depth, and what the model says it
    reads later on: h_0 (`uses_initial`) or the outputs of all layers (`joins_outputs`). Where `histories` are given, each layer's exact
    inputs replace them (a refresh; the first `num_nodes` of them have some), which then are those tables where they hold them exactly;
    otherwise no history is touched.
    """
    initial, joined, inputs = ScratchTable(num_nodes, device), list[Table](), None
    for index in range(model.num_layers if layer is None else layer):
        last = index == model.num_layers - 1
        history = None if histories is None or last else histories[index + 1]
        outputs = history if history is not None and _holds(history, num_nodes) else ScratchTable(num_nodes, device)
        for batch in batches(inputs is None):
            block = batch.blocks[index]
            if inputs is None:
                rows, state = start(model, batch, noise)
                if model.uses_initial:
                    assert isinstance(state.initial, Tensor)
                    initial.write(batch.ranges, state.initial)
            else:
                rows = Rows(inputs.read(batch.ranges).wait(), inputs.read(block.halo).wait())
                first = initial.read(batch.ranges).wait() if model.uses_initial else rows.target
                state = State(noise, first, [table.read(batch.ranges).wait() for table in joined])
            h = model.layer(index, rows, block, state)
            if last and layer is None:
                h = model.decode(h, block, state)
            elif index + 1 == layer:
                h = model.active_output(index, h)
            outputs.write(batch.ranges, h.float())
            if history is not None and outputs is not history and batch.ranges[-1][1] <= history.num_rows:
                history.write(batch.ranges, h)
        inputs = outputs
        if model.joins_outputs:
            joined.append(inputs)
    assert inputs is not None
    inputs.flush()
    return inputs.state()


def _holds(history: Table, num_nodes: int) -> bool:
    """Whether what is written for every node is read back as it was."""
    return history.dtype == torch.float32 and history.num_rows == num_nodes


@torch.no_grad()
def last_layer(model: Model, batches: Batches, num_nodes: int, histories: Histories) -> Tensor:
    """Class scores [N, num_classes] from the stored inputs of the last layer: one layer's work, approximate as the histories are.

    A model of one layer has no histories; its scores are exact.
    """
    last = model.num_layers - 1
    scores = ScratchTable(num_nodes, torch.device("cpu"))
    for batch in batches(last == 0 or model.uses_initial):
        block = batch.blocks[last]
        if last == 0 or model.uses_initial:
            rows, state = start(model, batch, NO_NOISE, with_halo=last == 0)
        if last > 0:
            rows = Rows(histories[last].read(batch.ranges).wait(), histories[last].read(block.halo).wait())
            state = State(NO_NOISE, state.initial if model.uses_initial else rows.target)
            if model.joins_outputs:
                state.outputs = [histories[layer].read(batch.ranges).wait() for layer in range(1, last + 1)]
        h = model.decode(model.layer(last, rows, block, state), block, state)
        scores.write(batch.ranges, h.float())
    return scores.state()


def start(model: Model, batch: Batch, noise: Noise, with_halo: bool = True) -> tuple[Rows, State]:
    """h_0 of targets and (for the first layer) halo; the halo's is exact too, because features are never stale."""
    block = batch.blocks[0]
    if with_halo:
        rows = replace(model.encode_rows(batch.x, block, noise), known=batch.x.known)
    else:
        target = model.encode(batch.x.target, block.target_ids, noise)
        rows = Rows(target, target)
    return rows, State(noise, rows.target)
