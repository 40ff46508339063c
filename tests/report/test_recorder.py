"""Records come back as they went in; what a crash or a resume leaves behind is cut off at the right place."""

from __future__ import annotations

import builtins
import json
import logging
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gas_cli.errors import UserError
from gas_cli.report.progress import ProgressRecorder
from gas_cli.report.recorder import JsonlRecorder, Recorder, Recorders, read_metrics, truncate_after


def write(path: Path, epochs: range, after: int = 0) -> None:
    recorder = JsonlRecorder(path, after)
    for epoch in epochs:
        recorder.epoch({"epoch": epoch, "loss": 1 / epoch, "seconds": {"compute": 0.5}})
    recorder.close()


def test_records_come_back(tmp_path: Path) -> None:
    write(tmp_path / "m.jsonl", range(1, 4))
    assert read_metrics(tmp_path / "m.jsonl") == [{"epoch": e, "loss": 1 / e, "seconds": {"compute": 0.5}} for e in (1, 2, 3)]


def test_every_line_is_on_the_disk_at_once(tmp_path: Path) -> None:
    recorder = JsonlRecorder(tmp_path / "m.jsonl")
    recorder.epoch({"epoch": 1, "loss": 2.0})
    assert read_metrics(tmp_path / "m.jsonl") == [{"epoch": 1, "loss": 2.0}]
    recorder.close()


def test_nan_is_strict_json(tmp_path: Path) -> None:
    recorder = JsonlRecorder(tmp_path / "m.jsonl")
    recorder.epoch({"epoch": 1, "loss": math.nan, "val": math.inf})
    recorder.close()

    def refuse(name: str) -> float:
        raise AssertionError(name)

    assert json.loads((tmp_path / "m.jsonl").read_text(), parse_constant=refuse) == {"epoch": 1, "loss": None, "val": None}


@given(total=st.integers(0, 8), after=st.integers(0, 9), cut=st.integers(0, 20))
def test_a_continued_file_equals_an_uninterrupted_one(total: int, after: int, cut: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("metrics")
    write(folder / "a", range(1, total + 1))
    text = (folder / "a").read_text()
    (folder / "a").write_text(text + '{"epoch": 99, "loss": 0.123456}'[:cut])  # a line that a crash cut short
    write(folder / "a", range(min(after, total) + 1, 10), after=min(after, total))
    write(folder / "b", range(1, 10))
    assert (folder / "a").read_text() == (folder / "b").read_text()


def test_a_new_run_in_an_old_folder_starts_an_empty_file(tmp_path: Path) -> None:
    write(tmp_path / "m.jsonl", range(1, 4))
    write(tmp_path / "m.jsonl", range(1, 2))
    assert len(read_metrics(tmp_path / "m.jsonl")) == 1


def test_lines_without_an_epoch_end_the_file(tmp_path: Path) -> None:
    (tmp_path / "m.jsonl").write_text('{"epoch": 1}\n[1]\n{"epoch": 2}\n')
    truncate_after(tmp_path / "m.jsonl", 5)
    assert read_metrics(tmp_path / "m.jsonl") == [{"epoch": 1}]


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"none\.jsonl"):
        read_metrics(tmp_path / "none.jsonl")


class Listing(Recorder):
    def __init__(self) -> None:
        self.seen: list[Any] = []

    def epoch(self, record: Mapping[str, Any]) -> None:
        self.seen.append(record["epoch"])

    def close(self) -> None:
        self.seen.append("closed")


def test_several_recorders_get_the_same() -> None:
    parts = [Listing(), Listing()]
    together = Recorders(parts)
    together.epoch({"epoch": 1})
    together.close()
    assert [part.seen for part in parts] == [[1, "closed"], [1, "closed"]]


def test_plain_lines_without_a_terminal(caplog: pytest.LogCaptureFixture) -> None:
    recorder = ProgressRecorder(100, terminal=False)
    with caplog.at_level(logging.INFO):
        for epoch in range(1, 101):
            recorder.epoch({"epoch": epoch, "loss": 1.0, "val": 0.75 if epoch == 1 else None})
    recorder.close()
    assert len(caplog.messages) < 10  # not one per epoch
    assert caplog.messages[0].startswith("epoch 1/100") and caplog.messages[-1].startswith("epoch 100/100")
    assert "val 0.7500" in caplog.messages[-1]  # stays on display until measured again


def test_a_bar_on_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    recorder = ProgressRecorder(10, start=4, terminal=True)
    for epoch in range(5, 11):
        recorder.epoch({"epoch": epoch, "loss": 0.5})
    recorder.close()
    assert "10/10" in capsys.readouterr().err.split("\r")[-1]


def test_tensorboard_has_every_number(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="needs the tensorboard extra")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    from gas_cli.report.tensorboard import TensorBoardRecorder

    recorder = TensorBoardRecorder(tmp_path)
    recorder.epoch({"epoch": 1, "loss": 0.5, "val": None, "seconds": {"compute": 2.0}})
    recorder.epoch({"epoch": 2, "loss": 0.25})
    recorder.close()
    events = EventAccumulator(str(tmp_path)).Reload()
    assert [(event.step, event.value) for event in events.Scalars("loss")] == [(1, 0.5), (2, 0.25)]
    assert events.Scalars("seconds/compute")[0].value == 2.0
    assert set(events.Tags()["scalars"]) == {"loss", "seconds/compute"}


def test_without_tensorboard_the_extra_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from gas_cli.report.tensorboard import TensorBoardRecorder

    real = builtins.__import__

    def without(name: str, *args: Any, **kwargs: Any) -> Any:
        if "tensorboard" in name:
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(UserError, match=r"gas-cli\[tensorboard\]"):
        TensorBoardRecorder(tmp_path)
