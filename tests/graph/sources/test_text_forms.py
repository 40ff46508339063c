"""Files without a table of nodes are text of any separator, packed or not, and labels may be words: the same graph as arrays."""

from __future__ import annotations

import bz2
import gzip
from pathlib import Path

import numpy as np
import pytest

from gas_cli.errors import UserError
from tests.graph.sources.own_folder import C, N, Write, arrays, assert_equal, expected, load

FORMS = [("\t", ".tsv"), ("\t", ".csv"), (";", ".csv"), ("|", ".txt"), (",", ".tab"), ("  \t ", ".txt")]
PACK = {"": lambda content: content, ".gz": gzip.compress, ".bz2": bz2.compress}
NO_MASKS = dict.fromkeys(("train_mask", "val_mask", "test_mask"))
IDS = {f"split__{part}": np.arange(number, N, 3) for number, part in enumerate(("train", "val", "test"))}
WORDS = np.array(["pine", "ash", "oak", "elm"])


def rewrite(folder: Path, separator: str, suffix: str, packed: str) -> None:
    for path in [*folder.glob("*.csv"), *folder.glob("split/*.csv")]:
        text = path.read_text().replace(",", separator)
        path.unlink()
        path.with_suffix(suffix + packed).write_bytes(PACK[packed](text.encode()))


@pytest.mark.parametrize("packed", PACK)
@pytest.mark.parametrize(("separator", "suffix"), FORMS)
@pytest.mark.parametrize("ids", [False, True])
def test_every_form_gives_the_graph_of_its_arrays(write: Write, separator: str, suffix: str, packed: str, ids: bool) -> None:
    folder = write(".csv", **(NO_MASKS | IDS if ids else {}))
    rewrite(folder, separator, suffix, packed)
    assert_equal(load(folder), expected())


def test_decimal_commas(write: Write) -> None:
    folder = write(".csv")
    path = folder / "features.csv"
    path.write_text(path.read_text().replace(",", ";").replace(".", ","))
    assert_equal(load(folder), expected())


def test_the_log_names_the_files_as_they_are(write: Write, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "gas_cli")
    folder = write(labels=None)
    (folder / "labels.tsv").write_text("label\n" + "".join(f"{label}\n" for label in arrays()["labels"].tolist()))
    assert_equal(load(folder), expected())
    assert "Read as a header: 'label' of labels.tsv." in caplog.text


@pytest.mark.parametrize("packed", ["", ".gz"])
@pytest.mark.parametrize(("head", "index"), [("", False), ("label", False), ("", True), (",class", True), ("species", False)])
def test_words_are_classes_in_alphabetical_order(write: Write, head: str, index: bool, packed: str) -> None:
    folder, labels = write(labels=None), WORDS[arrays()["labels"]]
    lines = [head] * bool(head) + [f"{row},{word}" if index else word for row, word in enumerate(labels)]
    (folder / f"labels.csv{packed}").write_bytes(PACK[packed]("\n".join(lines).encode()))
    graph = load(folder, **({"header": "true"} if head == "species" else {}))
    assert graph.class_names == ("ash", "elm", "oak", "pine") and graph.num_classes == C
    assert [graph.class_names[c] for c in graph.y.tolist()] == labels.tolist()


@pytest.mark.parametrize("unknown", ["", "-1", "nan", "NA"])
def test_an_empty_cell_among_words_is_unknown(write: Write, unknown: str) -> None:
    words = [unknown if row == 3 else WORDS[row % C] for row in range(N)]
    folder = write(labels=None, **{f"{part}_mask": np.arange(N) == row for row, part in enumerate(("train", "val", "test"))})
    (folder / "labels.csv").write_text("\n".join(words) + "\n")
    assert load(folder).y[3] == -1


def test_words_for_some_nodes_and_numbers_for_others_are_refused(write: Write) -> None:
    folder = write(labels=None)
    (folder / "labels.csv").write_text("7\noak\n" * (N // 2))
    with pytest.raises(UserError, match=r"labels.csv, row 1 \(line 2\): 'oak' in column 0 is not a number"):
        load(folder)


def test_words_of_another_number_of_nodes_are_refused(write: Write) -> None:
    folder = write(labels=None)
    (folder / "labels.csv").write_text("species\n" + "oak\nash\n" * (N // 2))
    with pytest.raises(UserError, match=rf"features.npy: it has {N} rows where labels.csv has {N + 1}"):
        load(folder)


def test_two_text_files_of_one_table_are_refused(write: Write) -> None:
    folder = write(".csv")
    (folder / "labels.tsv.gz").write_bytes(b"")
    with pytest.raises(UserError, match=r"has labels.csv and labels.tsv.gz: expected one of them"):
        load(folder)


def test_a_damaged_packed_file_is_one_message(write: Write) -> None:
    folder = write(labels=None)
    (folder / "labels.csv.gz").write_bytes(gzip.compress(b"0\n1\n" * N)[:-9])
    with pytest.raises(UserError, match=r"labels.csv.gz: it cannot be read as text"):
        load(folder)
