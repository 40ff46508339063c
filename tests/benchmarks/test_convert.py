"""What is timed of `gas-data convert` is the graph of the tables, whole."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from benchmarks import convert
from gas_cli.config.dataset import FolderConfig
from gas_cli.graph.load import load_graph


def test_the_folder_has_the_edges_of_the_tables(tmp_path: Path) -> None:
    source = convert.write_source(tmp_path / "source", 2_000)
    done = convert.work({"source": str(source), "out": str(tmp_path / "out")})
    edges = pd.read_csv(source / "edges.csv")
    graph = load_graph(FolderConfig(path=str(tmp_path / "out")))
    assert graph.num_edges == len(edges[edges["source"] != edges["target"]].drop_duplicates())
    assert graph.num_nodes == 100 and graph.num_classes == 10 and done["peak"] > 0 and done["seconds"] > 0
