"""Streams for machines without CUDA that run every copy as late as the waits allow: a missing wait or order shows as wrong numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from gas_cli.tables.streams import Mark, Operation, Streams


@dataclass(eq=False)
class Ticket:
    """An operation that has not run yet."""

    stream: str
    run: Callable[[], None]
    after: list[Ticket]


class LateStreams(Streams):
    """Copies run only when something waits for them; until then rows that are read hold NaN."""

    def __init__(self) -> None:
        self.queues: dict[str, list[Ticket]] = {"read": [], "write": []}

    def now(self) -> Mark:
        return None  # the computing "stream" is the test itself: all that it was given is done

    def submit(self, stream, operation, after: Sequence[Mark], reads, label) -> tuple[Tensor | None, Mark]:
        result = torch.full_like(operation(), float("nan")) if stream == "read" else None  # run now only for the shape

        def late() -> None:
            value = operation()
            if result is not None:
                result.copy_(value)

        ticket = Ticket(stream, late, [mark for mark in after if mark is not None])
        self.queues[stream].append(ticket)
        return result, ticket

    def wait(self, mark: Mark, result: Tensor, label: str) -> None:
        self._finish(mark)

    def drain(self) -> None:
        for queue in self.queues.values():
            while queue:
                self._finish(queue[-1])

    def _finish(self, ticket: Ticket) -> None:
        """Run a stream up to this ticket, each operation after what it was told to follow, and nothing more."""
        queue = self.queues[ticket.stream]
        while ticket in queue:
            for earlier in queue[0].after:
                self._finish(earlier)
            queue.pop(0).run()


class InlineStreams(Streams):
    """No second stream: operations run where they are submitted, and the order is written to `journal`."""

    def __init__(self) -> None:
        self.journal: list[str] = []

    def now(self) -> Mark:
        return None

    def submit(
        self, stream: str, operation: Operation, after: Sequence[Mark], reads: Sequence[Tensor], label: str
    ) -> tuple[Tensor | None, Mark]:
        self.journal.append(f"{stream} {label}")
        return operation(), None

    def wait(self, mark: Mark, result: Tensor, label: str) -> None:
        self.journal.append(f"wait {label}")

    def drain(self) -> None:
        self.journal.append("drain")
