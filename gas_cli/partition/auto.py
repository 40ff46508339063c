"""How many parts a graph needs, and how many of them a step takes, where the settings say `auto`: by the memory of a step.

One part is exact: there is no halo, so no history is read. It is also the least work per epoch, because every message is summed up once
in any case and nothing is pulled. So the only reason for more parts is memory (docs/own-graph.md).
"""

from __future__ import annotations

from dataclasses import dataclass

from gas_cli.config.sizes import shown_size

SHARE = 0.5
"""Of the memory that a step may take: the rest is for what the estimate does not know (evaluation, batches ahead, other programs)."""
BATCH_PARTS = 10
"""Parts per step where several steps are needed: other ones meet in every epoch."""
LIBRARIES = 512 << 20
"""Bytes of the process itself. An estimate below twice as much says more about it than about the graph, so no number is given."""
SMALLEST_PART = 100
"""Nodes; smaller parts have more halo than targets in most graphs."""
STEPS = 4
"""Per epoch, where somebody else has chosen the number of parts, or their number per step."""


@dataclass(frozen=True)
class Load:
    """What a step takes, in bytes.

    row      per target: activations, gradients and features
    halo     per node of the halo: features and histories
    message  per edge: the blocks, and what a layer keeps of each message
    fixed    whatever the step is: the libraries, and the graph and features that share the memory
    history  per node: histories that share the memory; there are none where one step is the whole graph
    """

    nodes: int
    messages: int
    row: int
    halo: int
    message: int
    fixed: int
    history: int = 0

    def kept(self, steps: int) -> int:
        """What stays from step to step, of `steps` in an epoch."""
        return self.fixed + (self.nodes * self.history if steps > 1 else 0)

    def step(self, steps: int) -> int:
        """At most, in one of `steps` steps of an epoch. How large a halo is shows only once there are parts: no larger than the messages
        of the step, and than all other nodes."""
        targets, messages = -(-self.nodes // steps), -(-self.messages // steps)
        halo = 0 if steps == 1 else min(messages, self.nodes - targets)
        return self.kept(steps) + targets * self.row + messages * self.message + halo * self.halo


@dataclass(frozen=True)
class Decision:
    """Both numbers, and one line that says why."""

    num_parts: int
    batch_parts: int
    reason: str


def decide(load: Load, memory: int, num_parts: int | None, batch_parts: int | None) -> Decision:
    """The numbers that are None, for `memory` bytes in all; a graph that fits becomes one part, whatever `batch_parts` is."""
    whole = told_whole(load, memory)
    steps = fewest_steps(load, max(int(SHARE * memory), load.kept(2) + memory // 8))  # what is kept may be more than fits, on the disk
    if num_parts is not None:
        chosen = batch_parts or min(quarter(num_parts), max(1, num_parts // steps))
        return _told(num_parts, chosen, "the number of parts is set")
    if steps == 1:
        return Decision(1, 1, f"Parts: 1 ({whole}; exact, no halo).")
    chosen = batch_parts or min(BATCH_PARTS, max(1, load.nodes // (steps * SMALLEST_PART)))
    wanted = min(steps * chosen, load.nodes)
    return _told(wanted, min(chosen, wanted), f"{whole}; one of {-(-wanted // chosen)} steps at most {shown_size(load.step(steps))}")


def told_whole(load: Load, memory: int, device: str = "") -> str:
    """What a step on the whole graph takes of `memory` bytes, those of `device`."""
    available = shown_size(memory) + (f" of {device}" if device else "")
    if load.step(1) < min(2 * LIBRARIES, SHARE * memory):
        return f"training on the whole graph fits into {available}"
    return f"training on the whole graph takes about {shown_size(load.step(1))} of {available}"


def quarter(num_parts: int) -> int:
    """Parts per step, so that an epoch has about four steps."""
    return max(1, num_parts // STEPS)


def fewest_steps(load: Load, budget: int) -> int:
    """Per epoch, so that each fits into `budget` bytes; one per node where none does."""
    low, high = 0, 1  # `low` does not fit
    while high < load.nodes and load.step(high) > budget:
        low, high = high, min(2 * high, load.nodes)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if load.step(middle) <= budget else (middle, high)
    return high


def _told(num_parts: int, batch_parts: int, why: str) -> Decision:
    return Decision(num_parts, batch_parts, f"Parts: {num_parts}, {batch_parts} per step ({why}).")
