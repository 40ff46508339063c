"""What a run is called: by its graph and model, and a user's graph by its path."""

from __future__ import annotations

from pathlib import Path

import pytest

from gas_cli.config.compose import compose, compose_config
from gas_cli.config.dataset import name_of_path


def run_folder(*overrides: str) -> str:
    """The default folder without its date."""
    return str(compose(list(overrides), hydra=True).hydra.run.dir).partition(".")[2].partition("-")[2]


def job_name(tmp_path: Path, *overrides: str) -> str:
    composed = compose([*overrides, f"hydra.sweep.dir={tmp_path}"], hydra=True)
    return str(composed.hydra.sweep.subdir).rpartition("-")[0]


def test_a_folder_and_its_tables_and_one_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "trade.2020"
    folder.mkdir()
    (folder / "edges.csv").write_text("source,target\n")
    (tmp_path / "roads.npz").write_bytes(b"")
    assert name_of_path(str(folder)) == name_of_path(f"{folder}/") == name_of_path(str(folder / "edges.csv")) == "trade.2020"
    assert name_of_path(str(tmp_path / "roads.npz")) == "roads"
    monkeypatch.chdir(folder)
    assert name_of_path(".") == name_of_path("edges.csv") == "trade.2020"
    assert name_of_path("") == name_of_path("/") == "folder"


def test_the_run_folder_has_the_name_of_the_graph_and_of_the_model(tmp_path: Path) -> None:
    assert run_folder("dataset=cora", "model=gat") == "cora-gat"
    assert run_folder("dataset=folder", f"dataset.path={tmp_path}/my_graph", "model=sage") == "my_graph-sage"
    assert run_folder("dataset=folder") == "folder-gcn"


@pytest.mark.parametrize(("name", "expected"), [("my graph", "my_graph"), ("größe", "gr_e"), ("a;b", "a_b"), ("x" * 300, "x" * 80)])
def test_any_path_gives_a_name_of_one_folder(tmp_path: Path, name: str, expected: str) -> None:
    found = run_folder("dataset=folder", f"dataset.path='{tmp_path / name}'")
    assert found == f"{expected}-gcn"


def test_so_have_the_jobs_of_a_sweep(tmp_path: Path) -> None:
    assert job_name(tmp_path, "dataset=folder", "dataset.path=data/my_graph") == "my_graph,gcn,seed=0"
    assert job_name(tmp_path, "dataset=cora") == "cora,gcn,seed=0"


def test_a_dataset_of_a_package_keeps_its_name() -> None:
    config = compose_config(["dataset=folder", "dataset.path=x/y"]).dataset
    assert config.title == "y"
    config.name = "mine"
    assert config.title == "mine"
