from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gas_cli.cli.data import command_line
from gas_cli.cli.notes import NOTE
from gas_cli.config.compose import compose_config
from gas_cli.errors import UserError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A ring of nine nodes, each edge listed once."""
    nodes = np.arange(9)
    tables = {"edges": np.stack([nodes, (nodes + 1) % 9]), "features": np.eye(9, dtype=np.float32), "labels": nodes % 3}
    tables |= {f"{part}_mask": nodes // 3 == number for number, part in enumerate(("train", "val", "test"))}
    for stem, values in tables.items():
        np.save(tmp_path / f"{stem}.npy", values)
    return tmp_path


def test_a_number_is_no_answer_to_a_question_of_yes_or_no(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command_line(["check", str(tmp_path), "undirected=2"]) == 2
    assert capsys.readouterr().err == "gas-data: undirected=2 is not valid: expected true or false.\n"


def test_what_is_understood_is_printed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command_line(["check", str(folder)]) == 0
    out = capsys.readouterr().out
    for line in ("nodes:", "9 messages, directed", "1; the largest has 9 nodes", "0.000 of the edges", "train 3, val 3, test 3, in none 0"):
        assert line in out
    assert "note: messages pass in one direction" in out


@pytest.mark.parametrize("setting", ["undirected=true", "dataset.undirected=true"])
def test_settings_are_those_of_the_dataset(folder: Path, capsys: pytest.CaptureFixture[str], setting: str) -> None:
    assert command_line(["check", str(folder), setting]) == 0
    assert "18 messages, every edge in both directions" in (out := capsys.readouterr().out) and "note" not in out


def test_what_is_wrong_is_said_with_code_2(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "labels.npy").unlink()
    (folder / "labels.csv").write_text("0\n" * 8 + "x\n")
    assert command_line(["check", str(folder)]) == 2
    remedy = "Expected numbers only: encode or remove the text; a node's id is its row in the labels, from 0"
    expected = f"gas-data: {folder}/labels.csv, row 8 (line 9): 'x' in column 0 is not a number. {remedy}.\n"
    assert capsys.readouterr() == ("", expected)


@pytest.mark.parametrize("argv", [[], ["check"], ["look", "DIR"], ["check", "undirected=true"], ["check", "DIR", "undirect=true"]])
def test_wrong_arguments(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert command_line(argv) == 2
    assert "is not valid" in capsys.readouterr().err


def test_help_and_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert command_line(["--help"]) == command_line(["--version"]) == 0
    assert "gas-data check" in capsys.readouterr().out


def odd_folder(folder: Path) -> Path:
    """Self-loops, parallel edges, weights (0 among them), one direction, nodes without edges, and a class without training nodes."""
    np.save(folder / "edges.npy", np.array([[0, 0, 1, 2, 3, 3], [1, 1, 2, 2, 4, 5]]))
    np.save(folder / "edge_weight.npy", np.array([1, 2, 0.5, 1, 0, 1], ">f2"))
    np.save(folder / "edge_attr.npy", np.arange(6))
    np.save(folder / "labels.npy", np.array([0, 1, 1, 0, 1, 2, 0, 1, 2]))
    return folder


def said_by_both(folder: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture, *settings: str) -> str:
    """The lines of gas-data check, which are those that gas-train logs; it then trains on the same graph."""
    from gas_cli.run import prepare

    assert command_line(["check", str(folder), *settings]) == 0
    notes = [line.removeprefix(NOTE) for line in capsys.readouterr().out.splitlines() if line.startswith(NOTE)]
    caplog.set_level("INFO", "gas_cli")
    caplog.clear()
    small = ["partitioner=random", "partitioner.num_parts=2", "trainer.batch_parts=1", "partitioner.cache=null"]
    prepare(compose_config(["dataset=folder", f"dataset.path={folder}", *settings, *small]))
    assert [record.getMessage() for record in caplog.records] == notes
    return "\n".join(notes)


def said_once(said: str, expected: str) -> bool:
    return sum(expected in line for line in said.split("\n")) == 1


@pytest.mark.parametrize("model", ["gcn", "gat", "pna", "gin"])
@pytest.mark.parametrize("undirected", ["false", "true"])
def test_check_and_train_say_the_same(
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    model: str,
    undirected: str,
) -> None:
    odd_folder(folder)
    said = said_by_both(folder, capsys, caplog, f"dataset.undirected={undirected}", f"model={model}")
    for expected in ("dropped 1 self-loop(s)", "dropped 1 edge(s) that were listed before", "have weight 0", "have no edge", "of class 2"):
        assert expected in said
    assert ("messages pass in one direction" in said) == (undirected == "false")
    assert ("does not read the weights" in said) == (model in ("gat", "pna"))
    assert ("does not read the 1 attribute(s)" in said) == (model != "gat")


@pytest.mark.parametrize("model", ["gcn", "sage"])
def test_check_and_train_refuse_the_same(folder: Path, capsys: pytest.CaptureFixture[str], model: str) -> None:
    from gas_cli.run import prepare

    np.save(folder / "edge_weight.npy", np.where(np.arange(9) == 4, -2.0, 1.0))
    assert command_line(["check", str(folder), f"model={model}"]) == 2
    message = capsys.readouterr().err.removeprefix("gas-data: ").strip()
    with pytest.raises(UserError) as caught:
        prepare(compose_config(["dataset=folder", f"dataset.path={folder}", f"model={model}"]))
    found = f"{folder}: 1 edge(s) have a negative weight, the first is -2 from node 4 to node 5"
    assert str(caught.value) == message and message.startswith(found)
    assert command_line(["check", str(folder), f"model={model}", "model.normalization=null"]) == 0  # what the message recommends


NOBODY, NODES = np.zeros(9, bool), np.arange(9)


@pytest.mark.parametrize(
    ("tables", "settings", "expected"),
    [
        ({}, ["dataset.num_classes=5"], ["labels.npy: 2 of 5 classes have no node, the first is class 3."]),
        (
            {"labels": np.eye(4, dtype=int)[NODES % 3]},
            [],
            ["every row has exactly one 1", "1 of 4 classes have no node, the first is class 3."],
        ),
        ({"labels": NODES * 0}, [], ["labels.npy: all labelled nodes have the same class, so a model has nothing to learn"]),
        ({"val_mask": NOBODY}, [], ["split 0 has no validation nodes, so the last evaluation counts as the best one."]),
        ({"test_mask": NOBODY}, [], ["split 0 has no test nodes, so no test metric is measured."]),
        ({"val_mask": NOBODY, "test_mask": NOBODY}, [], ["split 0 has no validation nodes", "split 0 has no test nodes"]),
        ({"labels": NODES % 3 * 10**9 + 7}, [], ["the 3 distinct labels 7, 1000000007, 2000000007 are the classes 0 to 2, in this order."]),
        ({"labels": (NODES > 2) + 7}, [], ["the 2 distinct labels 7, 8 are", "split 0 has no training node of class 8."]),
        (
            {"features": NODES[:, None] + 2**24},
            [],
            ["features.npy: float32 rounds whole numbers beyond 2^24 = 16,777,216. It rounds 4 of them here"],
        ),
    ],
)
def test_check_and_train_say_the_same_of_labels_splits_and_features(
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    tables: dict[str, np.ndarray],
    settings: list[str],
    expected: list[str],
) -> None:
    for stem, values in tables.items():
        np.save(folder / f"{stem}.npy", values)
    said = said_by_both(folder, capsys, caplog, *settings)
    assert all(said_once(said, line) for line in expected), said


def test_check_and_train_say_the_same_of_headers_and_indices(
    folder: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    for stem in ("edges", "labels"):
        values = np.load(folder / f"{stem}.npy")
        (folder / f"{stem}.npy").unlink()
        np.savetxt(
            folder / f"{stem}.csv", np.column_stack([np.arange(9), values.T]), "%d", ",", header=f",{stem}" * values.ndim, comments=""
        )
    said = said_by_both(folder, capsys, caplog)
    assert said_once(said, "Read as a header: ") and said_once(
        said, "Read as an index and ignored: the first column of labels.csv, edges.csv"
    )


def test_a_split_that_does_not_exist_is_refused_by_both(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from gas_cli.cli import train

    assert command_line(["check", str(folder), "split=99"]) == 2
    checked = capsys.readouterr().err
    assert train.command_line(["dataset=folder", f"dataset.path={folder}", "dataset.split=99", f"hydra.run.dir={tmp_path / 'run'}"]) == 2
    assert capsys.readouterr().err.removeprefix("gas-train: ") == checked.removeprefix("gas-data: ")
    assert "dataset.split=99: " in checked and "has 1 split(s), numbered from 0. Type dataset.split=-1 to follow the seed." in checked
    assert command_line(["check", str(folder), "split=-1"]) == 0  # what the message recommends


def test_prepare_makes_what_a_training_maps(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from gas_cli.prepared import graph_layer
    from gas_cli.run import prepare

    monkeypatch.setattr(graph_layer, "SMALL", 0)
    words = ["dataset=folder", f"dataset.path={folder}", "partitioner=random", "partitioner.num_parts=2", "trainer.batch_parts=1"]
    words.append(f"partitioner.cache={tmp_path / 'cache'}")
    assert command_line(["prepare", *words, "model=gcn"]) == 0
    assert f"2 parts; prepared in {tmp_path / 'cache'}" in capsys.readouterr().out
    monkeypatch.setattr(graph_layer, "load_graph", lambda *_: pytest.fail("loaded again"))
    prepare(compose_config([*words, "model=gcn"]))


def test_prepare_without_a_cache_is_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command_line(["prepare", "dataset=folder", f"dataset.path={folder}", "partitioner.cache=null"]) == 2
    assert "partitioner.cache=null stores nothing" in capsys.readouterr().err
