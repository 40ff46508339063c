"""Full-batch training: every step computes every node."""

from __future__ import annotations

from gas_cli.method.method import Alone, Link, Method, Phase, Through, itself, untimed


class FullBatch(Method):
    """One part that is the graph: there is no halo."""

    def link(self, phase: Phase = untimed, through: Through = itself) -> Link:
        return Alone()
