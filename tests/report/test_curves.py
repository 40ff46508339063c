"""curves.png: a picture where there is something to draw and to draw with; never an error."""

from __future__ import annotations

import builtins
import logging
from pathlib import Path
from typing import Any

import pytest

from gas_cli.report.curves import plot_curves
from gas_cli.report.recorder import JsonlRecorder


@pytest.fixture
def metrics(tmp_path: Path) -> Path:
    recorder = JsonlRecorder(tmp_path / "metrics.jsonl")
    for epoch in range(1, 5):
        recorder.epoch({"epoch": epoch, "loss": 1 / epoch, "val": epoch / 10 if epoch % 2 else None})
    recorder.close()
    return tmp_path / "metrics.jsonl"


def test_a_picture(metrics: Path) -> None:
    pytest.importorskip("matplotlib", reason="needs the plots extra")
    assert plot_curves(metrics, metrics.with_name("curves.png"))
    assert metrics.with_name("curves.png").read_bytes().startswith(b"\x89PNG")


def test_nothing_to_draw(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "metrics.jsonl").write_text("")
    with caplog.at_level(logging.INFO):
        assert not plot_curves(tmp_path / "metrics.jsonl", tmp_path / "curves.png")
    assert "curves.png" in caplog.text and not (tmp_path / "curves.png").exists()


def test_without_matplotlib(metrics: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    real = builtins.__import__

    def without(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.startswith("matplotlib"):
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with caplog.at_level(logging.INFO):
        assert not plot_curves(metrics, metrics.with_name("curves.png"))
    assert "gas-cli[plots]" in caplog.text
