"""Full-batch training: every step computes every node."""

from __future__ import annotations

from gas_cli.method.method import Alone, Link, Method, Phase, untimed
from gas_cli.tables.histories import Histories


class FullBatch(Method):
    """One part that is the graph: there is no halo."""

    def link(self, histories: Histories | None, phase: Phase = untimed) -> Link:
        return Alone()
