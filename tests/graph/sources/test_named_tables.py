"""Tables with headers: every form, kind of id and name gives the graph of the same arrays; what may mean two things is refused."""

from __future__ import annotations

import gzip
import logging
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gas_cli.config.compose import compose_config
from gas_cli.config.dataset import ColumnsConfig
from gas_cli.errors import UserError
from gas_cli.graph.graph import Graph
from gas_cli.graph.node_ids import NodeIds, Repeated
from gas_cli.graph.schema import Column, Schema
from gas_cli.graph.sources import edge_table
from gas_cli.graph.sources import frame as frame_module
from gas_cli.graph.sources.frame import BLOCK, read_frame
from gas_cli.graph.sources.names import EDGE_COLUMNS, NODE_COLUMNS
from gas_cli.graph.sources.node_table import found_roles
from tests.graph.sources.own_folder import C, F, N, arrays, assert_equal, expected, load

IDS: dict[str, np.ndarray] = {
    "rows": np.arange(N),
    "from-1": np.arange(1, N + 1),
    "gaps": np.arange(N)[::-1] * 1000 + 7,
    "64-bit": 2**62 + np.arange(N) * 3,
    "negative": np.arange(N) - 5,
    "text": np.array([f"user_{k * 37 % 101}" for k in range(N)]),
    "zeros-first": np.array([f"{k:03d}" for k in range(N)]),
    "20-digits": np.array([f"123456789012345678{k:02d}" for k in range(N)]),
    "words": np.array([f"Großmutter, the {k}. “of” all" for k in range(N)]),
}
PART = np.array(["train", "val", "test"])


def nodes_frame(ids: np.ndarray, **names: str) -> pd.DataFrame:
    given = arrays()
    frame = pd.DataFrame(given["features"].astype(np.float64), columns=[f"f{k}" for k in range(F)])
    frame.insert(0, names.get("id", "id"), ids)
    frame[names.get("label", "label")] = given["labels"]
    frame[names.get("split", "split")] = PART[np.arange(N) % 3]
    return frame


def edges_frame(ids: np.ndarray, source: str = "source", target: str = "target") -> pd.DataFrame:
    given = arrays()["edges"]
    return pd.DataFrame({source: ids[given[0]], target: ids[given[1]]})


def write(folder: Path, nodes: pd.DataFrame, edges: pd.DataFrame, form: str = ".csv") -> Path:
    for stem, frame in (("nodes", nodes), ("edges", edges)):
        save(folder / f"{stem}{form}", frame, form)
    return folder


def save(path: Path, frame: pd.DataFrame, form: str) -> None:
    if form == ".parquet":
        frame.to_parquet(path, index=False)
    elif form == "/":
        path.mkdir()
        half = len(frame) // 2
        frame[:half].to_parquet(path / "part-0.parquet", index=False)
        frame[half:].to_parquet(path / "part-1.parquet", index=False)
    else:
        separator = {".tsv": "\t", ".tsv.gz": "\t", ".txt": ";"}.get(form, ",")
        frame.to_csv(path, index=False, sep=separator, decimal="," if form == ".txt" else ".")


def same_numbers(graph: Graph, other: Graph) -> None:
    """Equal but for the ids and the names of columns."""
    assert_equal(replace(graph, node_ids=None, schema=Schema()), other)


@pytest.mark.parametrize("form", [".csv", ".tsv", ".txt", ".csv.gz", ".tsv.gz", ".csv.bz2", ".parquet", "/"])
@pytest.mark.parametrize("kind", ["gaps", "text"])
def test_every_form_gives_the_graph_of_the_arrays(tmp_path: Path, form: str, kind: str) -> None:
    graph = load(write(tmp_path, nodes_frame(IDS[kind]), edges_frame(IDS[kind]), form))
    same_numbers(graph, expected())
    assert graph.node_ids is not None
    assert graph.node_ids.take(np.arange(N)).tolist() == IDS[kind].tolist()


@pytest.mark.parametrize("form", [".csv", ".parquet"])
@pytest.mark.parametrize("kind", IDS)
def test_ids_of_any_kind_lead_to_the_same_rows_and_back(tmp_path: Path, kind: str, form: str) -> None:
    ids = IDS[kind]
    graph = load(write(tmp_path, nodes_frame(ids), edges_frame(ids), form))
    same_numbers(graph, expected())
    assert graph.node_ids is not None
    assert graph.node_ids.take(np.arange(N)).tolist() == ids.tolist()
    assert graph.schema.ids == ("integer" if ids.dtype.kind == "i" else "text")
    assert graph.node_ids.rows_of(ids).tolist() == list(range(N))


