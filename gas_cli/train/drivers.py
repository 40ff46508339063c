"""The drivers of a model: one batch with histories, and all nodes layer by layer. Both call the same three methods of the model."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

import torch
from torch import Tensor

from gas_cli.batch.batch import Batch
from gas_cli.graph.graph import Features
from gas_cli.history.exchange import Exchange
from gas_cli.history.store import HistoryStore
from gas_cli.model.model import Model, Rows, State
from gas_cli.ops.dropout import Noise
from gas_cli.train.lipschitz import NoPenalty, Penalty

Batches = Callable[[], Iterable[Batch]]
"""One pass over all nodes, every node in exactly one batch."""


NO_PENALTY = NoPenalty()


def forward(model: Model, batch: Batch, exchange: Exchange, noise: Noise, penalty: Penalty = NO_PENALTY, for_loss: bool = False) -> Tensor:
    """One batch through all layers, halo inputs from histories: class scores [B, num_classes] of the targets.

    With one part there is no halo and this is full-batch training. `penalty` runs the layers and may look at them twice. `for_loss`
    lets the last layer read the batch's `loss_block`, where it has one: only the scores of training targets then have a meaning.
    """
    rows, state = start(model, batch, noise)
    last = model.num_layers - 1
    for index in range(model.num_layers):
        block = batch.loss_block if for_loss and index == last and batch.loss_block is not None else batch.block
        h = penalty.layer(model, index, rows, block, state)
        if index < last:
            if model.joins_outputs:
                state.outputs.append(h)
            exchange.push(index + 1, h)
            rows = Rows(h, exchange.pull(index + 1))
    return model.decode(h, batch.block, state)


@torch.no_grad()
def layerwise(model: Model, batches: Batches, num_nodes: int, device: torch.device, store: HistoryStore | None = None) -> Tensor:
    """Exact class scores [N, num_classes] of all nodes on the host, in evaluation mode: layer by layer, batch by batch.

    Holds the inputs and outputs of one layer (two [N, width] tables) beside one batch, whatever the depth, and what the model says it
    reads later on: h_0 (`uses_initial`) or the outputs of all layers (`joins_outputs`). Where a `store` is given, each layer's exact
    inputs replace its histories (a refresh; the first `store.num_nodes` nodes have some), which then are those tables where they can be;
    otherwise no history is touched.
    """
    initial: Tensor | None = None
    joined: list[Tensor] = []
    inputs: Tensor | None = None
    for index in range(model.num_layers):
        table = store.exact_table(index + 1, num_nodes) if store is not None and index < model.num_layers - 1 else None
        outputs = table
        for batch in batches():
            if inputs is None:
                rows, state = start(model, batch, Noise.off())
                if model.uses_initial:
                    initial = _paste(initial, num_nodes, batch, state.initial)
            else:
                rows = Rows(_cut(inputs, batch).to(device), inputs.index_select(0, batch.halo.to(inputs.device)).to(device))
                first = rows.target if initial is None else _cut(initial, batch).to(device)
                state = State(Noise.off(), first, [_cut(table, batch).to(device) for table in joined])
            h = model.layer(index, rows, batch.block, state)
            if index == model.num_layers - 1:
                h = model.decode(h, batch.block, state)
            outputs = _paste(outputs, num_nodes, batch, h.float())
        assert outputs is not None, "a pass over the nodes has at least one batch"
        inputs = outputs
        if model.joins_outputs:
            joined.append(inputs)
        if store is not None and index < model.num_layers - 1 and outputs is not table:
            store.push(index + 1, [(0, store.num_nodes)], inputs[: store.num_nodes])
    assert inputs is not None
    return inputs


@torch.no_grad()
def last_layer(model: Model, batches: Batches, num_nodes: int, store: HistoryStore) -> Tensor:
    """Class scores [N, num_classes] from the stored inputs of the last layer: one layer's work, approximate as the histories are.

    A model of one layer has no histories; its scores are exact.
    """
    scores: Tensor | None = None
    last = model.num_layers - 1
    for batch in batches():
        rows, state = start(model, batch, Noise.off(), with_halo=last == 0)
        if last > 0:
            targets = torch.cat([torch.arange(start, stop) for start, stop in batch.ranges])
            rows = Rows(store.pull(last, targets), store.pull(last, batch.halo))
            if model.joins_outputs:
                state.outputs = [store.pull(layer, targets) for layer in range(1, last + 1)]
        h = model.decode(model.layer(last, rows, batch.block, state), batch.block, state)
        scores = _paste(scores, num_nodes, batch, h.float())
    assert scores is not None, "a pass over the nodes has at least one batch"
    return scores


def start(model: Model, batch: Batch, noise: Noise, with_halo: bool = True) -> tuple[Rows, State]:
    """h_0 of targets and (for the first layer) halo; the halo's is exact too, because features are never stale."""
    if with_halo:
        rows = replace(model.encode_rows(Rows(batch.x_target, batch.x_halo), batch.block, noise), summed=batch.x_summed)
    else:
        target = model.encode(batch.x_target, batch.block.target_ids, noise)
        rows = Rows(target, target)
    return rows, State(noise, rows.target)


def _cut(table: Tensor, batch: Batch) -> Tensor:
    pieces = [table[start:stop] for start, stop in batch.ranges]
    return pieces[0] if len(pieces) == 1 else torch.cat(pieces)


def _paste(table: Tensor | None, num_nodes: int, batch: Batch, rows: Features) -> Tensor:
    """Copy a batch's rows to their positions in a host table (a host synchronisation on CUDA: the table is read next); the first
    batch makes the table, and where it is all nodes its rows are the table."""
    assert isinstance(rows, Tensor)
    if batch.ranges == ((0, num_nodes),):
        return rows.cpu()
    if table is None:
        table = torch.empty(num_nodes, rows.shape[1], dtype=rows.dtype)
    offset = 0
    for start, stop in batch.ranges:
        table[start:stop].copy_(rows[offset : offset + stop - start])
        offset += stop - start
    return table
