"""docs/benchmarks.md and its pictures are what the results say; every benchmark can be asked for; importing one does nothing."""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks import document, run
from benchmarks.lib import targets
from benchmarks.lib.pictures import PICTURES, digest, digest_of
from scripts.lib.report import RESULTS, read

ROOT = Path(__file__).resolve().parents[2]
BENCHMARKS = (
    "aggregation",
    "attention",
    "auto_memory",
    "convert",
    "document",
    "epoch_time",
    "first_run",
    "growth",
    "history_placement",
    "idle_threads",
    "layers",
    "run",
    "sampling",
    "shortcuts",
    "time_to_accuracy",
)
ROW: dict[str, Any] = {"case": "arxiv-size gcn", "seconds": 1.0, "spread": [1.0, 1.0], "peak_memory": 2**30}
EPOCHS = [{**ROW, "variant": "gas", "ratio_to_pyg": 0.1}, {**ROW, "variant": "pyg", "ratio_to_pyg": 1.0}]


def test_page_and_pictures_are_what_the_files_say(capsys: pytest.CaptureFixture[str]) -> None:
    assert document.main(["--check"]) == 0, "run python -m benchmarks.document"
    assert "up to date" in capsys.readouterr().out


def test_every_result_of_a_benchmark_has_its_place_on_the_page() -> None:
    marked = re.findall(r"<!-- benchmark: ([\w -]+) -->", (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8"))
    assert len(marked) == len(set(marked))
    assert {f"picture {name}" for name in PICTURES} | {"targets"} <= set(marked)
    made = {
        f"{name}-{device}"
        for name in ("aggregation", "attention", "epoch-time", "growth", "time-to-accuracy")
        for device in ("cpu", "cuda")
    }
    assert made | {"layers", "shortcuts-cpu", "history-placement", "auto-memory", "convert", "sampling-cpu"} <= set(marked)


def write_epochs(folder: Path, rows: list[dict[str, Any]]) -> None:
    content = {"machine": read("epoch-time-cpu")["machine"], "rows": rows}
    (folder / "epoch-time-cpu.json").write_text(json.dumps(content), encoding="utf-8")


def test_a_changed_result_changes_page_and_picture(tmp_path: Path) -> None:
    page = "a\n<!-- benchmark: epoch-time-cpu -->\nold\n<!-- end -->\n<!-- benchmark: targets -->\n<!-- end -->\nz\n"
    assert "epoch-time-cpu.json is not there" in document.filled(page, tmp_path) and document.outdated(tmp_path, tmp_path) == []
    write_epochs(tmp_path, EPOCHS)
    new = document.filled(page, tmp_path)
    assert "old" not in new and "| arxiv-size gcn | gas | 1.0000" in new and "at most 0.18 | 0.10 | yes |" in new
    assert document.filled(new, tmp_path) == new and new.endswith("\nz\n")
    assert document.outdated(tmp_path, tmp_path) == ["epoch-ratios"]
    document.draw("epoch-ratios", tmp_path, tmp_path)
    assert document.outdated(tmp_path, tmp_path) == []
    write_epochs(tmp_path, [{**EPOCHS[0], "ratio_to_pyg": 0.2}, EPOCHS[1]])
    assert document.outdated(tmp_path, tmp_path) == ["epoch-ratios"]
    assert "at most 0.18 | 0.20 | no |" in document.filled(page, tmp_path)


GROWN = [{"edges": 10 * s, "seconds": 1.0 * s, "step_memory": 2**20, "prepared": {"metis": 1.0}, "building": 0.1} for s in (1, 2)]
CURVES = [{"case": "cora", "variant": v, "accuracy": 0.7, "curves": [[[1.0, 0.5, 0.4], [2.0, 0.8, 0.7]]]} for v in ("gas", "pyg")]


@pytest.mark.parametrize(("name", "rows"), [("epoch-ratios", EPOCHS), ("growth", GROWN), ("time-to-accuracy", CURVES)])
def test_a_picture_carries_the_digest_of_its_numbers(name: str, rows: list[dict[str, Any]], tmp_path: Path) -> None:
    PICTURES[name].save(rows, tmp_path / "a.png")
    assert digest_of(tmp_path / "a.png") == digest(PICTURES[name].numbers(rows))


@pytest.mark.parametrize("name", ["epoch-time", "growth", "time-to-accuracy", "shortcuts"])
def test_a_table_of_nothing_says_what_was_left_out(name: str) -> None:
    settings = {"device": "cpu", "mixing": 0.15, "clock": "seconds", "missing": {"cora": "DIR does not exist"}}
    assert document.TABLES[name]({"rows": [], "settings": settings}).endswith("\nLeft out: cora: DIR does not exist.")


def test_a_target_without_its_rows_is_not_measured() -> None:
    table = targets.table({})
    assert table.count("not measured") == len(targets.TARGETS) == len(table.splitlines()) - 2
    assert all(target.measure([]) is None for target in targets.TARGETS)
    assert targets.preparation({"prepared": {"metis": 0.0, "rest": 1.0}, "building": 0.1}) is None
    assert targets.preparation({"prepared": {"metis": 2.0, "rest": 0.8}, "building": 0.2}) == 1.5


def test_results_that_are_there_are_read_as_they_are_written() -> None:
    """Every committed file of a benchmark has a table, and the targets read it."""
    for path in RESULTS.glob("*.json"):
        name = path.stem.removesuffix("-cpu").removesuffix("-cuda")
        if name in document.TABLES:
            assert document.body(path.stem, RESULTS).count("|") > 10


@pytest.mark.parametrize("device", ["cpu", "cuda"])
@pytest.mark.parametrize("quick", [False, True])
def test_the_driver_gives_options_that_exist(device: str, quick: bool, tmp_path: Path) -> None:
    arguments = argparse.Namespace(device=device, quick=quick, rounds=2, out=tmp_path, root=tmp_path, only=None)
    planned = run.commands(arguments)
    assert set(planned) == ((set(run.QUICK)) if quick else set(run.ON_CPU if device == "cpu" else run.ON_CUDA))
    for command in planned.values():
        known = subprocess.run([sys.executable, "-m", command[0], "--help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
        assert all(f" {option} " in known for option in command if option.startswith("--")), command


@pytest.mark.parametrize("names", [",".join(f"benchmarks.{name}" for name in BENCHMARKS)])
def test_importing_a_benchmark_does_not_load_torch(names: str) -> None:
    """What the process is to set for torch has to be set before."""
    code = f"import sys, {names}; assert not {{'torch', 'numba', 'matplotlib'}} & set(sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
