"""A command composes a configuration once, and whoever asks again gets an equal one that is free to change."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict

from gas_cli.config.launch import launch, prepare


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
    assert composed == [["seed=3"], ["seed=4"]]


@pytest.mark.parametrize(("line", "compositions"), [(["seed=3"], 1), (["-m", "seed=1,2"], 4)], ids=["run", "sweep"])
def test_a_command_composes_a_job_once(
    line: Sequence[str], compositions: int, composed: list[list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sweep: for its folder, for its sweeper, and once per job."""
    monkeypatch.chdir(tmp_path)
    seeds: list[int] = []

    def job(make_config: Any, folder: Path) -> float:
        seeds.append(make_config().seed)
        return 0.0

    launch(prepare(line), job)
    assert seeds == ([3] if len(line) == 1 else [1, 2])
    assert len(composed) == compositions


def test_another_process_gets_the_loader_without_its_memory() -> None:
    hydra = prepare(["seed=3"]).hydra
    arrived = pickle.loads(pickle.dumps(hydra.config_loader))
    assert vars(arrived)["_known"] == {} and vars(hydra.config_loader)["_known"] != {}
    assert arrived.load_configuration("config", ["seed=5"], RunMode.RUN).seed == 5
