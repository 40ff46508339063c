"""Random graphs as text in every flavour that people have: the same graph, or one message that says what to type."""

from __future__ import annotations

import logging
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gas_cli.errors import UserError
from gas_cli.graph.graph import Graph
from tests.graph.sources.own_folder import N, Write, arrays, assert_equal, expected, load

PARTS = ("train", "val", "test")
EVEN = settings(max_examples=60, deadline=None, derandomize=True, database=None)


@dataclass(frozen=True)
class Flavour:
    """How a table is written: `header` none, names or numbers; whether rows are numbered; separator, ends of lines, spaces, order mark."""

    header: str = "none"
    index: bool = False
    separator: str = ","
    end: str = "\n"
    spaces: str = ""
    mark: str = ""
    float_ids: bool = False

    def write(self, path: Path, values: np.ndarray) -> None:
        frame = pd.DataFrame(values)
        if self.float_ids and path.stem not in ("features", "labels"):
            frame = frame.astype(float)
        if self.header == "names":
            frame.columns = [f"{path.stem}_{column}" for column in range(values.shape[1])]
        text = frame.to_csv(header=self.header != "none", index=self.index, lineterminator=self.end)
        text = text.replace(",", f"{self.spaces}{self.separator}{self.spaces}")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes((self.mark + text).encode())


PLAIN = Flavour()
FLAVOURS = st.builds(
    Flavour,
    header=st.sampled_from(["none", "names", "numbers"]),
    index=st.booleans(),
    separator=st.sampled_from([",", ",", ",", "\t", ";", " "]),
    end=st.sampled_from(["\n", "\r\n"]),
    spaces=st.sampled_from(["", "", " "]),
    mark=st.sampled_from(["", "\ufeff"]),
    float_ids=st.booleans(),
)


@st.composite
def graphs(draw: st.DrawFn) -> dict[str, np.ndarray]:
    """Tables of a random graph; small, sorted and whole-numbered ones are lookalikes more often than real ones."""
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    nodes = draw(st.integers(4, 16))
    edges = rng.integers(0, nodes, (draw(st.integers(1, 30)), 2))
    edges = edges[np.lexsort(edges.T[::-1])] if draw(st.booleans()) else edges
    if draw(st.booleans()):
        edges[0] = 0, 1
    if draw(st.booleans()):
        edges = np.column_stack([edges, rng.integers(1, nodes, len(edges))])
    features = rng.integers(0, 4, (nodes, draw(st.integers(1, 4))))
    features = features if draw(st.booleans()) else features + rng.random(features.shape).round(4)
    tables = {"edges": edges, "features": features, "labels": rng.permutation(np.arange(nodes) % 3)[:, None]}
    order = rng.permutation(nodes)
    ids = {part: np.sort(order[number::3]) if draw(st.booleans()) else order[number::3] for number, part in enumerate(PARTS)}
    if draw(st.booleans()):
        return tables | {f"split/{part}": chosen[:, None] for part, chosen in ids.items()}
    return tables | {f"{part}_mask": np.isin(np.arange(nodes), chosen).astype(int)[:, None] for part, chosen in ids.items()}


def written(folder: Path, tables: dict[str, np.ndarray], flavours: dict[str, Flavour]) -> Path:
    for stem, values in tables.items():
        flavours.get(stem, PLAIN).write(folder / f"{stem}.csv", values)
    return folder


def as_arrays(folder: Path, tables: dict[str, np.ndarray]) -> Path:
    """The same graph without text: what each flavour has to give."""
    folder.mkdir()
    (folder / "split").mkdir()
    for stem, values in tables.items():
        if stem == "edges":
            np.save(folder / "edges.npy", values[:, :2].T)
            if values.shape[1] == 3:
                np.save(folder / "edge_weight.npy", values[:, 2])
        else:
            np.save(folder / f"{stem}.npy", values if stem == "features" else values[:, 0])
    return folder


def loaded_or_message(folder: Path, **answers: str) -> Graph | str:
    try:
        return load(folder, **answers)
    except UserError as error:
        assert "\n" not in str(error) and str(folder) in str(error)
        return str(error)


