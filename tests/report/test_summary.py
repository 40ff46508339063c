"""summary.json: strict JSON, whole or old, and statistics over runs."""

from __future__ import annotations

import json
import math
import os
import statistics
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gas_cli.errors import UserError
from gas_cli.files import write_atomically
from gas_cli.report.summary import aggregate_runs, mean_and_std, read_summary, write_summary


def test_it_comes_back_with_plain_values(tmp_path: Path) -> None:
    summary = {"val": np.float64(0.5), "n": torch.tensor(3), "bad": math.nan, "list": (1, None), "path": Path("x"), "deep": {1: True}}
    write_summary(tmp_path / "s.json", summary)
    expected = {"val": 0.5, "n": 3, "bad": None, "list": [1, None], "path": "x", "deep": {"1": True}}
    assert read_summary(tmp_path / "s.json") == expected


@pytest.mark.parametrize(("content", "message"), [("{", "not valid JSON"), ("[]", "not a summary"), (None, "No such file")])
def test_a_damaged_summary_is_named(content: str | None, message: str, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "s.json").write_text(content)
    with pytest.raises(UserError, match=message):
        read_summary(tmp_path / "s.json")


def test_a_write_that_fails_keeps_the_old_file_and_leaves_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_summary(tmp_path / "s.json", {"val": 1})

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_summary(tmp_path / "s.json", {"val": 2})
    assert read_summary(tmp_path / "s.json") == {"val": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["s.json"]


def test_files_get_the_rights_of_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_atomically(tmp_path / "f", b"x")
        assert (tmp_path / "f").stat().st_mode & 0o777 == 0o640
        assert os.umask(0o027) == 0o027
    finally:
        os.umask(before)


@given(st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=10))
def test_mean_and_sample_deviation(values: list[float]) -> None:
    mean, std = mean_and_std([*values, None, math.nan])
    assert mean == pytest.approx(statistics.mean(values), abs=1e-9)
    assert std == pytest.approx(statistics.stdev(values), abs=1e-9)


def test_mean_of_few() -> None:
    assert mean_and_std([]) == (None, None)
    assert mean_and_std([0.5]) == (0.5, 0.0)


def test_several_runs_as_one() -> None:
    runs = [{"train": 1.0, "val": 0.5, "test": 0.25, "seed": 0}, {"train": 1.0, "val": 0.75, "test": None, "seed": 1}]
    summary = aggregate_runs(runs)
    assert (summary["val"], summary["test"], summary["runs"]) == (0.625, 0.25, runs)
    assert summary["std"] == {"train": 0.0, "val": pytest.approx(0.25 / 2**0.5), "test": 0.0}
    json.dumps(summary)
