"""What cannot be continued is refused, and the run stays exactly as it was."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from gas_cli.errors import UserError
from gas_cli.training.checkpoint import load_checkpoint
from tests.end_to_end.conftest import Command
from tests.end_to_end.runs import assert_refused, contents, differences, essence, train


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("finished")
    train(folder, "trainer.epochs=6")
    return folder


@pytest.fixture
def here(finished: Path, tmp_path: Path) -> Path:
    """A copy of a finished run, in the folder `here`."""
    return Path(shutil.copytree(finished, tmp_path / "here"))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("dataset.graph_seed=1", "belong to the graph"),
        ("dataset.num_nodes=301", "belong to the graph"),
        ("partitioner.num_parts=5", "ordered by the partition"),
        ("partitioner.seed=1", "ordered by the partition"),
        ("model.num_layers=3", "belong to the model"),
        ("model.name=appnp", "cannot be changed"),
        ("history.dtype=float16", "histories"),
        ("method.name=full_batch", "belong to the method"),
        ("seed=1", "neither of the two runs"),
    ],
)
def test_other_settings(change: str, reason: str, here: Path, gas_train: Command) -> None:
    before = contents(here)
    assert_refused(gas_train("resume=here", change), reason)
    assert contents(here) == before


def test_fewer_epochs_than_were_trained(here: Path, finished: Path, tmp_path: Path, gas_train: Command) -> None:
    """Refused before config.yaml says the smaller number, typed or edited; of several runs, before any of them goes on."""
    before, saved = contents(here), here / "config.yaml"
    assert_refused(gas_train("resume=here", "trainer.epochs=5"), "trainer.epochs=5 is not valid", "has trained 6 epochs", "or more")
    assert contents(here) == before
    saved.write_text(saved.read_text().replace("epochs: 6", "epochs: 2"))
    assert_refused(gas_train("resume=here"), "trainer.epochs=2 is not valid", "Use trainer.epochs=6")
    assert gas_train("resume=here", "trainer.epochs=6").code == 0
    assert differences(essence(here), essence(finished)) == []
    train(tmp_path / "several", "runs=2")
    before = contents(tmp_path / "several")
    assert_refused(gas_train("resume=several", "trainer.epochs=2", "runs=3"), "has trained 3 epochs")
    assert contents(tmp_path / "several") == before


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("graph_seed: 0", "graph_seed: 1", "it has dataset.graph_seed=0, and config.yaml has dataset.graph_seed=1"),
        ("mixing: 0.3", "mixing: 0.2", "mixing=0.3, and config.yaml"),
        ("num_parts: 6", "num_parts: 7", "num_parts=6, and config.yaml"),
        ("hidden_channels: 8", "hidden_channels: 9", "hidden_channels=8, and config.yaml"),
        ("num_layers: 2", "num_layers: 3", "num_layers=2, and config.yaml"),
        ("dtype: float32", "dtype: float16", "history.dtype=float32, and config.yaml"),
        ("epochs: 6", "epochs: six", "expected a whole number"),
        ("trainer:", "trainer: [", "not valid yaml"),
        ("dataset:", "x: 1\ndataset:", "x is not a setting"),
    ],
)
def test_an_edited_configuration(old: str, new: str, message: str, here: Path, gas_train: Command) -> None:
    text = (here / "config.yaml").read_text()
    assert old in text
    (here / "config.yaml").write_text(text.replace(old, new))
    before = contents(here)
    assert_refused(gas_train("resume=here"), message)
    assert contents(here) == before
    (here / "config.yaml").write_text(text)
    assert gas_train("resume=here", "trainer.epochs=7").code == 0


def test_a_dataset_whose_files_have_changed(fake_npz: Callable[..., Path], tmp_path: Path, gas_train: Command) -> None:
    path = fake_npz()
    words = (
        f"dataset.root={tmp_path}",
        "~tuned",
        "partitioner=random",
        "partitioner.num_parts=4",
        "trainer.batch_parts=2",
        "partitioner.cache=null",
    )
    train(tmp_path / "here", "dataset=amazon-photo", *words, "trainer.epochs=2", "model.hidden_channels=4", base=())
    good, before = path.read_bytes(), contents(tmp_path / "here")
    fake_npz(labels=np.arange(40)[::-1] % 8)
    assert_refused(gas_train("resume=here", "trainer.epochs=4"), "other labels")
    assert contents(tmp_path / "here") == before
    path.write_bytes(good)
    assert gas_train("resume=here", "trainer.epochs=4").code == 0


def test_a_file_of_parts_that_has_changed(tmp_path: Path, gas_train: Command) -> None:
    file = tmp_path / "parts.txt"
    np.savetxt(file, np.arange(300) % 6, fmt="%d")
    train(tmp_path / "here", "partitioner=file", f"partitioner.file={file}")
    before = contents(tmp_path / "here")
    np.savetxt(file, np.arange(300) // 50, fmt="%d")
    assert_refused(gas_train("resume=here", "trainer.epochs=4"), "another partition")
    assert contents(tmp_path / "here") == before


@pytest.mark.parametrize("size", [0, 100, 10_000])
def test_a_truncated_checkpoint_can_be_replaced_by_the_best_one(size: int, here: Path, finished: Path, gas_train: Command) -> None:
    last = here / "checkpoints" / "last.pt"
    last.write_bytes(last.read_bytes()[:size])
    before = contents(here)
    assert_refused(gas_train("resume=here"), "last.pt cannot be read", "best.pt in the same folder is from another epoch")
    assert contents(here) == before
    shutil.copy(here / "checkpoints" / "best.pt", last)
    assert gas_train("resume=here").code == 0
    assert differences(essence(here), essence(finished)) == []


def test_no_flipped_bit_of_a_checkpoint_gets_into_a_run(here: Path) -> None:
    """Refused, or of no consequence (in the padding of the archive)."""
    last = here / "checkpoints" / "last.pt"
    good, state = last.read_bytes(), load_checkpoint(last)
    rng, refused = np.random.default_rng(0), 0
    for position in rng.integers(0, len(good), 60):
        content = bytearray(good)
        content[position] ^= 1 << int(rng.integers(8))
        last.write_bytes(content)
        try:
            assert differences(load_checkpoint(last), state) == []
        except UserError as error:
            assert "last.pt cannot be read" in str(error)
            refused += 1
    assert refused > 40


def test_a_new_run_does_not_touch_the_folder_of_another(here: Path, gas_train: Command) -> None:
    before = contents(here)
    assert_refused(gas_train("hydra.run.dir=here", "seed=5"), "already holds a run", "resume=")
    assert {name: content for name, content in contents(here).items() if not name.startswith(".hydra")} == before


def test_a_folder_whose_log_cannot_be_written(here: Path, gas_train: Command) -> None:
    (here / "gas-train.log").mkdir()
    before = contents(here)
    assert_refused(gas_train("resume=here", "trainer.epochs=7"), "Cannot write here/gas-train.log")
    assert contents(here) == before
