"""Runs that were mixed up, of another run or of other code: one message and an untouched folder."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from gas_cli.config.compose import compose_config
from gas_cli.errors import UserError
from tests.end_to_end.conftest import Command
from tests.end_to_end.runs import SMALL, assert_refused, contents, differences, essence, refused_by_both, train


@pytest.mark.parametrize("file", ["last.pt", "best.pt"])
@pytest.mark.parametrize(
    ("other", "difference"),
    [
        ("seed", "seed=1, and config.yaml has seed=0"),
        ("lr", "optimizer.lr=0.02, and config.yaml"),
        ("split", "dataset.split=0, and config.yaml"),
    ],
)
def test_checkpoints_of_other_runs(
    file: str, other: str, difference: str, runs: Path, here: Path, gas_train: Command, gas_predict: Command
) -> None:
    shutil.copy(runs / other / "checkpoints" / file, here / "checkpoints" / file)
    before = contents(here)
    assert_refused(gas_train("resume=here", "trainer.epochs=6"), f"here/checkpoints/{file}", difference)
    named = f"checkpoint={file.removesuffix('.pt')}"
    assert_refused(gas_predict("run=here", named), f"here/checkpoints/{file}", difference, program="gas-predict")
    assert contents(here) == before


def test_the_best_state_in_the_place_of_the_last_one_goes_on(here: Path, runs: Path, gas_train: Command) -> None:
    shutil.copy(here / "checkpoints" / "best.pt", here / "checkpoints" / "last.pt")
    assert gas_train("resume=here").code == 0
    assert differences(essence(here), essence(runs / "mine")) == []


def test_the_last_state_in_the_place_of_the_best_one(tmp_path: Path, gas_train: Command, gas_predict: Command) -> None:
    here = tmp_path / "here"
    train(here, "trainer.epochs=3", "optimizer.lr=0")  # so that no epoch is better than the first
    shutil.copy(here / "checkpoints" / "last.pt", here / "checkpoints" / "best.pt")
    words = "here/checkpoints/best.pt", "the state after epoch 3", "the best epoch is 1"
    before = contents(here)
    assert_refused(gas_train("resume=here", "trainer.epochs=6"), *words)
    assert_refused(gas_predict("run=here"), *words, program="gas-predict")
    assert contents(here) == before
    (here / "checkpoints" / "best.pt").unlink()
    assert gas_predict("run=here", "checkpoint=last").code == gas_train("resume=here", "trainer.epochs=6").code == 0


def test_a_second_run_in_a_used_folder_by_python(here: Path) -> None:
    from gas_cli.run import resume, run

    before = contents(here)
    for overrides in ((), ("seed=1",), ("model=sage",)):
        with pytest.raises(UserError, match=r"already holds a run: continue it with resume\(folder, config\)"):
            run(compose_config([*SMALL, *overrides]), here)
    with pytest.raises(UserError, match="seed=1 cannot be changed"):
        resume(here, compose_config([*SMALL, "seed=1"]))
    assert contents(here) == before


def test_seeds_that_were_swapped(tmp_path: Path, gas_train: Command) -> None:
    """Of several runs none is touched where one cannot be continued."""
    train(tmp_path / "here", "runs=2", "trainer.epochs=2")
    (tmp_path / "here" / "runs" / "00").rename(tmp_path / "x")
    (tmp_path / "here" / "runs" / "01").rename(tmp_path / "here" / "runs" / "00")
    (tmp_path / "x").rename(tmp_path / "here" / "runs" / "01")
    before = contents(tmp_path / "here")
    for more in ((), ("trainer.epochs=4",)):
        assert_refused(gas_train("resume=here", *more), "runs/00/checkpoints/last.pt", "seed=1, and config.yaml has seed=0")
        assert contents(tmp_path / "here") == before


@pytest.mark.parametrize(
    "content", ["{}", '{"status": "finished"}', "[1]", "{", {"test": 0.99}, {"last": 3}, {"last": {"epoch": 2, "val": "x"}}]
)
def test_a_damaged_summary_of_one_of_several_runs_is_made_anew(content: str | dict[str, Any], tmp_path: Path, gas_train: Command) -> None:
    """From the checkpoint: nothing is trained again. A mapping: with that in it, next to what was there."""
    train(tmp_path / "here", "runs=2", "trainer.epochs=2")
    path, recorded = tmp_path / "here" / "runs" / "00" / "summary.json", contents(tmp_path / "here")["runs/00/metrics.jsonl"]
    good = json.loads(path.read_text())
    path.write_text(json.dumps(good | content) if isinstance(content, dict) else content)
    assert gas_train("resume=here").code == 0
    again, together = json.loads(path.read_text()), json.loads((tmp_path / "here" / "summary.json").read_text())
    assert again["test"] == together["runs"][0]["test"] == good["test"]
    assert contents(tmp_path / "here")["runs/00/metrics.jsonl"] == recorded


def test_a_file_of_code_that_has_changed(tmp_path: Path, gas_train: Command, gas_predict: Command) -> None:
    code = tmp_path / "mine.py"
    code.write_text("from torch_geometric.nn import SAGEConv\n\n\nclass Mine(SAGEConv):\n    pass\n")
    train(tmp_path / "here", "model=custom", f"model.module={code}")
    code.write_text(code.read_text().replace("    pass", "    aggregations = 1"))
    refused_by_both(tmp_path / "here", gas_train, gas_predict, "model.module", "has changed since")
