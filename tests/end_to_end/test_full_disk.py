"""A disk that fills up: the message says so, the checkpoints that are there stay whole, and with room again the run goes on."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.conftest import Command
from tests.end_to_end.processes import Program, small_files
from tests.end_to_end.runs import SMALL, assert_refused, contents, differences, essence, summary, train


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    train(folder, "trainer.epochs=6")
    return folder


def test_a_checkpoint_that_does_not_fit(tmp_path: Path, gas_train: Command, whole: Path) -> None:
    outcome = Program(tmp_path, *SMALL, "trainer.epochs=6", "hydra.run.dir=here", sabotage=(small_files,)).outcome()
    assert_refused(outcome, "Cannot write the checkpoint", "File too large", "resume=")
    assert list((tmp_path / "here" / "checkpoints").iterdir()) == []
    failed = summary(tmp_path / "here")
    assert failed["status"] == "failed" and "Cannot write the checkpoint" in failed["error"]
    assert gas_train("resume=here").code == 0
    assert differences(essence(tmp_path / "here"), essence(whole)) == []


def test_the_previous_checkpoints_stay(tmp_path: Path, gas_train: Command, whole: Path) -> None:
    train(tmp_path / "here", "trainer.epochs=3")
    before = contents(tmp_path / "here" / "checkpoints")
    outcome = Program(tmp_path, "resume=here", "trainer.epochs=6", sabotage=(small_files,)).outcome()
    assert_refused(outcome, "is intact")
    assert contents(tmp_path / "here" / "checkpoints") == before
    assert gas_train("resume=here").code == 0  # the number of epochs is remembered
    assert differences(essence(tmp_path / "here"), essence(whole)) == []


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A separate file system of 400 KiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if (
        sys.platform != "linux"
        or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=400k", "none", folder], capture_output=True, check=False).returncode
    ):
        pytest.skip("needs the right to mount a file system")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


@pytest.mark.parametrize("room", [0, 12, 36, 60])
def test_a_disk_with_hardly_any_room(room: int, small_disk: Path, gas_train: Command, whole: Path) -> None:
    """Whichever file it is that does not fit any more."""
    train(small_disk / "here", "trainer.epochs=3")
    before = contents(small_disk / "here" / "checkpoints")
    fill(small_disk, room)
    outcome = gas_train(f"resume={small_disk / 'here'}", "trainer.epochs=6")
    if outcome.code != 0:
        assert_refused(outcome, "No space left on device", "resume=")
        kept = contents(small_disk / "here" / "checkpoints")
        assert kept["last.pt"] == before["last.pt"] and not any(name.endswith(".tmp") for name in kept)
        assert json.loads((small_disk / "here" / "summary.json").read_text())["status"] in ("failed", "finished", "running")
    (small_disk / "filler").unlink()
    assert gas_train(f"resume={small_disk / 'here'}", "trainer.epochs=6").code == 0
    assert differences(essence(small_disk / "here"), essence(whole)) == []


def fill(folder: Path, room: int) -> None:
    """Leave `room` KiB."""
    blocks = 0
    with (folder / "filler").open("wb", buffering=0) as file:
        try:
            while True:
                blocks += file.write(bytes(4096)) == 4096
        except OSError:
            file.truncate(max(0, 4096 * blocks - 1024 * room))
