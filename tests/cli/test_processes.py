"""Real processes with real (tiny) training: Ctrl-C, launchers, several runs, start-up without torch."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cli.conftest import job_folder
from tests.end_to_end.processes import Program

PROGRAM = "import sys; from gas_cli.cli.train import main; main()"
TINY = (
    "dataset.num_nodes=300",
    "partitioner=random",
    "partitioner.num_parts=4",
    "trainer.batch_parts=2",
    "partitioner.cache=null",
    "device=cpu",
)


def start(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", PROGRAM, *arguments]
    return subprocess.Popen(command, cwd=folder, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def finish(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=120)
    return process.returncode, out, err


def wait_for(path: Path, process: subprocess.Popen[str]) -> None:
    for _ in range(1200):
        if (path.exists() and path.stat().st_size) or process.poll() is not None:
            return
        time.sleep(0.05)


def test_a_signal_saves_and_the_run_goes_on_where_it_stopped(tmp_path: Path) -> None:
    """The other signals, and whether the result is the same: tests/end_to_end/test_kill.py, in processes that start faster."""
    process = start(tmp_path, *TINY, "trainer.epochs=100000", "hydra.run.dir=here")
    wait_for(tmp_path / "here" / "metrics.jsonl", process)
    process.send_signal(signal.SIGINT)
    code, out, err = finish(process)
    assert code == 130, err
    assert "Traceback" not in out + err
    summary = json.loads((tmp_path / "here" / "summary.json").read_text())
    assert summary["status"] == "interrupted"
    epochs = len((tmp_path / "here" / "metrics.jsonl").read_text().splitlines())
    code, _, err = finish(start(tmp_path, "resume=here", f"trainer.epochs={epochs + 2}"))
    assert code == 0, err
    assert json.loads((tmp_path / "here" / "summary.json").read_text())["status"] == "finished"
    recorded = [json.loads(line)["epoch"] for line in (tmp_path / "here" / "metrics.jsonl").read_text().splitlines()]
    assert recorded == list(range(1, epochs + 3))


def test_jobs_side_by_side_with_joblib(tmp_path: Path) -> None:
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher", reason="needs the joblib extra")
    words = ("hydra/launcher=joblib", "hydra.launcher.n_jobs=2", "hydra.sweep.dir=sweep", "trainer.epochs=2")
    code, out, err = finish(start(tmp_path, "-m", *TINY, *words, "seed=0,1", "model.num_layers=2", "trainer.patience=null,-1"))
    assert code == 2, err  # patience=-1 is refused by two jobs
    with (tmp_path / "sweep" / "sweep.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert sorted(row["status"] for row in rows[:4]) == ["failed", "failed", "finished", "finished"]
    assert rows[4]["status"] == "2 seeds"
    assert (tmp_path / "sweep" / "sweep.md").read_text() in out


def test_jobs_of_one_process_do_not_influence_each_other(tmp_path: Path) -> None:
    assert Program(tmp_path, "-m", *TINY, "hydra.sweep.dir=sweep", "trainer.epochs=2", "seed=1,0").outcome().code == 0
    assert Program(tmp_path, *TINY, "hydra.run.dir=alone", "trainer.epochs=2", "seed=0").outcome().code == 0
    losses = [
        [json.loads(line)["loss"] for line in (folder / "metrics.jsonl").read_text().splitlines()]
        for folder in (job_folder(tmp_path / "sweep", seed=0), tmp_path / "alone")
    ]
    assert losses[0] == losses[1]


@pytest.mark.parametrize("arguments", [["--help"], ["dataset=corra"], ["trainer.epochs=-1"]])
def test_help_and_mistakes_do_not_import_torch(arguments: list[str]) -> None:
    code = f"import sys; from gas_cli.cli.train import command_line; command_line({arguments!r}); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 0


def test_training_imports_neither_the_compiler_of_torch_nor_what_other_models_need(tmp_path: Path) -> None:
    """Each would cost every start a second or more, and tens of MiB."""
    heavy = ("torch._dynamo", "sympy", "torch_geometric", "pandas", "sklearn", "ogb")
    arguments = [*TINY, "trainer.epochs=1", "optimizer.schedule=cosine", f"hydra.run.dir={tmp_path}"]
    code = f"import sys; from gas_cli.cli.train import command_line; c = command_line({arguments!r}); "
    code += f"sys.exit(c or str([name for name in {heavy} if name in sys.modules] or ''))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.stderr.strip() == ""
    assert (tmp_path / "summary.json").exists()
