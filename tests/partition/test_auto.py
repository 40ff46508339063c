"""The numbers of parts that `auto` stands for, from sizes only."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gas_cli.config.compose import compose_config
from gas_cli.errors import UserError
from gas_cli.partition.auto import SHARE, SMALLEST_PART, Load, decide, fewest_steps

LOAD = Load(nodes=100_000, messages=1_000_000, row=4_000, halo=500, message=24, fixed=1_000_000)
WHOLE = LOAD.step(1)


def test_a_graph_that_fits_is_one_part_whatever_a_step_takes() -> None:
    memory = int(WHOLE / SHARE) + 2
    for batch_parts in (None, 1, 10):
        decision = decide(LOAD, memory, None, batch_parts)
        assert (decision.num_parts, decision.batch_parts) == (1, 1)
        assert "exact" in decision.reason and "\n" not in decision.reason
    assert decide(LOAD, memory - 4, None, None).num_parts > 1


@pytest.mark.parametrize("memory", [WHOLE, WHOLE // 3, WHOLE // 10])
@pytest.mark.parametrize("batch_parts", [None, 1, 7])
def test_a_step_of_a_larger_graph_fits(memory: int, batch_parts: int | None) -> None:
    decision = decide(LOAD, memory, None, batch_parts)
    assert decision.num_parts > decision.batch_parts == (batch_parts or decision.batch_parts)
    steps = -(-decision.num_parts // decision.batch_parts)
    assert LOAD.step(steps) <= SHARE * memory
    assert LOAD.step(steps - 1) > SHARE * memory  # and there are no more steps than that takes


def test_parts_are_not_made_smaller_than_need_be() -> None:
    decision = decide(LOAD, WHOLE // 60, None, None)
    assert LOAD.nodes / decision.num_parts >= SMALLEST_PART or decision.batch_parts == 1


@pytest.mark.parametrize(("num_parts", "batch_parts"), [(1, 1), (2, 1), (4, 1), (24, 6), (40, 10)])
def test_a_step_takes_a_quarter_of_the_parts_that_are_set(num_parts: int, batch_parts: int) -> None:
    decision = decide(LOAD, 10 * WHOLE, num_parts, None)
    assert (decision.num_parts, decision.batch_parts) == (num_parts, batch_parts)


def test_a_step_takes_fewer_of_the_parts_that_are_set_where_memory_is_short() -> None:
    memory = WHOLE // 4
    decision = decide(LOAD, memory, 400, None)
    assert decision.num_parts == 400 and 1 <= decision.batch_parts < 100
    assert LOAD.step(400 // decision.batch_parts) <= SHARE * memory


def test_what_does_not_fit_at_all_ends_with_a_number() -> None:
    load = replace(LOAD, nodes=50)
    assert fewest_steps(load, 0) == 50
    assert decide(load, 1, None, 100) == replace(decide(load, 1, None, 100), num_parts=50, batch_parts=50)


def test_a_halo_has_no_more_nodes_than_there_are_others_or_messages() -> None:
    alone = Load(nodes=100, messages=0, row=1, halo=1_000, message=1, fixed=0)
    assert alone.step(10) == 10
    full = replace(alone, messages=10_000)
    assert full.step(2) == 50 + 5_000 + 50 * 1_000


def test_a_step_takes_no_more_parts_than_there_are() -> None:
    with pytest.raises(UserError, match=r"trainer\.batch_parts=50 is not valid: expected at most partitioner\.num_parts=40"):
        compose_config(["partitioner.num_parts=40", "trainer.batch_parts=50"])
    config = compose_config(["trainer.batch_parts=50"]).with_parts(1, 1)
    assert (config.partitioner.parts, config.trainer.parts_per_step) == (1, 1)
