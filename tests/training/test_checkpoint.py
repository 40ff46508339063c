"""Checkpoints: whole or not at all."""

import io
import os

import pytest
import torch

from gas_cli.errors import UserError
from gas_cli.training import checkpoint
from gas_cli.training.checkpoint import BEST_IN_MEMORY_BYTES, Checkpoints, load_checkpoint, save_checkpoint
from tests.disks import full_disk


def test_round_trip(tmp_path):
    histories = {"tables": [torch.zeros(2, 2).bfloat16()]}
    state = {"model": {"w": torch.randn(3)}, "progress": {"epoch": 2, "val": float("nan")}, "method": {"histories": histories}}
    save_checkpoint(tmp_path / "deep" / "last.pt", state)
    loaded = load_checkpoint(tmp_path / "deep" / "last.pt")
    assert torch.equal(loaded["model"]["w"], state["model"]["w"])
    assert loaded["method"]["histories"]["tables"][0].dtype == torch.bfloat16
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["last.pt"]


def test_the_best_state_that_waits_is_that_of_its_epoch(tmp_path):
    """Later steps change the tensors in place."""
    checkpoints, weights = Checkpoints(tmp_path), torch.ones(3)
    checkpoints.keep_best({"model": {"w": weights}, "epochs": [1]}, table_bytes=BEST_IN_MEMORY_BYTES)
    assert not checkpoints.best.exists()
    weights.zero_()
    checkpoints.write_best()
    assert load_checkpoint(checkpoints.best)["model"]["w"].tolist() == [1, 1, 1]
    checkpoints.best.unlink()
    checkpoints.write_best()  # nothing waits any more
    assert not checkpoints.best.exists()


def test_a_large_best_state_is_written_at_once(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.keep_best({"epoch": 1}, table_bytes=BEST_IN_MEMORY_BYTES + 1)
    assert load_checkpoint(checkpoints.best)["epoch"] == 1


def test_a_full_disk_keeps_the_previous_checkpoint_and_says_what_to_do(tmp_path):
    path = tmp_path / "run" / "checkpoints" / "last.pt"
    save_checkpoint(path, {"epoch": 1})
    state = {"model": torch.randn(1000), "optimizer": [torch.randn(500), torch.randn(500)]}
    whole = io.BytesIO()
    torch.save({"format": checkpoint.FORMAT, **state}, whole)
    for limit in range(0, whole.tell(), 500):  # in whichever call of whichever layer the disk is full
        with full_disk(limit), pytest.raises(UserError, match=r"File too large.*is intact.*resume="):
            save_checkpoint(path, state)
        assert load_checkpoint(path)["epoch"] == 1
        assert not path.with_name("last.pt.tmp").exists()


@pytest.mark.parametrize("keep", [0.0, 0.5, 0.95])
def test_a_truncated_file_is_named(tmp_path, keep):
    path = tmp_path / "last.pt"
    save_checkpoint(path, {"model": torch.randn(100)})
    content = path.read_bytes()
    path.write_bytes(content[: int(keep * len(content))])
    with pytest.raises(UserError, match=r"last\.pt cannot be read"):
        load_checkpoint(path)


def test_missing_foreign_and_newer_files_are_named(tmp_path):
    with pytest.raises(UserError, match="No checkpoint at"):
        load_checkpoint(tmp_path / "last.pt")
    (tmp_path / "text.pt").write_text("hello")
    with pytest.raises(UserError, match="cannot be read"):
        load_checkpoint(tmp_path / "text.pt")
    torch.save({"format": checkpoint.FORMAT + 1}, tmp_path / "newer.pt")
    with pytest.raises(UserError, match="another version"):
        load_checkpoint(tmp_path / "newer.pt")


def test_code_in_a_checkpoint_is_not_run(tmp_path):
    class Payload:
        def __reduce__(self):
            return os.system, ("touch " + str(tmp_path / "owned"),)

    torch.save({"format": checkpoint.FORMAT, "x": Payload()}, tmp_path / "evil.pt")
    with pytest.raises(UserError, match="cannot be read"):
        load_checkpoint(tmp_path / "evil.pt")
    assert not (tmp_path / "owned").exists()


def test_a_mistake_of_ours_is_not_taken_for_a_full_disk(tmp_path):
    with pytest.raises((RuntimeError, AttributeError, TypeError)) as caught:
        save_checkpoint(tmp_path / "last.pt", {"model": lambda: None})
    assert not isinstance(caught.value, UserError)
