"""What is timed of reading tables is the graph that the tables hold."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from benchmarks import read_tables


def test_the_adjacency_has_the_edges_of_the_file(tmp_path: Path) -> None:
    folder = read_tables.write_tables(tmp_path / "tables", 5_000)
    adj = read_tables.adjacency(folder, ids := read_tables.ids_of(folder))
    edges = pd.read_csv(folder / "edges.csv")
    edges = edges[edges["source"] != edges["target"]].drop_duplicates()
    position = {name: row for row, name in enumerate(pd.read_csv(folder / "nodes.csv")["id"])}
    wanted = {(position[source], position[target]) for source, target in edges.itertuples(index=False)}
    listed = {(int(adj.col[e]), v) for v in range(len(ids)) for e in range(int(adj.rowptr[v]), int(adj.rowptr[v + 1]))}
    assert len(edges) == len(wanted) and listed == wanted


def test_a_row_has_ratios_and_a_peak_above_the_arrays(tmp_path: Path) -> None:
    tiny = read_tables.write_tables(tmp_path / "tiny", 500)
    row = read_tables.measure(tiny, tiny, 500, 1)
    assert row["arrays"] > 0 and row["peak"] >= 0 and "0.0 MB" not in read_tables.table({"settings": {"rounds": 1}, "rows": [row]})
