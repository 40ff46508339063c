from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from gas_cli.config.dataset import ColumnsConfig, FolderConfig
from gas_cli.errors import UserError
from gas_cli.graph.graph import Graph
from gas_cli.graph.grouping import Grouping
from gas_cli.graph.make_splits import with_splits
from tests.graph.sources.own_folder import N, Write, arrays, load
from tests.graph.sources.test_named_tables import edges_frame, nodes_frame
from tests.graph.sources.test_named_tables import write as write_into

IDS = np.array([f"u{k}" for k in range(N)])
DAYS = pd.Series(pd.to_datetime("2017-12-20") + pd.to_timedelta(np.arange(N) * 5 % 7, unit="D"))
COLUMNS: dict[str, tuple[Any, bool, list[str]]] = {
    "days": (DAYS.dt.date, True, [f"2017-12-{20 + day}" for day in range(7)]),
    "years": (1990 + np.arange(N) * 3 % 5, True, ["1990", "1991", "1992", "1993", "1994"]),
    "sites": (np.array(["oslo", "rome", "Bonn"])[np.arange(N) % 3], False, ["Bonn", "oslo", "rome"]),
    "true": (np.arange(N) % 4 == 0, False, ["false", "true"]),
}
"""A column, whether its values have an order, and which they are."""


IGNORED = ColumnsConfig(ignore=["by"])


def write_tables(folder: Path, nodes: pd.DataFrame, edges: pd.DataFrame, form: str = ".csv") -> Path:
    folder.mkdir(exist_ok=True)
    return write_into(folder, nodes, edges, form)


def table(column: Any) -> pd.DataFrame:
    return nodes_frame(IDS).drop(columns="split").assign(by=column)


def grouping(folder: Path, column: Any, form: str = ".csv") -> Grouping:
    found = load(write_tables(folder, table(column), edges_frame(IDS), form), split_by="by", make_split="groups").groups
    assert found is not None
    return found


@pytest.mark.parametrize("form", [".csv", ".tsv.gz", ".parquet"])
@pytest.mark.parametrize("kind", COLUMNS)
def test_a_column_is_read_in_order_and_is_no_feature(tmp_path: Path, kind: str, form: str) -> None:
    column, ordered, values = COLUMNS[kind]
    graph = load(write_tables(tmp_path, table(column), edges_frame(IDS), form), split_by="by", make_split="groups")
    found = graph.groups
    assert found is not None and (found.column, found.ordered) == ("by", ordered)
    assert [str(value) for value in found.values.take(np.arange(len(found.values)))] == values
    assert found.code.tolist() == [sorted({*column}).index(value) for value in column]
    assert "by" not in [one.name for one in graph.schema.features] and graph.splits == ()


@pytest.mark.parametrize("form", [".csv", ".parquet"])
def test_empty_cells_have_no_value(tmp_path: Path, form: str) -> None:
    years = [1990.5, None, 1980.0, *[1990.5] * (N - 3)]
    assert grouping(tmp_path / "a", years, form).code.tolist() == [1, -1, 0, *[1] * (N - 3)]
    words = ["b", None, " a ", *["b"] * (N - 3)]
    assert grouping(tmp_path / "b", words, form).code.tolist() == [1, -1, 0, *[1] * (N - 3)]


