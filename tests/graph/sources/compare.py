"""What the tests of sources compare with other loaders."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from gas_cli.cli.data import command_line
from gas_cli.config.dataset import FolderConfig
from gas_cli.graph.graph import Graph
from gas_cli.graph.load import load_graph


def edges_of(graph: Graph) -> set[tuple[int, int]]:
    """(source, target) of every edge."""
    target = torch.repeat_interleave(torch.arange(graph.num_nodes), graph.adj.rowptr.diff())
    return set(zip(graph.adj.col.tolist(), target.tolist(), strict=True))


def same_converted(graph: Graph, root: Path) -> None:
    """`gas-data convert` of the dataset below `root` gives the equal graph, to the last bit, and leaves the raw files alone."""
    before = {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}
    assert command_line(["convert", f"dataset={graph.name}", str(root / "fast"), f"root={root}", "download=false"]) == 0
    assert {path: path.read_bytes() for path in before} == before
    found = load_graph(FolderConfig(path=str(root / "fast")))
    assert found.fingerprints() == graph.fingerprints() and found.described() == graph.described()
    for name in ("num_classes", "metric", "symmetric", "inductive", "class_names", "regression", "task"):
        assert getattr(found, name) == getattr(graph, name), name
    assert found.x.__class__ is graph.x.__class__ and found.y.dtype == graph.y.dtype


def raw_refused(folder: Path, name: str, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`gas-data convert` of the raw folder by its path names the command by name, and that command runs."""
    for source in (folder, folder / "raw"):
        assert command_line(["convert", str(source), str(root / "other")]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        words = line.partition("Type gas-data ")[2].replace("DIR", str(root / f"of-{source.name}")).split()
        assert words[1] == f"dataset={name}" and not (root / "other").exists()
        assert command_line([*words, "download=false"]) == 0
        capsys.readouterr()