@pytest.mark.parametrize(
    ("source", "target", "names"),
    [
        ("source", "target", {}),
        ("src", "dst", {"id": "node_id", "label": "y"}),
        ("From", "To", {"id": "Node ID", "label": "Class", "split": "Set"}),
        ("id_1", "id_2", {"label": "target", "split": "subset"}),
        (":START_ID", ":END_ID", {"id": "vertex"}),
    ],
)
def test_columns_are_found_by_the_names_that_people_use(tmp_path: Path, source: str, target: str, names: dict[str, str]) -> None:
    ids = IDS["text"]
    same_numbers(load(write(tmp_path, nodes_frame(ids, **names), edges_frame(ids, source, target))), expected())


def test_columns_of_any_name_are_found_by_the_settings(tmp_path: Path) -> None:
    ids = IDS["text"]
    nodes = nodes_frame(ids, id="paper", label="topic", split="when").assign(note=ids)
    write(tmp_path, nodes, edges_frame(ids, "citing", "cited"))
    columns = ColumnsConfig(source="citing", target="cited", id="paper", label="topic", split="when", ignore=["note"])
    same_numbers(load(tmp_path, columns=columns), expected())


@pytest.mark.parametrize("names", [("vertices", "links"), ("node", "edge_list")])
def test_files_are_found_by_the_names_that_people_use(tmp_path: Path, names: tuple[str, str]) -> None:
    save(tmp_path / f"{names[0]}.csv", nodes_frame(IDS["text"]), ".csv")
    save(tmp_path / f"{names[1]}.csv", edges_frame(IDS["text"]), ".csv")
    same_numbers(load(tmp_path), expected())
    same_numbers(load(tmp_path / f"{names[0]}.csv"), expected())
    same_numbers(load(tmp_path / f"{names[1]}.csv"), expected())


def test_without_ids_a_node_is_its_row(tmp_path: Path) -> None:
    graph = load(write(tmp_path, nodes_frame(IDS["rows"]).drop(columns="id"), edges_frame(IDS["rows"])))
    same_numbers(graph, expected())
    assert graph.node_ids is None and graph.schema.ids == "rows"


@pytest.mark.parametrize("shape", ["[2, E]", "[E, 2]"])
def test_an_array_of_edges_goes_by_the_ids_of_the_table(tmp_path: Path, shape: str) -> None:
    write(tmp_path, nodes_frame(IDS["gaps"]), edges_frame(IDS["gaps"]))
    (tmp_path / "edges.csv").unlink()
    ends = IDS["gaps"][arrays()["edges"]]
    np.save(tmp_path / "edges.npy", ends if shape == "[2, E]" else ends.T)
    same_numbers(load(tmp_path), expected())


@pytest.mark.parametrize("form", ["npy", "csv", "header", "parquet"])
def test_lists_of_ids_are_splits(tmp_path: Path, form: str) -> None:
    ids = IDS["gaps"]
    write(tmp_path, nodes_frame(ids).drop(columns="split"), edges_frame(ids))
    (tmp_path / "split").mkdir()
    for number, part in enumerate(PART):
        chosen, path = ids[np.arange(number, N, 3)], tmp_path / "split" / f"{part}.{'csv' if form == 'header' else form}"
        if form == "npy":
            np.save(path, chosen)
        elif form == "parquet":
            pd.DataFrame({"id": chosen}).to_parquet(path)
        else:
            path.write_text("\n".join([*(["id"] if form == "header" else []), *map(str, chosen)]) + "\n")
    same_numbers(load(tmp_path), expected())


def test_masks_and_matrices_next_to_the_table_count_its_rows(tmp_path: Path) -> None:
    given, ids = arrays(), IDS["text"]
    save(tmp_path / "nodes.csv", nodes_frame(ids)[["id", "label"]], ".csv")
    save(tmp_path / "edges.csv", edges_frame(ids), ".csv")
    np.save(tmp_path / "features.npy", given["features"])
    for part in PART:
        np.save(tmp_path / f"{part}_mask.npy", given[f"{part}_mask"])
    same_numbers(load(tmp_path), expected())


def test_columns_of_masks_are_a_split(tmp_path: Path) -> None:
    given = arrays()
    nodes = nodes_frame(IDS["text"]).drop(columns="split").assign(**{f"{part}_mask": given[f"{part}_mask"] for part in PART})
    same_numbers(load(write(tmp_path, nodes, edges_frame(IDS["text"]))), expected())


