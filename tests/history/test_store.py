"""Histories: round trips, precision, ages, refusals."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gas_cli.config.history import HistoryConfig
from gas_cli.errors import UserError
from gas_cli.history.lanes import pinned_rows
from gas_cli.history.store import NEVER, HistoryStore

CPU = torch.device("cpu")
PTR = torch.tensor([0, 3, 5, 10])
DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


def store(placement: str = "host", dtype: str = "float32", widths: tuple[int, ...] = (4, 7), device: torch.device = CPU) -> HistoryStore:
    return HistoryStore(10, widths, PTR, HistoryConfig(placement=placement, dtype=dtype), device)


@settings(deadline=None)
@given(st.sampled_from(["host", "device", "auto"]), st.sampled_from(list(DTYPES)), st.integers(1, 2))
def test_what_is_pushed_is_pulled_rounded_to_the_tables_type(placement, dtype, layer):
    histories = store(placement, dtype)
    rows = torch.randn(7, histories.widths[layer - 1])
    histories.push(layer, [(0, 3), (6, 10)], rows)
    pulled = histories.pull(layer, torch.tensor([9, 0, 5]))
    expected = torch.stack([rows[6], rows[0], torch.zeros(rows.shape[1])]).to(DTYPES[dtype]).float()
    assert torch.equal(pulled, expected)
    assert pulled.dtype == torch.float32
    other = histories.tables[2 - layer]
    assert not other.any()  # the other layer is untouched


def test_bytes_follow_widths_and_precision():
    assert store().nbytes == 10 * (4 + 7) * 4
    assert store(dtype="float16").nbytes == 10 * (4 + 7) * 2


@pytest.mark.parametrize("shape", [(3, 5), (2, 4), (4, 4)])
def test_rows_of_another_shape_are_refused(shape):
    histories = store()
    with pytest.raises(ValueError, match="4 wide"):
        histories.push(1, [(0, 3)], torch.ones(shape))
    assert not histories.tables[0].any()


def test_ages_count_steps_since_the_last_push():
    histories = store()
    histories.mark_pushed([0, 2], step=5)
    assert histories.ages(step=8).tolist() == [3, 8 - NEVER, 3]


def test_state_survives_a_round_trip_and_does_not_fit_another_shape():
    histories, other = store(dtype="bfloat16"), store(dtype="bfloat16")
    histories.push(2, [(0, 10)], torch.randn(10, 7))
    histories.mark_pushed([1], 3)
    other.load_state_dict(histories.state_dict())
    assert torch.equal(other.tables[1], histories.tables[1])
    assert other.pushed_at.tolist() == [NEVER, 3, NEVER]
    for wrong in (store(), store(dtype="bfloat16", widths=(4, 8))):
        with pytest.raises(UserError, match="Resume with the settings"):
            wrong.load_state_dict(histories.state_dict())


def test_pinned_needs_cuda():
    with pytest.raises(UserError, match=r"history\.placement=auto"):
        store("pinned")


def test_tables_that_do_not_fit_say_what_to_do():
    with pytest.raises(UserError, match=r"no room .* GiB\)\. Try .*history\.dtype=bfloat16"):
        HistoryStore(1 << 46, (1 << 10,), torch.tensor([0, 1 << 46]), HistoryConfig(), CPU)


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", list(DTYPES))
@pytest.mark.parametrize("placement", ["device", "pinned", "host"])
def test_every_placement_equals_the_host_on_cuda(placement, dtype):
    on_gpu, reference = store(placement, dtype, device=torch.device("cuda")), store("host", dtype)
    rows = torch.randn(7, 4)
    on_gpu.push(1, [(0, 3), (6, 10)], rows.cuda())
    reference.push(1, [(0, 3), (6, 10)], rows)
    index = torch.tensor([9, 0, 5])
    pulled = on_gpu.pull(1, index.cuda())
    assert pulled.is_cuda
    assert torch.equal(pulled.cpu(), reference.pull(1, index))


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", list(DTYPES.values()))
def test_a_device_view_reads_what_the_host_wrote(dtype):
    from gas_cli.history.lanes import device_view

    table = torch.zeros(6, 4, dtype=dtype).pin_memory()
    view = device_view(table, torch.device("cuda"))
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
    assert torch.equal(pinned_rows(table, torch.device("cuda", 0))(index.cuda()).cpu(), table[index])
    assert pinned_rows(table, torch.device("cuda", 0))(index[:0].cuda()).shape == (0, channels)
