"""A choice of files is composed once, and whoever asks again gets an equal configuration that is free to change."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.config_store import ConfigStore
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict

from gas_cli.config.compose import compose_config, config_directory, hydra_of
from gas_cli.config.launch import launch, prepare
from gas_cli.config.loader import SharedLoader, loader_of
from gas_cli.errors import UserError


@pytest.fixture
def composed(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The overrides of every composition by Hydra itself."""
    noted: list[list[str]] = []
    load = ConfigLoaderImpl.load_configuration

    def note(loader: ConfigLoaderImpl, config_name: str | None, overrides: list[str], *others: Any) -> DictConfig:
        noted.append(list(overrides))
        return load(loader, config_name, overrides, *others)

    monkeypatch.setattr(ConfigLoaderImpl, "load_configuration", note)
    return noted


def test_a_changed_composition_leaves_the_next_one_as_it_was(composed: list[list[str]]) -> None:
    hydra = prepare(["seed=3"]).hydra

    def compose(*overrides: str) -> Any:
        return hydra.compose_config("config", list(overrides), RunMode.RUN)

    first, untouched = compose("seed=3"), compose("seed=3")
    with open_dict(first):
        del first["hydra"]
        first.seed = 4
    assert OmegaConf.to_container(compose("seed=3")) == OmegaConf.to_container(untouched) and untouched.seed == 3
    assert compose("seed=4").seed == 4
    assert composed in ([], [[]]), "at most once: nothing chooses other files"


CHOSEN = [
    ["dataset=cora", "model=gat", "trainer.epochs=3"],
    ["trainer.epochs=3", "experiment=demo", "model.dropout=0.25", "seed=${trainer.epochs}"],
    ["+model.extra=1", "++model.other={a:1}", "~tuned", "~seed", "model=gcnii", "hydra.run.dir=somewhere", "hydra/job_logging=none"],
    [
        "partitioner=metis",
        "partitioner.num_parts=9",
        "hydra.job.config.override_dirname.exclude_keys=[seed]",
        "seed=1",
        "model.hidden_channels=8",
    ],
    ["logger=tensorboard", "model.name=gcn", "optimizer={lr:0.5}"],
]
"""Overrides that choose files, set values, add and delete, in mixed orders."""


@pytest.mark.parametrize("overrides", CHOSEN)
@pytest.mark.parametrize("mode", [RunMode.RUN, RunMode.MULTIRUN])
def test_it_composes_what_hydra_composes(overrides: list[str], mode: RunMode) -> None:
    """The node `hydra` included: the job's folder and its records come from there. Twice: the second time from memory."""
    loader = hydra_of(overrides).config_loader
    plain = ConfigLoaderImpl(loader.get_search_path())
    swept = [*overrides, "evaluation.every=1,2"] if mode == RunMode.MULTIRUN else overrides
    expected = plain.load_configuration("config", swept, mode)
    for _ in range(2):
        found = loader.load_configuration("config", swept, mode)
        assert OmegaConf.to_container(found) == OmegaConf.to_container(expected)
        assert OmegaConf.to_yaml(found) == OmegaConf.to_yaml(expected), "in the same order"
        assert found._get_flag("struct") and OmegaConf.get_type(found) is OmegaConf.get_type(expected)
        assert [OmegaConf.get_type(found, key) for key in found] == [OmegaConf.get_type(expected, key) for key in expected]


@pytest.mark.parametrize(
    "wrong",
    [
        "seed=1,2",
        "sed=1",
        "model=none",
        "seed@x=1",
        "+seed=1",
        "~sed",
        "~seed=7",
        "trainer.epochs=x",
        "model=[gcn,gat]",
        "+model=gat",
        "seed",
    ],
)
def test_it_refuses_what_hydra_refuses(wrong: str) -> None:
    loader = hydra_of([]).config_loader
    with pytest.raises(Exception) as expected:  # noqa: PT011
        ConfigLoaderImpl(loader.get_search_path()).load_configuration("config", ["dataset=cora", wrong], RunMode.RUN)
    with pytest.raises(expected.type) as found:
        loader.load_configuration("config", ["dataset=cora", wrong], RunMode.RUN)
    assert str(found.value) == str(expected.value)


def test_values_on_the_same_files_are_composed_once(composed: list[list[str]]) -> None:
    loader = loader_of(config_directory())
    for overrides in (["model=gat", "seed=1"], ["seed=2", "model=gat"], ["model=gat", "trainer.epochs=3"], ["model=gcn"]):
        loader.load_configuration("config", overrides, RunMode.RUN)
    assert composed == [["model=gat"], ["model=gcn"]]


def test_a_changed_file_is_read_again(tmp_path: Path) -> None:
    """In a process that goes on while somebody edits, adds or removes files."""
    folder, shared = tmp_path / "conf", SharedLoader()
    (folder / "group").mkdir(parents=True)
    (folder / "config.yaml").write_text("defaults: [optional group: one, _self_]\nvalue: 1\n")

    def found(*overrides: str) -> Any:
        return OmegaConf.to_container(shared.of(folder).load_configuration("config", list(overrides), RunMode.RUN))

    assert found()["value"] == 1 and "group" not in found()
    (folder / "config.yaml").write_text("defaults: [optional group: one, _self_]\nvalue: 23\n")
    assert found()["value"] == 23
    (folder / "group" / "one.yaml").write_text("x: 5\n")
    assert found()["group"] == {"x": 5}
    assert shared.of(folder) is shared.of(folder)
    (folder / "group" / "one.yaml").unlink()
    assert "group" not in found()


def test_what_a_program_stores_in_hydra_is_seen() -> None:
    store, chosen = ConfigStore.instance(), ["experiment=of_a_program"]
    try:
        for seed in (3, 7):
            store.store(group="experiment", name="of_a_program", node={"seed": seed}, package="_global_")
            assert compose_config(chosen).seed == seed
    finally:
        del store.repo["experiment"]["of_a_program.yaml"]
    with pytest.raises(UserError, match="of_a_program is unknown"):
        compose_config(chosen)


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gas_cli.config.loader.MOST", 2)
    loader = loader_of(config_directory())
    for number in (0, 1, 2, 0):
        composed = loader.load_configuration("config", [f"hydra.job.name=job{number}"], RunMode.RUN)
        assert composed.hydra.job.name == f"job{number}"
        assert len(vars(loader)["_known"]) <= 2


@pytest.mark.parametrize(("line", "compositions"), [(["seed=3"], 1), (["-m", "seed=1,2"], 2)], ids=["run", "sweep"])
def test_a_command_composes_a_job_once(
    line: Sequence[str], compositions: int, composed: list[list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sweep: for its folder and its jobs, which choose the same files, and for its sweeper."""
    monkeypatch.chdir(tmp_path)
    seeds: list[int] = []

    def job(make_config: Any, folder: Path) -> float:
        seeds.append(make_config().seed)
        return 0.0

    monkeypatch.setattr("gas_cli.config.compose._shared", SharedLoader)  # nothing is remembered from before
    launch(prepare(line), job)
    assert seeds == ([3] if len(line) == 1 else [1, 2])
    assert len(composed) == compositions


def test_another_process_gets_the_loader_without_its_memory() -> None:
    hydra = prepare(["seed=3"]).hydra
    arrived = pickle.loads(pickle.dumps(hydra.config_loader))
    assert vars(arrived)["_known"] == {} and vars(hydra.config_loader)["_known"] != {}
    assert arrived.load_configuration("config", ["seed=5"], RunMode.RUN).seed == 5
