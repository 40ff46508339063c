"""Types of nodes and edges in tables: the graph equals that of the same `HeteroData`, and what does not fit is refused."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from gas_cli.cli.data import command_line
from gas_cli.config.dataset import ColumnsConfig, FolderConfig
from gas_cli.errors import UserError
from gas_cli.graph.graph import Graph
from gas_cli.graph.load import load_graph
from gas_cli.graph.schema import Column
from tests.graph.sources.test_named_tables import save
from tests.graph.sources.test_typed import AUTHOR_X, AUTHORS, CITES, PAPER_X, PAPERS, PUBLISHES, VENUES, WRITES, Y, edges_of, hetero

KINDS = ["paper"] * PAPERS + ["author"] * AUTHORS + ["venue"] * VENUES
IDS = np.array([f"{kind[0]}{row}" for row, kind in enumerate(KINDS)])
RELATIONS = ["cites"] * CITES.shape[1] + ["writes"] * WRITES.shape[1] + ["publishes"] * PUBLISHES.shape[1]


def nodes(**columns: Any) -> pd.DataFrame:
    """Features of papers and of authors, empty elsewhere; labels of papers."""
    frame = pd.DataFrame({"id": IDS, "type": KINDS})
    for name, table, start in (("p", PAPER_X, 0), ("a", AUTHOR_X, PAPERS)):
        for at in range(table.shape[1]):
            frame[f"{name}{at}"] = np.nan
            frame.loc[start : start + len(table) - 1, f"{name}{at}"] = table[:, at].double().numpy()
    frame["label"] = [f"topic{label}" for label in Y.tolist()] + [None] * (AUTHORS + VENUES)
    frame["split"] = [("train", "val", "test")[row % 3] for row in range(PAPERS)] + [None] * (AUTHORS + VENUES)
    return frame.assign(**columns)


def without_types() -> pd.DataFrame:
    """The same features, with zeros where they are empty."""
    return nodes().drop(columns="type").fillna(dict.fromkeys(["p0", "p1", "p2", "a0", "a1"], 0.0))


def edges(**columns: Any) -> pd.DataFrame:
    """In the order of the `HeteroData`."""
    shift = torch.tensor([[PAPERS], [0]]), torch.tensor([[PAPERS + AUTHORS], [0]])
    ends = torch.cat([CITES, WRITES + shift[0], PUBLISHES + shift[1]], 1).numpy()
    return pd.DataFrame({"source": IDS[ends[0]], "target": IDS[ends[1]], "relation": RELATIONS}).assign(**columns)


def write(folder: Path, of_nodes: pd.DataFrame, of_edges: pd.DataFrame, form: str = ".csv") -> Path:
    for stem, frame in (("nodes", of_nodes), ("edges", of_edges)):
        save(folder / f"{stem}{form}", frame, form)
    return folder


def load(path: Path, **settings: Any) -> Graph:
    return load_graph(FolderConfig(path=str(path), **{"types": "onehot", **settings}))


def wanted(undirected: bool = False) -> Graph:
    """The same graph of a `HeteroData`, with its types in alphabetical order."""
    data = hetero()
    del data["author", "writes", "paper"].edge_attr
    graph = Graph.from_pyg(data, types="onehot", undirected=undirected)
    assert graph.edge_attr is not None and isinstance(graph.x, torch.Tensor)
    x = graph.x[:, [1, 0, 2, *range(3, graph.x.shape[1])]]
    return Graph(**{**vars(graph), "x": x, "edge_attr": graph.edge_attr[:, [0, 2, 1]]})


@pytest.mark.parametrize("undirected", [False, True])
@pytest.mark.parametrize("form", [".csv", ".tsv.gz", ".parquet"])
def test_tables_give_the_graph_of_the_hetero_data(tmp_path: Path, form: str, undirected: bool) -> None:
    graph, other = load(write(tmp_path, nodes(), edges(), form), undirected=undirected), wanted(undirected)
    assert torch.equal(graph.x, other.x) and torch.equal(graph.y, other.y)
    assert edges_of(graph) == edges_of(other)
    assert [torch.equal(getattr(graph.splits[0], part), getattr(other.splits[0], part)) for part in ("train", "val", "test")] == [True] * 3
    assert graph.schema.features[0] == Column("type", "words", 3, ("author", "paper", "venue"))
    assert graph.schema.edge_attributes == (Column("relation", "words", 3, ("cites", "publishes", "writes")),)


def test_any_names_are_read_by_the_settings(tmp_path: Path) -> None:
    given = write(tmp_path, nodes().rename(columns={"type": "sort"}), edges().rename(columns={"relation": "how"}))
    graph = load(given, columns=ColumnsConfig(type="sort", relation="how"))
    assert torch.equal(graph.x, wanted().x) and edges_of(graph) == edges_of(wanted())


def test_numbers_are_types(tmp_path: Path) -> None:
    codes = {"author": 0, "paper": 1, "venue": 2}
    graph = load(write(tmp_path, nodes(type=[codes[kind] for kind in KINDS]), edges()))
    assert torch.equal(graph.x, wanted().x)


@pytest.mark.parametrize("kind", ["nodes", "edges"])
def test_one_of_the_two_tables_may_have_types(tmp_path: Path, kind: str) -> None:
    write(tmp_path, *((nodes(), edges().drop(columns="relation")) if kind == "nodes" else (without_types(), edges())))
    graph = load(tmp_path)
    assert torch.equal(graph.x, wanted().x if kind == "nodes" else wanted().x[:, 3:])
    assert graph.edge_attr is None if kind == "nodes" else edges_of(graph) == edges_of(wanted())


def test_edges_of_several_types_between_the_same_nodes_are_one(tmp_path: Path) -> None:
    """With all types, the largest weight, and the other attributes of the first."""
    some = pd.DataFrame({"id": [0, 1, 2], "f": [1.0, 2, 3], "label": [0, 1, 0], "split": ["train", "val", "test"]})
    rows = {"source": [0, 0, 1, 0], "target": [1, 1, 2, 1], "type": ["b", "a", "a", "b"], "weight": [1, 3, 1, 2], "since": [5, 6, 7, 8]}
    graph = load(write(tmp_path, some, pd.DataFrame(rows)))
    assert edges_of(graph) == {(0, 1): (3.0, [1.0, 1.0, 5.0]), (1, 2): (1.0, [1.0, 0.0, 7.0])}


def test_without_the_setting_a_type_is_a_column_like_others(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    some = pd.DataFrame({"id": [5, 6, 7], "type": [1, 2, 1], "label": [0, 1, 0], "split": ["train", "val", "test"]})
    write(tmp_path, some, pd.DataFrame({"source": [5, 6], "target": [6, 7], "type": [3, 4]}))
    with caplog.at_level(logging.INFO):
        graph = load(tmp_path, types=None)
    assert graph.x.tolist() == [[1], [2], [1]] and edges_of(graph) == {(0, 1): (1.0, [3.0]), (1, 2): (1.0, [4.0])}
    assert any(line.split() == ["feature", "type", "numbers"] for line in caplog.text.splitlines())
    assert any(line.split() == ["attribute", "type"] for line in caplog.text.splitlines())


def test_the_log_says_which_columns_are_types_and_where_zeros_stand(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        load(write(tmp_path, nodes(), edges()))
    assert "3 types, one column of 0 and 1 each: author, paper, venue" in caplog.text
    assert "3 types, one column of 0 and 1 each: cites, publishes, writes" in caplog.text
    assert "column 'p0' has no value in any row of type author, venue: 0 there" in caplog.text


def test_lists_and_booleans_may_be_absent_from_a_type(tmp_path: Path) -> None:
    some = pd.DataFrame(
        {
            "id": [0, 1, 2],
            "type": ["u", "v", "u"],
            "vec": [[1.0, 2.0], None, [3.0, 4.0]],
            "flag": [None, True, None],
            "label": [0, 1, 0],
            "split": ["train", "val", "test"],
        }
    )
    graph = load(write(tmp_path, some, pd.DataFrame({"source": [0], "target": [1]}), ".parquet"))
    assert graph.x.tolist() == [[1, 0, 1, 2, 0], [0, 1, 0, 0, 1], [1, 0, 3, 4, 0]]


def test_the_converted_graph_is_equal(tmp_path: Path) -> None:
    (tmp_path / "tables").mkdir()
    write(tmp_path / "tables", nodes(), edges())
    command_line(["convert", str(tmp_path / "tables"), str(tmp_path / "out"), "types=onehot"])
    assert load(tmp_path / "out", types=None).fingerprints() == load(tmp_path / "tables").fingerprints()


REFUSED = {
    "node without type": (nodes(type=[None, *KINDS[1:]]), edges(), r"column 'type', row 0 \(line 2\): the type is empty"),
    "edge without type": (nodes(), edges(relation=[*RELATIONS[:-1], None]), r"column 'relation', row \d+ .*the type is empty"),
    "a gap in a type": (nodes(p0=nodes()["p0"].where(nodes().index != 3)), edges(), r"column 'p0', row 3 .*is empty"),
    "no types": (without_types(), edges().drop(columns="relation"), r"Type dataset.columns.type=NAME .*relation=NAME"),
    "an end that is no id": (nodes(), edges(target="p999"), "'p999' is the id of no node"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_does_not_fit_is_refused(tmp_path: Path, case: str) -> None:
    of_nodes, of_edges, message = REFUSED[case]
    with pytest.raises(UserError, match=message):
        load(write(tmp_path, of_nodes, of_edges))


def test_a_table_per_type_is_refused_by_name(tmp_path: Path) -> None:
    for name in ("papers", "authors"):
        nodes().to_csv(tmp_path / f"{name}.csv", index=False)
    edges().to_csv(tmp_path / "edges.csv", index=False)
    with pytest.raises(UserError, match=r"It holds authors.csv, edges.csv, papers.csv: write the nodes of all types .* nodes.csv"):
        load(tmp_path)


def test_a_named_column_needs_the_setting() -> None:
    with pytest.raises(UserError, match=r"dataset\.types=onehot with it"):
        FolderConfig(path="x", columns=ColumnsConfig(relation="how"))