def test_names_of_labels_are_classes_in_alphabetical_order_and_empty_ones_are_unknown(tmp_path: Path) -> None:
    names = np.array(["whale", "ant", "bee", "cat"])
    nodes = nodes_frame(IDS["text"])
    nodes["label"] = names[nodes["label"]]
    extra = nodes[-3:].assign(id=["x", "y", "z"], label=[None, "", "-1"], split=None)
    graph = load(write(tmp_path, pd.concat([nodes, extra]), edges_frame(IDS["text"])))
    assert graph.class_names == ("ant", "bee", "cat", "whale") and graph.num_classes == C
    wanted = np.array(["ant", "bee", "cat", "whale"])
    assert wanted[graph.y[:N].numpy()].tolist() == nodes["label"].tolist()
    assert graph.y[N:].tolist() == [-1, -1, -1]


def test_numbers_as_labels_follow_the_rules_of_label_files(tmp_path: Path) -> None:
    nodes = nodes_frame(IDS["text"])
    nodes["label"] = nodes["label"] * 10 + 5
    graph = load(write(tmp_path, nodes, edges_frame(IDS["text"])))
    assert graph.class_names == ("5", "15", "25", "35")
    assert torch.equal(graph.y, expected().y)


def test_weights_and_attributes_are_columns_of_the_edges(tmp_path: Path) -> None:
    ids, rng = IDS["text"], np.random.default_rng(1)
    edges = edges_frame(ids).drop_duplicates()
    weight, distance, kind = rng.random(len(edges)), rng.random(len(edges)), rng.choice(["road", "rail"], len(edges))
    write(tmp_path, nodes_frame(ids), edges.assign(weight=weight, distance=distance, kind=kind))
    graph = load(tmp_path, encode="onehot")
    assert graph.schema.edge_attributes == (Column("distance"), Column("kind", "words", 2, ("rail", "road")))
    ends = {label: row for row, label in enumerate(ids)}
    adj, rows = graph.adj, graph.adjacency().attr_row
    assert rows is not None and graph.edge_attr is not None
    listed = [(ends[s], ends[t]) for s, t in zip(edges["source"], edges["target"], strict=True)]
    for target in range(N):
        for e in range(int(adj.rowptr[target]), int(adj.rowptr[target + 1])):
            at = listed.index((int(adj.col[e]), target))
            assert float(adj.value[e]) == np.float32(weight[at])
            wanted = [distance[at], kind[at] == "rail", kind[at] == "road"]
            np.testing.assert_array_equal(graph.edge_attr[rows[e]].numpy(), np.array(wanted, np.float32))


def test_the_layout_of_a_table_of_edges_is_looked_for_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    edges = edges_frame(np.arange(N)).drop_duplicates()
    edges = edges.assign(weight=1.5, kind=np.where(edges["source"] % 2, "a", "b"))
    asked: list[str] = []

    def counted(path: Path) -> frame_module.Layout:
        asked.append(path.name)
        return layout_of(path)

    layout_of = frame_module.layout_of
    monkeypatch.setattr(frame_module, "layout_of", counted)
    monkeypatch.setattr(edge_table, "layout_of", counted)
    graph = load(write(tmp_path, nodes_frame(np.arange(N)), edges), encode="onehot")
    assert graph.edge_dim == 2 and asked.count("edges.csv") == 1


def test_words_become_columns_and_the_schema_says_which(tmp_path: Path) -> None:
    colour = np.array(["red", "green", "blue"])[np.arange(N) % 3]
    nodes = nodes_frame(IDS["text"]).assign(colour=colour, ripe=np.arange(N) % 2 == 0)
    write(tmp_path, nodes, edges_frame(IDS["text"]))
    graph = load(tmp_path, encode="onehot")
    words = ("blue", "green", "red")
    assert graph.schema.features[F:] == (Column("colour", "words", 3, words), Column("ripe", "boolean"))
    assert isinstance(graph.x, torch.Tensor)
    np.testing.assert_array_equal(graph.x[:, F : F + 3].numpy(), colour[:, None] == np.array(words))
    np.testing.assert_array_equal(graph.x[:, F + 3].numpy(), np.arange(N) % 2 == 0)
    assert Schema.from_json(graph.schema.as_json()) == graph.schema


