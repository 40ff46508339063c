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
from gas_cli.report.journal import Recorded, recorded_before
from gas_cli.report.progress import ProgressRecorder
from gas_cli.report.recorder import JsonlRecorder, Recorder, Recorders, read_metrics


def write(path: Path, epochs: range, before: Recorded = Recorded()) -> list[Recorded]:  # noqa: B008
    """What a checkpoint after each of the epochs would say of the file."""
    recorder, marks = JsonlRecorder(path, before), [before]
    for epoch in epochs:
        recorder.epoch({"epoch": epoch, "loss": 1 / epoch, "seconds": {"compute": 0.5}})
        marks.append(recorder.recorded())
    recorder.close()
    return marks


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
    after = min(after, total)
    mark = write(folder / "a", range(1, total + 1))[after]
    text = (folder / "a").read_text()
    (folder / "a").write_text(text + '{"epoch": 99, "loss": 0.123456}'[:cut])  # a line that a crash cut short
    before = recorded_before(folder / "a", mark)
    marks = write(folder / "a", range(after + 1, 10), before)
    assert marks[-1] == write(folder / "b", range(1, 10))[-1]
    assert (folder / "a").read_text() == (folder / "b").read_text()


def test_a_new_run_in_an_old_folder_starts_an_empty_file(tmp_path: Path) -> None:
    write(tmp_path / "m.jsonl", range(1, 4))
    write(tmp_path / "m.jsonl", range(1, 2))
    assert len(read_metrics(tmp_path / "m.jsonl")) == 1


@pytest.mark.parametrize("line", [b"[1]", b'{"epoch": "2"}', b'{"epoch": true}', b"\xff\xfe", b"[" * 100_000, b""])
def test_lines_that_are_no_records_end_what_is_read(line: bytes, tmp_path: Path) -> None:
    (tmp_path / "m.jsonl").write_bytes(b'{"epoch": 1}\n' + line + b'\n{"epoch": 2}\n')
    assert read_metrics(tmp_path / "m.jsonl") == [{"epoch": 1}]


@given(data=st.data())
def test_any_damage_to_the_lines_of_a_checkpoint_is_refused(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    """One byte changed, a line missing or doubled, cut anywhere; what follows these lines may be cut, or be of a later epoch only."""
    path = tmp_path_factory.mktemp("metrics") / "m.jsonl"
    mark = write(path, range(1, 6))[4]
    content, lines = path.read_bytes(), path.read_bytes().splitlines(keepends=True)
    end = len(b"".join(lines[:4]))
    kind = data.draw(st.sampled_from(["byte", "missing", "twice", "cut", "tail"]))
    at = data.draw(st.integers(0, end - 1 if kind in ("byte", "cut") else 3))
    if kind == "byte":
        content = content[:at] + bytes([content[at] ^ data.draw(st.integers(1, 255))]) + content[at + 1 :]
    elif kind == "cut":
        content = content[:at]
    elif kind == "tail":
        content += data.draw(st.sampled_from([b'{"epoch": 5}\n', b"\xff\xfe\n", b"\n", b'{"epoch": "6"}\n']))
    else:
        content = b"".join(lines[:at] + [lines[at]] * (2 if kind == "twice" else 0) + lines[at + 1 :])
    path.write_bytes(content)
    with pytest.raises(UserError, match="was changed after the run wrote it"):
        recorded_before(path, mark)
    assert path.read_bytes() == content


def test_a_file_that_is_gone_is_reported_and_begins_anew(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    mark = write(tmp_path / "m.jsonl", range(1, 4))[-1]
    (tmp_path / "m.jsonl").unlink()
    before = recorded_before(tmp_path / "m.jsonl", mark)
    assert before == Recorded(first=4) and "will not have the metrics of the epochs before 4" in caplog.text
    marks = write(tmp_path / "m.jsonl", range(4, 6), before)
    assert recorded_before(tmp_path / "m.jsonl", marks[-1]) == marks[-1]
    with pytest.raises(UserError, match="2 lines from epoch 4 on"):
        Recorded.from_state_dict(marks[-1].state_dict(), 5)


@pytest.mark.parametrize("saved", [None, [], {}, {"first": 1, "lines": 3}, {"first": 1, "lines": "3", "digest": ""}])
def test_what_a_checkpoint_says_of_the_file_is_checked(saved: object) -> None:
    with pytest.raises(UserError, match="says nothing valid"):
        Recorded.from_state_dict(saved, 4)


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
