"""The table of a sweep from its folders, whatever state they are in."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import pytest

from gas_cli.errors import UserError
from gas_cli.report.summary import write_summary
from gas_cli.report.sweep import read_jobs, report_sweep, seed_means
from gas_cli.report.table import comma_separated, markdown


def job(sweep: Path, name: str, overrides: str, **summary: Any) -> None:
    (sweep / name / ".hydra").mkdir(parents=True)
    (sweep / name / ".hydra" / "overrides.yaml").write_text("".join(f"- {item}\n" for item in overrides.split()))
    if summary:
        write_summary(sweep / name / "summary.json", summary)


def test_jobs_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    for number in (10, 9, 0):
        job(tmp_path, str(number), f"seed={number}", status="finished", val=0.5)
    job(tmp_path, "named/by=hand", "seed=1", status="finished", val=0.5)
    assert [row.name for row in read_jobs(tmp_path)] == ["0", "9", "10", "named/by=hand"]


def test_a_job_without_a_summary_is_unfinished(tmp_path: Path) -> None:
    job(tmp_path, "0", "seed=1")
    (row,) = read_jobs(tmp_path)
    assert row.status == "unfinished" and "summary.json" in row.error
    assert "unfinished" in report_sweep(tmp_path)


def test_means_only_over_finished_jobs_that_differ_by_seed_alone(tmp_path: Path) -> None:
    job(tmp_path, "0", "seed=0 model=gcn", status="finished", val=0.5, test=0.25, seconds=1.0)
    job(tmp_path, "1", "seed=1 model=gcn", status="finished", val=0.75, test=0.75, seconds=3.0)
    job(tmp_path, "2", "seed=2 model=gcn", status="failed", error="x")
    job(tmp_path, "3", "seed=0 model=appnp", status="finished", val=0.1)
    job(tmp_path, "4", "trainer.epochs=3", status="finished", val=0.1)
    job(tmp_path, "5", "trainer.epochs=3", status="finished", val=0.1)
    (row,) = seed_means(read_jobs(tmp_path))
    assert (row["overrides"], row["status"], row["val"], row["test"], row["seconds"]) == ("model=gcn", "2 seeds", 0.625, 0.5, 2.0)
    assert row["val_std"] == pytest.approx(0.25 / 2**0.5)


def test_repetitions_within_a_job_keep_their_deviation(tmp_path: Path) -> None:
    job(tmp_path, "0", "runs=3", status="finished", val=0.5, test=0.25, std={"val": 0.125, "test": 0.0625})
    assert "0.5000 ± 0.1250" in report_sweep(tmp_path)
    (row,) = csv.DictReader((tmp_path / "sweep.csv").open())
    assert (row["val_std"], row["test_std"]) == ("0.125", "0.0625")


def test_an_empty_sweep_writes_nothing(tmp_path: Path) -> None:
    assert report_sweep(tmp_path) == ""
    assert list(tmp_path.iterdir()) == []


def test_an_unwritable_folder_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job(tmp_path, "0", "seed=0", status="finished", val=0.5)

    def full(path: Path, text: str) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("gas_cli.report.sweep.write_atomically", full)
    with pytest.raises(UserError, match="No space left"):
        report_sweep(tmp_path)


ROWS = [{"a": "x|y", "b": 0.123456789}, {"a": "two\nlines, and comma", "b": None, "ignored": 1}]


def test_csv_round_trip() -> None:
    read = list(csv.DictReader(io.StringIO(comma_separated(["a", "b"], ROWS))))
    assert read == [{"a": "x|y", "b": "0.123456789"}, {"a": "two\nlines, and comma", "b": ""}]


def test_markdown_is_a_table_of_equal_lines() -> None:
    lines = markdown(["a", "b"], ROWS).splitlines()
    assert len(lines) == 4 and len({len(line) for line in lines}) == 1
    assert "x\\|y" in lines[2] and "0.1235" in lines[2] and "two lines" in lines[3]
