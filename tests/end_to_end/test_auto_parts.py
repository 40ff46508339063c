"""`partitioner.num_parts=auto` from a command to its folder: one part where the graph fits, and a run that is continued with it."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from gas_cli.config.compose import compose_config, load_config
from gas_cli.config.continued import as_decided, check_unchanged
from gas_cli.errors import UserError
from gas_cli.report.remarks import MOST_HALO, halo_remark
from gas_cli.run import resume
from tests.end_to_end.runs import lines, train

DENSE = (
    "dataset.num_nodes=400",
    "dataset.average_degree=40",
    "dataset.mixing=0.75",
    "dataset.num_communities=8",
    "dataset.num_features=16",
    "model.hidden_channels=8",
    "partitioner.cache=null",
    "trainer.epochs=3",
    "device=cpu",
)
"""Weak communities and a high degree: the halo of a part is many times the part."""


def losses(folder: Path) -> list[float]:
    return [line["loss"] for line in lines(folder)]


def test_a_graph_that_fits_trains_like_the_full_batch_to_the_bit(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="gas_cli"):
        train(tmp_path / "auto", base=DENSE)
    said = [record.getMessage() for record in caplog.records if record.getMessage().startswith("Parts: ")]
    assert len(said) == 1 and said[0].startswith("Parts: 1 (")
    train(tmp_path / "one", "partitioner.num_parts=1", "trainer.batch_parts=1", base=DENSE)
    train(tmp_path / "full", "method=full_batch", base=DENSE)
    assert losses(tmp_path / "auto") == losses(tmp_path / "one") == losses(tmp_path / "full")
    saved = load_config(tmp_path / "auto" / "config.yaml")
    assert (saved.partitioner.num_parts, saved.trainer.batch_parts) == (1, 1)


def test_batch_parts_of_a_published_pair_do_not_hinder_the_remedy(tmp_path: Path) -> None:
    train(tmp_path, "partitioner.num_parts=auto", "trainer.batch_parts=10", base=DENSE)
    saved = load_config(tmp_path / "config.yaml")
    assert (saved.partitioner.num_parts, saved.trainer.batch_parts) == (1, 1)


@pytest.mark.parametrize("runs", [1, 2])
def test_a_run_is_continued_with_what_was_decided(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, runs: int) -> None:
    monkeypatch.setattr("gas_cli.training.parts.memory_of", lambda device: 540 << 20)  # little more than the libraries
    summary = train(tmp_path, f"runs={runs}", base=DENSE)
    saved = load_config(tmp_path / "config.yaml")
    assert saved.partitioner.parts > 0 and not saved.has_auto and summary["status"] == "finished"
    monkeypatch.setattr("gas_cli.training.parts.memory_of", lambda device: 64 << 30)  # another machine
    longer = compose_config([*DENSE, f"runs={runs}", "trainer.epochs=5"])
    assert longer.has_auto
    monkeypatch.setattr("gas_cli.run.plot_curves", lambda *arguments: None)
    resume(tmp_path, longer)
    after = load_config(tmp_path / "config.yaml")
    assert after.partitioner == saved.partitioner and after.trainer.batch_parts == saved.trainer.batch_parts
    folder = tmp_path if runs == 1 else tmp_path / "runs" / "01"
    assert len(losses(folder)) == 5


def test_parts_that_are_set_differ_from_what_was_decided() -> None:
    saved = compose_config(DENSE).with_parts(8, 2)
    assert (saved.partitioner.num_parts, saved.trainer.batch_parts) == (8, 2) and saved.with_parts(4, 1) == saved
    check_unchanged(saved, as_decided(saved, compose_config(DENSE)))
    other = compose_config([*DENSE, "partitioner.num_parts=4"])
    with pytest.raises(UserError, match=r"partitioner\.num_parts=4 cannot be changed"):
        check_unchanged(saved, as_decided(saved, other))


def test_a_large_halo_of_parts_is_told_with_what_to_type() -> None:
    said = halo_remark(40, 1, MOST_HALO + 0.1)
    assert "\n" not in said and all(word in said for word in ("partitioner.num_parts=auto", "method=full_batch", "trainer.batch_parts"))
    assert halo_remark(40, 1, MOST_HALO) == ""
    assert halo_remark(40, 40, 10 * MOST_HALO) == ""


def test_the_warning_is_in_the_log_for_parts_that_are_set(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    train(tmp_path / "set", "partitioner.num_parts=40", base=DENSE)
    assert [r.levelname for r in caplog.records if "The halo is large" in r.getMessage()] == ["WARNING"]
    caplog.clear()
    train(tmp_path / "auto", base=DENSE)
    train(tmp_path / "sampled", "partitioner.num_parts=40", "method=sampling", base=DENSE)  # its steps have no parts
    assert not [r for r in caplog.records if "The halo is large" in r.getMessage()]


def test_a_file_says_how_many_parts_there_are(tmp_path: Path) -> None:
    file = tmp_path / "parts.txt"
    file.write_text("\n".join(str(node % 12) for node in range(400)))
    train(tmp_path / "run", "partitioner=file", f"partitioner.file={file}", base=DENSE)
    saved = load_config(tmp_path / "run" / "config.yaml")
    assert (saved.partitioner.num_parts, saved.trainer.batch_parts) == (12, 3)


def test_where_communities_are_weak_auto_is_better_than_forty_parts(tmp_path: Path) -> None:
    base = (
        "dataset.num_nodes=2000",
        "dataset.average_degree=60",
        "dataset.mixing=0.75",
        "dataset.num_communities=9",
        "dataset.num_features=512",
        "dataset.feature_noise=0.5",
        "partitioner.cache=null",
        "trainer.epochs=100",
        "trainer.checkpoint_every=1000",
        "evaluation.every=10",
        "device=cpu",
    )
    forty = train(tmp_path / "forty", "partitioner.num_parts=40", base=base)
    auto = train(tmp_path / "auto", base=base)
    assert forty["partition"]["halo_ratio"] > 20
    assert auto["test"] > forty["test"] + 0.08  # 0.64 and 0.48 (docs/log.md)
