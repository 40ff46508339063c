"""Models that an installed package registers: choices of `model=` with settings of their own, and harmless where they are broken."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gas_cli.cli.help import train_help
from gas_cli.config.compose import compose_config, load_config, save_config
from gas_cli.config.registered import of_packages
from gas_cli.errors import UserError
from gas_cli.model.registry import build_model, model_class
from gas_cli.run import run

SETTINGS = """
from dataclasses import dataclass
from typing import ClassVar
from gas_cli.config.checks import require_positive
from gas_cli.config.model import ModelConfig

@dataclass
class LinearConfig(ModelConfig):
    implementation: ClassVar[str] = "linear_package.models:Linear"
    strength: float = 2.0

    def __post_init__(self) -> None:
        super().__post_init__()
        require_positive("model.strength", self.strength)
"""
MODELS = """
from torch import nn
from gas_cli.model.model import Model, propagate, transform

class Linear(Model):
    def __init__(self, config, in_channels, out_channels):
        super().__init__()
        self.num_layers, self.widths = config.num_layers, (out_channels,) * config.num_layers
        self.strength, self.lin = config.strength, nn.Linear(in_channels, out_channels)
    def encode(self, x, ids, noise):
        return transform(x, self.lin.weight.t())
    def layer(self, index, rows, block, state):
        return self.strength * propagate(rows, block)
    def decode(self, h, block, state):
        return h
    def regularized(self):
        return []
"""
Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Makes an installed package that registers models: `install("name = module:Class", ...)`."""

    def install(*entries: str, settings: str = SETTINGS, models: str = MODELS) -> None:
        package, info = tmp_path / "site" / "linear_package", tmp_path / "site" / "linear_package-1.0.dist-info"
        for folder in (package, info):
            folder.mkdir(parents=True)
        (package / "__init__.py").touch()
        (package / "settings.py").write_text(settings)
        (package / "models.py").write_text(models)
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: linear-package\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text("[gas_cli.models]\n" + "\n".join(entries) + "\n")
        monkeypatch.syspath_prepend(tmp_path / "site")
        of_packages.cache_clear()

    yield install
    for name in [name for name in sys.modules if name.startswith("linear_package")]:
        del sys.modules[name]
    monkeypatch.undo()
    of_packages.cache_clear()
    forget("linear")


def forget(name: str) -> None:
    """Hydra's store of configs lives as long as the process."""
    from hydra.core.config_store import ConfigStore

    ConfigStore.instance().repo["model"].pop(f"{name}.yaml", None)


def test_it_is_a_choice_with_settings_of_its_own_and_trains(install: Install, tmp_path: Path) -> None:
    install("linear = linear_package.settings:LinearConfig")
    small = ["dataset.num_nodes=60", "partitioner=random", "partitioner.num_parts=2", "trainer.batch_parts=1", "trainer.epochs=2"]
    config = compose_config(["model=linear", "model.strength=3", *small, "partitioner.cache=null", "device=cpu"])
    assert (config.model.name, config.model.strength, "linear_package.models" in sys.modules) == ("linear", 3.0, False)  # type: ignore[attr-defined]
    save_config(config, tmp_path / "config.yaml")
    assert load_config(tmp_path / "config.yaml") == config
    assert run(config, tmp_path / "run")["status"] == "finished"
    assert " linear" in train_help()


def test_its_settings_are_checked_like_any_other(install: Install) -> None:
    install("linear = linear_package.settings:LinearConfig")
    with pytest.raises(UserError, match=r"model\.strength=-1\.0 is not valid"):
        compose_config(["model=linear", "model.strength=-1"])
    with pytest.raises(UserError, match=r"model\.strenght is not a setting\. Did you mean model\.strength"):
        compose_config(["model=linear", "model.strenght=1"])


@pytest.mark.parametrize(
    ("entry", "settings", "reason"),
    [
        ("linear = linear_package.nowhere:LinearConfig", SETTINGS, "ModuleNotFoundError"),
        ("linear = linear_package.settings:Other", SETTINGS, "AttributeError"),
        ("linear = linear_package.settings:dataclass", SETTINGS, "expected a dataclass derived from"),
        ("linear = linear_package.settings:LinearConfig", SETTINGS.replace("implementation:", "other:"), "expected its `implementation`"),
        ("linear = linear_package.settings:LinearConfig", "raise OSError('no licence')", "OSError: no licence"),
    ],
)
def test_a_broken_one_is_explained_when_it_is_chosen_and_hinders_no_other(install: Install, entry: str, settings: str, reason: str) -> None:
    install(entry, settings=settings)
    assert compose_config(["model=gcn"]).model.name == "gcn"
    with pytest.raises(UserError, match=f"model=linear is registered by an installed package, but cannot be used: .*{reason}"):
        compose_config(["model=linear"])


@pytest.mark.parametrize(
    ("models", "message"),
    [
        ("Linear = 3", "is not a subclass of gas_cli.model.model.Model"),
        ("import nothing_of_that_name", r"linear_package\.models.*ModuleNotFoundError"),
        ("", r"AttributeError \(model=linear, registered as linear_package\.models:Linear\)"),
    ],
)
def test_a_model_that_cannot_be_had_is_named(install: Install, models: str, message: str) -> None:
    install("linear = linear_package.settings:LinearConfig", models=models)
    with pytest.raises(UserError, match=message):
        build_model(compose_config(["model=linear"]).model, 5, 3, seed=0)


def test_a_name_of_a_shipped_model_is_not_taken(install: Install) -> None:
    install("gcn = linear_package.settings:LinearConfig")
    assert model_class(compose_config(["model=gcn"]).model).__name__ == "GCN"
