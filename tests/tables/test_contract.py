"""What every table promises, kind by kind: the rows last written are read, whenever the copies run."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gas_cli.tables.memory import ScratchTable
from tests.tables.kinds import CPU, KINDS

ROWS, WIDTH = 12, 3
DTYPES = [torch.float32, torch.float16, torch.bfloat16]


@st.composite
def places(draw: st.DrawFn, free: list[int]) -> torch.Tensor | list[tuple[int, int]]:
    """Some of the rows `free`: positions in any order, or ascending ranges."""
    chosen = draw(st.lists(st.sampled_from(free), unique=True, max_size=len(free)))
    if draw(st.booleans()):
        return torch.tensor(chosen, dtype=torch.int64)
    ranges: list[tuple[int, int]] = []
    for row in sorted(chosen):
        if ranges and ranges[-1][1] == row:
            ranges[-1] = (ranges[-1][0], row + 1)
        else:
            ranges.append((row, row + 1))
    return ranges or [(0, 0)]


def rows_at(where: torch.Tensor | list[tuple[int, int]]) -> list[int]:
    return where.tolist() if isinstance(where, torch.Tensor) else [row for bounds in where for row in range(*bounds)]


@pytest.mark.parametrize("kind", KINDS)
@settings(deadline=None, max_examples=60)
@given(data=st.data(), dtype=st.sampled_from(DTYPES))
def test_a_read_sees_every_write_before_it(kind, data, dtype):
    """Writes, reads that are waited for later, flushes and round trips through `state`, in any order that the contract allows."""
    table = KINDS[kind](ROWS, WIDTH, dtype)
    expected, pending = torch.zeros(ROWS, WIDTH, dtype=dtype), []
    for _ in range(data.draw(st.integers(1, 12))):
        action = data.draw(st.sampled_from(["write", "write", "read", "read", "wait", "flush", "reload"]))
        if action == "write":
            asked = {row for where, _, _ in pending for row in rows_at(where)}
            free = [row for row in range(ROWS) if row not in asked]  # nobody writes rows that are on their way
            if not free:
                continue
            where = data.draw(places(free))
            rows = torch.randn(len(rows_at(where)), WIDTH, generator=torch.Generator().manual_seed(data.draw(st.integers(0, 999))))
            table.write(where, rows)
            expected[rows_at(where)] = rows.to(dtype)
        elif action == "read":
            where = data.draw(places(list(range(ROWS))))
            pending.append((where, table.read(where), expected[rows_at(where)].float()))
        elif action == "wait" and pending:
            _, rows, wanted = pending.pop(0)
            assert torch.equal(rows.wait(), wanted)
        elif action == "flush":
            table.flush()
            assert torch.equal(table.state(), expected)
        elif action == "reload":
            table.flush()
            state = table.state().clone()
            other = KINDS[kind](ROWS, WIDTH, dtype)
            other.load(state)
            assert torch.equal(other.read([(0, ROWS)]).wait(), expected.float())
    for _, rows, wanted in pending:
        assert torch.equal(rows.wait(), wanted)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("where", [[(0, 3)], [(0, 2), (5, 6)], torch.tensor([4, 1, 0])], ids=["range", "ranges", "positions"])
@pytest.mark.parametrize("shape", [(3, 5), (2, WIDTH), (4, WIDTH)])
def test_rows_of_another_shape_are_refused(kind, where, shape):
    table = KINDS[kind](ROWS, WIDTH, torch.float32)
    with pytest.raises(ValueError, match="3 wide"):
        table.write(where, torch.ones(shape))
    table.flush()
    assert not table.state().any()


@pytest.mark.parametrize("kind", KINDS)
def test_bytes_follow_width_and_precision(kind):
    assert [KINDS[kind](ROWS, WIDTH, dtype).nbytes for dtype in DTYPES] == [ROWS * WIDTH * 4, ROWS * WIDTH * 2, ROWS * WIDTH * 2]


def test_a_scratch_table_is_made_by_its_first_rows():
    """In one piece it holds those rows without a copy; piece by piece it fills up."""
    rows = torch.randn(ROWS, WIDTH)
    whole, pieces = ScratchTable(ROWS, CPU), ScratchTable(ROWS, CPU)
    whole.write([(0, ROWS)], rows)
    assert whole.state().data_ptr() == rows.data_ptr()
    for start in range(0, ROWS, 4):
        pieces.write([(start, start + 4)], rows[start : start + 4])
    assert torch.equal(pieces.state(), rows) and pieces.state().data_ptr() != rows.data_ptr()
    assert torch.equal(pieces.read(torch.tensor([7, 0])).wait(), rows[[7, 0]])
