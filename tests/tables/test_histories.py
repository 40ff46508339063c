"""Histories: round trips, precision, ages, refusals."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gas_cli.config.history import HistoryConfig
from gas_cli.errors import UserError
from gas_cli.tables.ages import NEVER, Ages
from gas_cli.tables.histories import Histories, make_histories
from gas_cli.tables.pinned import device_view, pinned_gather, pinned_rows
from tests.builders import rows_of
from tests.tables.kinds import KINDS, histories

CPU = torch.device("cpu")
PTR = torch.tensor([0, 3, 5, 10])
DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


def store(placement: str = "host", dtype: str = "float32", widths: tuple[int, ...] = (4, 7), device: torch.device = CPU) -> Histories:
    return make_histories(widths, PTR, HistoryConfig(placement=placement, dtype=dtype), device)


@settings(deadline=None)
@given(st.sampled_from(["host", "device", "auto"]), st.sampled_from(list(DTYPES)), st.integers(1, 2))
def test_what_is_written_is_read_rounded_to_the_tables_type(placement, dtype, layer):
    histories = store(placement, dtype)
    rows = torch.randn(7, histories.widths[layer - 1])
    histories[layer].write([(0, 3), (6, 10)], rows)
    found = histories[layer].read(torch.tensor([9, 0, 5])).wait()
    expected = torch.stack([rows[6], rows[0], torch.zeros(rows.shape[1])]).to(DTYPES[dtype]).float()
    assert torch.equal(found, expected)
    assert found.dtype == torch.float32
    assert not rows_of(histories)[2 - layer].any()  # the other layer is untouched


def test_bytes_follow_widths_and_precision():
    assert store().nbytes == 10 * (4 + 7) * 4
    assert store(dtype="float16").nbytes == 10 * (4 + 7) * 2 == 10 * store(dtype="float16").bytes_per_node


def test_ages_count_steps_since_the_last_write():
    ages = Ages(3)
    ages.mark([0, 2], step=5)
    assert ages.at(step=8).tolist() == [3, 8 - NEVER, 3]
    ages.mark(torch.tensor([1]), step=7)  # of rows, by position
    assert ages.at(step=8).tolist() == [3, 1, 3]


def test_state_survives_a_round_trip_and_does_not_fit_another_shape():
    histories, other = store(dtype="bfloat16"), store(dtype="bfloat16")
    histories[2].write([(0, 10)], torch.randn(10, 7))
    histories.ages.mark([1], 3)
    other.check(histories.state_dict(), step=3)
    other.load_state_dict(histories.state_dict())
    assert torch.equal(rows_of(other)[1], rows_of(histories)[1]) and rows_of(other)[1].any()
    assert other.ages.written_at.tolist() == [NEVER, 3, NEVER]
    for wrong in (store(), store(dtype="bfloat16", widths=(4, 8)), store(dtype="bfloat16", widths=(4,))):
        with pytest.raises(UserError, match="does not fit this run"):
            wrong.check(histories.state_dict())
    with pytest.raises(UserError, match="steps that the run has not done"):
        other.check(histories.state_dict(), step=2)


@pytest.mark.parametrize("kind", KINDS)
def test_a_checkpoint_has_what_was_written_last(kind):
    """Whatever is still on its way when the state is asked for."""
    late = histories(kind, 10, (4,), PTR)
    rows = torch.randn(10, 4)
    late[1].write([(0, 10)], rows)
    assert torch.equal(late.state_dict()["tables"][0], rows)
    late[1].write(torch.tensor([3]), torch.full((1, 4), float("inf")))
    assert late.overflowed()


def test_pinned_needs_cuda():
    with pytest.raises(UserError, match=r"history\.placement=auto"):
        store("pinned")


def test_tables_that_do_not_fit_say_what_to_do():
    with pytest.raises(UserError, match=r"not enough memory .* GiB\)\. Try .*history\.dtype=bfloat16"):
        make_histories((1 << 10,), torch.tensor([0, 1 << 46]), HistoryConfig(), CPU)


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", list(DTYPES))
@pytest.mark.parametrize("placement", ["device", "pinned", "host"])
def test_every_placement_equals_the_host_on_cuda(placement, dtype):
    on_gpu, reference = store(placement, dtype, device=torch.device("cuda", 0)), store("host", dtype)
    rows = torch.randn(7, 4)
    on_gpu[1].write([(0, 3), (6, 10)], rows.cuda())
    reference[1].write([(0, 3), (6, 10)], rows)
    index = torch.tensor([9, 0, 5])
    for where, there in ((index, index.cuda()), ([(2, 7)], [(2, 7)]), ([(0, 2), (8, 10)], [(0, 2), (8, 10)])):
        found = on_gpu[1].read(there).wait()
        assert found.is_cuda
        assert torch.equal(found.cpu(), reference[1].read(where).wait())
    on_gpu[1].write(index.cuda(), rows[:3].cuda())
    reference[1].write(index, rows[:3])
    assert torch.equal(rows_of(on_gpu)[0], rows_of(reference)[0])


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", list(DTYPES.values()))
def test_a_device_view_reads_what_the_host_wrote(dtype):
    table = torch.zeros(6, 4, dtype=dtype).pin_memory()
    view = device_view(table, torch.device("cuda", 0))
    table[2] = 3
    torch.cuda.synchronize()
    assert view.is_cuda
    assert view.dtype == dtype
    assert torch.equal(view.index_select(0, torch.tensor([2, 0], device="cuda")).cpu(), table[[2, 0]])


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", list(DTYPES.values()))
@pytest.mark.parametrize("channels", [1, 3, 7, 8, 40, 256])
def test_rows_are_gathered_from_pinned_memory(channels, dtype):
    table = torch.randn(2000, channels).to(dtype).pin_memory()
    index = torch.randint(0, 2000, (5000,))
    cuda = torch.device("cuda", 0)
    assert torch.equal(pinned_rows(table, cuda)(index.cuda()).cpu(), table[index])
    assert pinned_rows(table, cuda)(index[:0].cuda()).shape == (0, channels)
    assert torch.equal(pinned_gather(table, cuda)([(0, 5), (1990, 2000)]).cpu(), torch.cat([table[:5], table[1990:]]))
