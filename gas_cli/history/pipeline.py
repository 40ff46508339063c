"""The pipelined exchange: history traffic on side streams, behind the computation.

Per step t and layer l, with C the computing stream:

    C:     ... layer l-1 (t) ─┬─ wait pull(l, t) ─ layer l (t) ... backward ... layer l-1 (t+1) ─ wait pull(l, t+1) ─
    push:                     └─ push(l, t) ─┐
    pull:                                    └─ pull(l, t+1)   runs behind the rest of forward and backward of step t

The pull of step t+1 for layer l is issued as soon as step t has pushed layer l, which is all that it has to see. Earlier pushes lie before
it on the same lane. Rows pulled and rows pushed within one step are disjoint, so pull(l, t+1) and push(l, t+1) need no order. The first
step's pulls were issued by nobody before it: they all start with it, ahead of those for the second.

Buffers: a pulled tensor is allocated on the pull lane and belongs to the computing stream after its wait; a pushed tensor belongs to the
computing stream and is lent to the push lane (`Lanes` tells the allocator in both cases). Positions belong to the batch.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from gas_cli.batch.batch import Batch
from gas_cli.history.exchange import Exchange, SynchronousExchange
from gas_cli.history.lanes import CudaLanes, Lanes, Mark, pinned_rows
from gas_cli.history.store import HistoryStore, Ranges


class PipelinedExchange(Exchange):
    """Equal to `SynchronousExchange` bit for bit, several copies in flight."""

    def __init__(self, store: HistoryStore, lanes: Lanes) -> None:
        self.store, self.lanes = store, lanes
        self._gathers = [pinned_rows(t, store.device) if store.placement == "pinned" else _rows_of(t) for t in store.tables]
        self._batch: Batch
        self._upcoming: Batch | None = None
        self._current: dict[int, tuple[Tensor, Mark]] = {}  # layer -> rows in flight for `_batch`
        self._ahead: dict[int, tuple[Tensor, Mark]] = {}  # layer -> rows in flight for `_ahead_of`
        self._ahead_of: Batch | None = None
        self._pushed: dict[int, Mark] = {}  # layer -> end of its latest push

    def begin(self, batch: Batch, upcoming: Batch | None) -> None:
        if self._ahead_of is not batch:  # the first step, the first after a flush, or rows were read ahead for another batch
            self._ahead = {layer: self._issue_pull(layer, batch) for layer in range(1, len(self._gathers) + 1)}
        self._batch, self._upcoming, self._current = batch, upcoming, self._ahead
        self._ahead, self._ahead_of = {}, upcoming

    def push(self, layer: int, rows: Tensor) -> None:
        rows, ranges = rows.detach(), self._batch.ranges
        _, mark = self.lanes.submit(
            "push", lambda: self._copy_out(layer, ranges, rows), after=[self.lanes.now()], reads=[rows], label=f"layer {layer}"
        )
        self._pushed[layer] = mark
        if self._upcoming is not None:
            self._ahead[layer] = self._issue_pull(layer, self._upcoming)

    def pull(self, layer: int) -> Tensor:
        rows, mark = self._current.pop(layer)
        self.lanes.wait(mark, rows, label=f"layer {layer}")
        return rows

    def end(self, step: int) -> None:
        self.store.mark_pushed(self._batch.parts, step)
        del self._batch, self._upcoming  # their memory goes to the next ones

    def flush(self) -> None:
        self.lanes.drain()
        self._ahead, self._ahead_of, self._pushed = {}, None, {}

    def _issue_pull(self, layer: int, batch: Batch) -> tuple[Tensor, Mark]:
        # `now` covers what the computing stream wrote into the tables before, `ready` the batch's positions.
        after = [self.lanes.now()] + [mark for mark in (self._pushed.get(layer), batch.ready) if mark is not None]
        gather = self._gathers[layer - 1]
        rows, mark = self.lanes.submit("pull", lambda: gather(batch.halo).float(), after=after, reads=[batch.halo], label=f"layer {layer}")
        assert rows is not None
        return rows, mark

    def _copy_out(self, layer: int, ranges: Ranges, rows: Tensor) -> None:
        table, offset = self.store.tables[layer - 1], 0
        rows = rows.to(table.dtype)  # narrow on the device: half the traffic
        for start, stop in ranges:
            table[start:stop].copy_(rows[offset : offset + stop - start], non_blocking=True)
            offset += stop - start


def _rows_of(table: Tensor) -> Callable[[Tensor], Tensor]:
    return lambda positions: table.index_select(0, positions)


def make_exchange(store: HistoryStore, pipeline: bool) -> Exchange:
    """The exchange for a store: pipelined where there is traffic to hide (pinned tables on a CUDA device) and `pipeline` is on."""
    if pipeline and store.placement == "pinned":
        return PipelinedExchange(store, CudaLanes(store.device))
    return SynchronousExchange(store)