def test_words_of_pandas_categories(tmp_path: Path) -> None:
    column = pd.Categorical(["x", "y", "x"] * (N // 3), categories=["z", "y", "x"])
    assert grouping(tmp_path, column, ".parquet").code.tolist() == [0, 1, 0] * (N // 3)


@pytest.mark.parametrize("unit", ["s", "ns"])
def test_times_are_shown_as_short_as_they_can_be(tmp_path: Path, unit: str) -> None:
    times = pd.Series(pd.to_datetime(["2017-01-02 10:30:00", *["2017-01-01 00:00:00"] * (N - 1)])).astype(f"datetime64[{unit}]")
    found = grouping(tmp_path, times, ".parquet")
    assert found.ordered and found.values.take(np.arange(2)).tolist() == ["2017-01-01", "2017-01-02 10:30:00"]


@pytest.mark.parametrize("column", [[b"\xff"] * N, [[1.0]] * N, [{"a": 1}] * N])
def test_a_column_of_another_type_is_refused(tmp_path: Path, column: Any) -> None:
    with pytest.raises(UserError, match=r"column 'by' \(dataset.split_by\) holds values of type"):
        grouping(tmp_path, column, ".parquet")


def test_an_ignored_column_may_divide(tmp_path: Path) -> None:
    folder = write_tables(tmp_path, table(COLUMNS["days"][0]), edges_frame(IDS))
    found = load(folder, split_by="by", make_split="order", columns=IGNORED)
    assert found.groups is not None and len(found.groups.values) == 7


@pytest.mark.parametrize("settings", [{"make_split": "order", "split_by": "by"}, {"make_split": "stratified"}, {"folds": 3}])
def test_the_split_is_that_of_the_nodes_whatever_the_form(tmp_path: Path, settings: dict[str, Any]) -> None:
    def divided(form: str) -> Graph:
        config = FolderConfig(path=str(tmp_path / form), **settings)
        folder = write_tables(tmp_path / form, table(COLUMNS["days"][0]), edges_frame(IDS), form)
        return with_splits(load(folder, **(settings | ({} if "split_by" in settings else {"columns": IGNORED}))), config)

    one, other = divided(".csv"), divided(".parquet")
    assert one.masks_digest() == other.masks_digest() and one.splits


@pytest.mark.parametrize(
    ("column", "by", "message"),
    [
        (np.arange(N), "bye", r"nodes.csv: it has no column 'bye' \(dataset.split_by\). Expected one of 'by'."),
        (np.arange(N), "zzz", "Expected one of 'id', 'f0'"),
        ([None] * N, "by", r"column 'by' \(dataset.split_by\) holds no value. Expected a number, a date or a text"),
    ],
)
def test_a_column_that_cannot_divide_is_refused(tmp_path: Path, column: Any, by: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        load(write_tables(tmp_path, table(column), edges_frame(IDS)), split_by=by, make_split="order")


# -- graphs without a split ------------------------------------------------------------------------------------------------------------

NO_MASKS = {f"{part}_mask": None for part in ("train", "val", "test")}


def saved(folder: Path) -> Path:
    given = {name: torch.from_numpy(value) for name, value in arrays().items()}
    folder.mkdir(exist_ok=True)
    torch.save({"edge_index": given["edges"], "x": given["features"], "y": given["labels"]}, folder / "mine.pt")
    return folder / "mine.pt"


def test_files_without_a_split_are_a_graph_without_a_split(tmp_path: Path, write: Write) -> None:
    tables = nodes_frame(IDS).drop(columns="split")
    paths = [write(**NO_MASKS), write_tables(tmp_path / "named", tables, edges_frame(IDS)), saved(tmp_path / "saved")]
    given = arrays()
    graphs = [load(path) for path in paths] + [Graph.from_edges(given["edges"], given["features"], given["labels"])]
    assert all(graph.splits == () for graph in graphs)
    made = {with_splits(graph, FolderConfig(make_split="random")).masks_digest() for graph in graphs}
    assert len(made) == 1  # the same nodes, whatever the files


def test_a_column_of_a_folder_of_arrays_or_of_a_file_has_no_meaning(tmp_path: Path, write: Write) -> None:
    config = FolderConfig(make_split="groups", split_by="site")
    for path in (write(), saved(tmp_path / "saved")):
        with pytest.raises(UserError, match=r"dataset.split_by=site: mine has no table of nodes with columns. Give it one \(nodes.csv"):
            with_splits(load(path, make_split="groups", split_by="site"), config)
