"""curves.png: a picture where there is something to draw and to draw with; never an error."""

from __future__ import annotations

import builtins
import logging
from pathlib import Path
from typing import Any

import pytest

from gas_cli.report.curves import draw_curves, plot_curves
from gas_cli.report.recorder import JsonlRecorder, read_metrics


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


def drawn(metrics: Path, summary: dict[str, Any]) -> Any:
    figure = pytest.importorskip("matplotlib.figure", reason="needs the plots extra").Figure()
    draw_curves(figure, read_metrics(metrics), summary)
    return figure


def test_the_loss_that_chooses_is_drawn_next_to_that_of_the_steps(tmp_path: Path) -> None:
    recorder = JsonlRecorder(tmp_path / "metrics.jsonl")
    for epoch in (1, 2):
        recorder.epoch({"epoch": epoch, "loss": 1 / epoch, "val": 0.5, "eval_loss": {"train": 2.0, "val": 3.0 * epoch, "test": 4.0}})
    recorder.close()
    left, right = drawn(tmp_path / "metrics.jsonl", {}).axes
    assert {line.get_label(): list(line.get_ydata()) for line in left.lines} == {"loss": [1.0, 0.5], "val loss": [3.0, 6.0]}
    assert [line.get_label() for line in right.lines] == ["val"]


def test_it_says_what_ran_and_marks_the_best_epoch(metrics: Path) -> None:
    summary = {"dataset": "my_graph", "model": "gcn", "method": "gas", "seed": 7, "metric": "macro_f1", "best_epoch": 3}
    figure = drawn(metrics, summary)
    assert figure.get_suptitle() == "my_graph, gcn, gas, seed 7"
    assert [axes.get_ylabel() for axes in figure.axes] == ["loss", "macro_f1"]
    for axes in figure.axes:
        (best,) = [line for line in axes.lines if line.get_label() == "best epoch 3"]
        assert list(best.get_xdata()) == [3, 3]
        assert "best epoch 3" in [text.get_text() for text in axes.get_legend().get_texts()]


def test_nothing_is_marked_before_the_first_evaluation_and_without_a_summary(metrics: Path) -> None:
    for summary in ({"best_epoch": 0}, {}):
        assert [line.get_label() for axes in drawn(metrics, summary).axes for line in axes.lines] == ["loss", "val"]
    metrics.with_name("summary.json").write_text("{")
    assert plot_curves(metrics, metrics.with_name("curves.png"))


def test_a_name_is_no_formula(metrics: Path) -> None:
    figure = drawn(metrics, {"dataset": "$x^$", "seed": 0})
    figure.savefig(metrics.with_name("curves.png"))  # parsed when it is drawn
    assert figure.get_suptitle() == r"\$x^\$, seed 0"


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