def test_lists_in_a_column_of_parquet_are_features(tmp_path: Path) -> None:
    frame = nodes_frame(IDS["text"])
    vectors = frame[[f"f{k}" for k in range(F)]].to_numpy()
    frame = frame[["id", "label", "split"]].assign(embedding=list(vectors))
    graph = load(write(tmp_path, frame, edges_frame(IDS["text"]), ".parquet"))
    same_numbers(graph, expected())
    assert graph.schema.features == (Column("embedding", "vector", F),)


def test_the_index_of_pandas_is_left_out(tmp_path: Path) -> None:
    nodes_frame(IDS["text"]).to_csv(tmp_path / "nodes.csv")
    edges_frame(IDS["text"]).to_csv(tmp_path / "edges.csv")
    same_numbers(load(tmp_path), expected())


def test_one_table_says_what_each_column_was_taken_for(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        load(write(tmp_path, nodes_frame(IDS["text"]), edges_frame(IDS["text"])))
    nodes = next(record.message for record in caplog.records if "nodes.csv" in record.message)
    lines = [line.split() for line in nodes.splitlines()]
    assert lines[1] == ["id", "id", "text"] and lines[-1] == ["features", "f0", "…", "f2", "3", "columns:", "numbers"]
    assert [line[0] for line in lines[1:]] == ["id", "label", "split", "features"]


def test_a_file_of_many_blocks_equals_the_arrays(tmp_path: Path) -> None:
    """Text ids over several blocks of the parser, weights included."""
    rng = np.random.default_rng(0)
    num_nodes, num_edges = 5_000, 600_000
    ids = np.array([f"node-{k * 7919 % 1_000_003}" for k in range(num_nodes)])
    nodes = pd.DataFrame({"id": ids, "label": rng.integers(0, 3, num_nodes), "f": rng.random(num_nodes)})
    nodes["split"] = PART[np.arange(num_nodes) % 3]
    ends = rng.integers(0, num_nodes, (2, num_edges))
    write(tmp_path, nodes, pd.DataFrame({"source": ids[ends[0]], "target": ids[ends[1]]}))
    graph = load(tmp_path)
    numbered = nodes.assign(id=np.arange(num_nodes))
    (tmp_path / "numbered").mkdir()
    other = load(write(tmp_path / "numbered", numbered, pd.DataFrame({"source": ends[0], "target": ends[1]}), ".parquet"))
    assert graph.fingerprints() | {"ids": ""} == other.fingerprints() | {"ids": ""}


# -- ids -------------------------------------------------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=60)
@given(st.lists(st.text(max_size=20), unique=True, max_size=60), st.lists(st.text(max_size=20), max_size=30))
def test_texts_are_found_as_a_dictionary_finds_them(texts: list[str], others: list[str]) -> None:
    import pyarrow as pa

    ids = NodeIds.of_texts(pa.array(texts, pa.string()))
    position = {text: row for row, text in enumerate(texts)}
    asked = [*others, *reversed(texts)]
    assert ids.rows_of_texts(pa.array(asked, pa.string())).tolist() == [position.get(text, -1) for text in asked]
    assert ids.rows_of_texts(pa.array(["", *asked, None], pa.large_string())[1:])[:-1].tolist() == [position.get(t, -1) for t in asked]
    assert ids.take(np.arange(len(texts))).tolist() == texts


@settings(deadline=None, max_examples=60)
@given(st.lists(st.integers(-(2**63), 2**63 - 1), unique=True, max_size=60), st.lists(st.integers(-5, 2**63 - 1), max_size=30))
def test_numbers_are_found_as_a_dictionary_finds_them(numbers: list[int], others: list[int]) -> None:
    ids = NodeIds.of_numbers(np.array(numbers, np.int64))
    position = {number: row for row, number in enumerate(numbers)}
    asked = [*others, *numbers]
    assert ids.rows_of_numbers(np.array(asked, np.int64)).tolist() == [position.get(number, -1) for number in asked]


def test_repeated_ids_name_both_rows() -> None:
    import pyarrow as pa

    for ids in (NodeIds.of_numbers(np.array([5, 3, 5])), NodeIds.of_texts(pa.array(["a", "b", "a"]))):
        with pytest.raises(Repeated) as caught:
            ids.check()
        assert (caught.value.other, caught.value.row) == (0, 2)


# -- refused ---------------------------------------------------------------------------------------------------------------------------


def damaged(folder: Path, nodes: Any = lambda frame: frame, edges: Any = lambda frame: frame, kind: str = "text") -> Path:
    return write(folder, nodes(nodes_frame(IDS[kind])), edges(edges_frame(IDS[kind])))


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "unknown end": (
        {"edges": lambda f: f.assign(target=["nobody", *f["target"][1:]])},
        r"edge 0 \(line 2\): its target 'nobody' is",
    ),
    "empty end": ({"edges": lambda f: f.assign(source=[*f["source"][:-1], None])}, r"edge 29 \(line 31\): its source is empty"),
    "repeated id": (
        {"nodes": lambda f: f.assign(id=[f["id"][1], *f["id"][1:]])},
        r"row 1 \(line 3\): the id 'user_37' is also that of row 0",
    ),
    "empty id": ({"nodes": lambda f: f.assign(id=[*f["id"][:-1], None])}, r"row 11 \(line 13\): the id is empty"),
    "words": ({"nodes": lambda f: f.assign(colour="red")}, r"column 'colour' holds words .* dataset.encode=onehot, or leave it out"),
    "text": ({"nodes": lambda f: f.assign(title=f["id"])}, r"column 'title' holds text .* dataset.columns.ignore=\[title\]"),
    "dates": ({"nodes": lambda f: f.assign(born="2020-01-31")}, r"column 'born' holds dates .* days since a day"),
    "gap in a feature": ({"nodes": lambda f: f.assign(f1=[None, *f["f1"][1:]])}, r"column 'f1', row 0 \(line 2\): a value is empty or nan"),
    "two labels": ({"nodes": lambda f: f.assign(y=1, klass=2).rename(columns={"label": "class"})}, r"'class', 'y' may each be the label"),
    "two splits": ({"nodes": lambda f: f.assign(train_mask=1, val_mask=0, test_mask=0)}, r"both say the split"),
    "no part": ({"nodes": lambda f: f.assign(split=["trian", *f["split"][1:]])}, r"row 0 \(line 2\): 'trian' is no part of a split"),
    "no label": ({"nodes": lambda f: f.drop(columns="label")}, r"has no column of labels .* dataset.columns.label=NAME"),
    "no header": ({"edges": lambda f: f.rename(columns={"source": "ann", "target": "bob"})}, r"'ann,bob' may be a header or an edge"),
    "one column twice": ({"nodes": lambda f: f.rename(columns={"f1": "f0"})}, r"several columns are called 'f0'"),
    "regression": ({"nodes": lambda f: f.assign(label=f["f0"])}, r"regression target"),
    "index without a name": ({"nodes": lambda f: f.rename(columns={"f0": ""})}, r"has no name and does not number the rows"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_does_not_fit_is_refused_with_its_place_and_the_remedy(tmp_path: Path, case: str) -> None:
    change, message = REFUSED[case]
    with pytest.raises(UserError, match=message):
        load(damaged(tmp_path, **change))


def test_words_as_ids_of_edges_without_a_header(tmp_path: Path) -> None:
    write(tmp_path, nodes_frame(IDS["text"]), edges_frame(IDS["text"]))
    edges_frame(IDS["text"]).to_csv(tmp_path / "edges.csv", index=False, header=False)
    same_numbers(load(tmp_path, header="false"), expected())


def test_numbers_that_count_columns_or_rows_may_mean_two_things(tmp_path: Path) -> None:
    nodes, edges = nodes_frame(IDS["rows"]).drop(columns="id"), edges_frame(IDS["rows"])
    write(tmp_path, nodes, edges.assign(source=[0, *edges["source"][1:]], target=[1, *edges["target"][1:]]))
    (tmp_path / "edges.csv").write_text((tmp_path / "edges.csv").read_text().partition("\n")[2])
    with pytest.raises(UserError, match="'0,1' may be a header or an edge"):
        load(tmp_path)
    assert load(tmp_path, header="false").num_edges > 0
    chain = pd.DataFrame({"row": np.arange(N), "source": (np.arange(N) * 5) % N, "target": (np.arange(N) * 7 + 1) % N})
    chain.to_csv(tmp_path / "edges.csv", index=False, header=False)
    with pytest.raises(UserError, match="may be an index or the source"):
        load(tmp_path)
    assert load(tmp_path, index="false").adj.weighted


@pytest.mark.parametrize(("value", "wanted"), [("7", 7.0), ("0.5", 0.5)])
def test_numbers_below_a_block_of_empty_cells_stay_numbers(tmp_path: Path, value: str, wanted: float) -> None:
    """The parser infers a type from its first block, here empty: no number may become words for that."""
    path = tmp_path / "late.csv"
    path.write_text("a,b\n" + "1,\n" * BLOCK + f"2,{value}\n")
    assert read_frame(path).column("b").to_pylist()[-1] == wanted


@pytest.mark.parametrize("line", ["user_0", "user_0,user_37,1,2"])
def test_rows_of_another_length_are_named(tmp_path: Path, line: str) -> None:
    write(tmp_path, nodes_frame(IDS["text"]), edges_frame(IDS["text"]))
    with (tmp_path / "edges.csv").open("a") as file:
        file.write(f"{line}\n")
    with pytest.raises(UserError, match=r"row 30 \(line 32\): it has \d cells where the first line has 2"):
        load(tmp_path)


@pytest.mark.parametrize("kind", ["gaps", "rows"])
def test_whole_numbers_with_a_decimal_point_are_ids(tmp_path: Path, kind: str) -> None:
    """As pandas writes a column that once had a gap."""
    ids = IDS[kind]
    nodes = nodes_frame(ids) if kind == "gaps" else nodes_frame(ids).drop(columns="id")
    same_numbers(load(write(tmp_path, nodes, edges_frame(ids).astype(float))), expected())


def test_a_fraction_is_no_id(tmp_path: Path) -> None:
    edges = edges_frame(IDS["gaps"]).astype(float)
    edges.loc[7, "source"] += 0.5
    with pytest.raises(UserError, match=r"edge 7 \(line 9\): its source [\d.]+ is the id of no node"):
        load(write(tmp_path, nodes_frame(IDS["gaps"]), edges))


def test_without_edges_the_message_says_what_is_read(tmp_path: Path) -> None:
    save(tmp_path / "nodes.csv", nodes_frame(IDS["text"]), ".csv")
    with pytest.raises(UserError, match=r"has no edges: expected edges.csv, edges.parquet, edges.npy or edges.npz"):
        load(tmp_path)


def test_text_among_whole_numbers_is_named(tmp_path: Path) -> None:
    edges = edges_frame(IDS["gaps"]).astype(object)
    edges.loc[7, "source"] = "seven"
    with pytest.raises(UserError, match=r"row 7 \(line 9\): 'seven' in column 'source' is not one of the whole numbers"):
        load(write(tmp_path, nodes_frame(IDS["gaps"]), edges))


def test_features_in_two_places_are_refused(tmp_path: Path) -> None:
    write(tmp_path, nodes_frame(IDS["text"]), edges_frame(IDS["text"]))
    np.save(tmp_path / "features.npy", arrays()["features"])
    with pytest.raises(UserError, match=r"features.npy and nodes.csv .* both hold features"):
        load(tmp_path)


def test_a_cut_off_archive_is_refused(tmp_path: Path) -> None:
    write(tmp_path, nodes_frame(IDS["text"]), edges_frame(IDS["text"]))
    packed = gzip.compress((tmp_path / "edges.csv").read_bytes())
    (tmp_path / "edges.csv").unlink()
    (tmp_path / "edges.csv.gz").write_bytes(packed[: len(packed) // 2])
    with pytest.raises(UserError, match=r"edges.csv.gz"):
        load(tmp_path)


@pytest.mark.parametrize(("known", "role"), [(known, role) for known in (NODE_COLUMNS, EDGE_COLUMNS) for role in known])
def test_where_two_columns_may_be_meant_the_first_setting_named_decides(known: Mapping[str, tuple[str, ...]], role: str) -> None:
    """The one that the message names composes, and one column is left."""
    names = list(known[role][1:3])
    with pytest.raises(UserError, match=f"may each be the {role}") as raised:
        found_roles(Path("table"), names, known, {})
    setting = re.findall(r"dataset\.columns\.\w+=[^\s;.]+", str(raised.value))[0]
    columns = compose_config(["dataset=folder", "dataset.path=DIR", "dataset.types=onehot", setting]).dataset.columns  # type: ignore[attr-defined]
    assert found_roles(Path("table"), [name for name in names if name not in columns.ignore], known, vars(columns)) == {role: names[0]}


def test_a_setting_that_names_no_column_lists_those_there_are(tmp_path: Path) -> None:
    write(tmp_path, nodes_frame(IDS["text"]), edges_frame(IDS["text"]))
    with pytest.raises(UserError, match=r"no column 'topic' \(dataset.columns.label\). Expected one of 'id', 'f0'"):
        load(tmp_path, columns=ColumnsConfig(label="topic"))