def check(tables: dict[str, np.ndarray], flavours: dict[str, Flavour], answers: dict[str, str]) -> Graph | str:
    """Loads the folder and compares it with the intended graph; where a message asks for a setting, the right answer gives that graph."""
    with tempfile.TemporaryDirectory() as place:
        wanted = load(as_arrays(Path(place) / "arrays", tables))
        folder = written(Path(place) / "text", tables, flavours)
        found = loaded_or_message(folder)
        given: dict[str, str] = {}
        while isinstance(found, str) and (asked := next((key for key in answers if f"dataset.{key}=true" in found), None)):
            assert asked not in given, found
            given[asked] = answers[asked]
            found = loaded_or_message(folder, **given)
        if not isinstance(found, str):
            assert_equal(found, wanted)
        return found


@EVEN
@given(graphs(), st.sampled_from(["\n", "\r\n"]), st.sampled_from(["", " "]), st.sampled_from(["", "\ufeff"]), st.booleans())
def test_plain_tables_load_unchanged_or_ask_for_a_setting(
    tables: dict[str, np.ndarray], end: str, spaces: str, mark: str, float_ids: bool
) -> None:
    plain = Flavour(end=end, spaces=spaces, mark=mark, float_ids=float_ids)
    assert not isinstance(check(tables, dict.fromkeys(tables, plain), {"header": "false", "index": "false"}), str)


@EVEN
@given(graphs(), FLAVOURS)
def test_one_flavour_for_all_tables(tables: dict[str, np.ndarray], flavour: Flavour) -> None:
    answers = {"header": "false" if flavour.header == "none" else "true", "index": "true" if flavour.index else "false"}
    found = check(tables, dict.fromkeys(tables, flavour), answers)
    if isinstance(found, str):
        assert flavour.separator != ",", found
        assert "between its cells" in found and " Type: " in found


@EVEN
@given(graphs(), st.data())
def test_a_flavour_of_its_own_for_every_table(tables: dict[str, np.ndarray], data: st.DataObject) -> None:
    """Tables of several origins contradict each other more: the right graph, or a message; a wrong graph never goes without a word."""
    flavours = {stem: data.draw(FLAVOURS) for stem in tables}
    with tempfile.TemporaryDirectory() as place:
        wanted = load(as_arrays(Path(place) / "arrays", tables))
        folder = written(Path(place) / "text", tables, flavours)
        with Said() as lines:
            found = loaded_or_message(folder)
        if not isinstance(found, str) and found.fingerprint() != wanted.fingerprint():
            assert any("type dataset." in line for line in lines), (flavours, lines)


class Said:
    """The lines of the log within a block."""

    def __enter__(self) -> list[str]:
        self.handler, self.lines = logging.Handler(), list[str]()
        self.handler.emit = lambda record: self.lines.append(record.getMessage())  # type: ignore[method-assign]
        self.logger = logging.getLogger("gas_cli")
        self.level = self.logger.level
        self.logger.setLevel(logging.INFO)
        self.logger.addHandler(self.handler)
        return self.lines

    def __exit__(self, *error: object) -> None:
        self.logger.removeHandler(self.handler)
        self.logger.setLevel(self.level)


def test_a_header_of_names_and_an_index_are_said_in_one_line_each(write: Write, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "gas_cli")
    folder = write(".csv")
    for stem, values in (("features", arrays()["features"]), ("labels", arrays()["labels"])):
        pd.DataFrame(values).to_csv(folder / f"{stem}.csv")
    assert_equal(load(folder), expected())
    lines = [record.message for record in caplog.records]
    assert [line for line in lines if line.startswith("Read as a header: ',0' of labels.csv, ',0,1,2' of features.csv.")] == lines[:1]
    assert lines[1] == "Read as an index and ignored: the first column of labels.csv, features.csv."


@pytest.mark.parametrize("stem", ["features", "labels"])
def test_an_index_that_does_not_count_the_rows_is_refused(write: Write, stem: str) -> None:
    folder = write(".csv")
    pd.DataFrame(arrays()[stem]).sample(frac=1, random_state=0).to_csv(folder / f"{stem}.csv")
    with pytest.raises(
        UserError, match=rf"{stem}.csv, row \d+ \(line \d+\): the first column, without a name, is \d+, so it does not number"
    ):
        load(folder)


def test_a_sorted_list_of_edges_is_no_header_and_a_chain_no_index(write: Write, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "gas_cli")
    chain = np.array([np.arange(N - 1), np.arange(1, N)])
    folder = write(".csv", edges=np.vstack([chain, np.arange(1, N)]))
    graph = load(folder)
    assert graph.adj.value.tolist() == list(range(1, N)) and graph.num_edges == N - 1
    assert "Read as data: the first column of edges.csv. If edges.csv has an index instead, type dataset.index=true." in caplog.text
