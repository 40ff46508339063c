"""Composition, conversion and the saved file: what goes in comes out, and what is wrong is named."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest

from gas_cli.config.compose import compose_config, config_directory, load_config, load_overrides, parse_settings, save_config
from gas_cli.config.dataset import DatasetConfig, GeneratedConfig
from gas_cli.config.model import APPNPConfig, GCNIIConfig
from gas_cli.config.root import Config
from gas_cli.errors import UserError


def test_the_default_configuration_is_the_default_of_the_dataclasses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GAS_DATA", raising=False)
    plain = Config()
    plain.dataset.root = str(Path("data").absolute())
    assert compose_config() == plain


def test_the_chosen_files_select_the_types() -> None:
    assert type(compose_config().dataset) is GeneratedConfig
    assert type(compose_config(["dataset=cora"]).dataset) is DatasetConfig
    assert type(compose_config(["model=gcnii"]).model) is GCNIIConfig
    assert type(compose_config(["model=appnp"]).model) is APPNPConfig


def test_the_root_comes_from_the_environment_and_is_absolute(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GAS_DATA", str(tmp_path))
    assert compose_config(["dataset=cora"]).dataset.root == str(tmp_path)
    assert compose_config(["dataset=cora", "dataset.root=here"]).dataset.root == str(Path("here").absolute())
    assert compose_config(["dataset=cora", "dataset.root='~/x'"]).dataset.root == str(Path("~/x").expanduser())


@pytest.mark.parametrize("overrides", [[], ["dataset=cora", "model=gcnii"], ["model=appnp", "seed=0", "history.refresh=7"]])
def test_a_saved_configuration_is_read_back_equal(overrides: list[str], tmp_path: Path) -> None:
    config = compose_config(overrides)
    save_config(config, tmp_path / "config.yaml")
    assert load_config(tmp_path / "config.yaml") == config
    assert [path.name for path in tmp_path.iterdir()] == ["config.yaml"]


def test_small_numbers_survive_the_file(tmp_path: Path) -> None:
    save_config(compose_config(["optimizer.lr=1e-7", "optimizer.reg_weight_decay=5e-4"]), tmp_path / "c.yaml")
    optimizer = load_config(tmp_path / "c.yaml").optimizer
    assert (optimizer.lr, optimizer.reg_weight_decay) == (1e-7, 5e-4)


def test_overrides_on_top_of_a_saved_configuration(tmp_path: Path) -> None:
    save_config(compose_config(), tmp_path / "c.yaml")
    assert load_config(tmp_path / "c.yaml", ["trainer.epochs=7"]) == dataclasses.replace(
        compose_config(), trainer=compose_config(["trainer.epochs=7"]).trainer
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("trainer: [1,", "is not valid yaml"),
        ("- 1\n- 2\n", "expected a mapping"),
        ("", "not a run's configuration"),
        ("method: {name: gas}\nmodel: {name: gcn}\nfoo: 1\n", "foo is not a setting"),
        ("model: {name: graphormer}\n", "model.name=graphormer is unknown"),
        ("method: {name: gas}\nmodel: {name: gcn}\ntrainer: {epochs: many}\n", "trainer.epochs=many is not valid: expected a whole number"),
        ("method: {name: gas}\nmodel: {name: gcn}\ndataset: {name: cora}\ntrainer: {epochs: -1}\n", "trainer.epochs=-1 is not valid"),
        ("method: {name: gas}\nmodel: {name: gcn}\ndevice: ${oc.env:HOME}\n", "interpolation"),
    ],
)
def test_a_damaged_saved_configuration_is_refused(content: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(content)
    with pytest.raises(UserError, match="(?s)" + message.replace(".", r"\.")):
        load_config(path)


def test_a_missing_saved_configuration_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="No such file"):
        load_config(tmp_path / "config.yaml")


def test_no_secret_of_the_environment_enters_through_a_saved_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SECRET", "hunter2")
    (tmp_path / "c.yaml").write_text("method: {name: gas}\nmodel: {name: gcn}\ndataset: {name: cora, root: '${oc.env:SECRET}'}\n")
    with pytest.raises(UserError) as caught:
        load_config(tmp_path / "c.yaml")
    assert "hunter2" not in str(caught.value)


def test_no_setting_names_a_class_to_be_created(tmp_path: Path) -> None:
    """Hydra's `_target_`: refused as any other key that is no setting."""
    with pytest.raises(UserError, match="_target_"):
        compose_config(["+model._target_=os.system"])
    (tmp_path / "config.yaml").write_text("method: {name: gas}\nmodel: {name: gcn, _target_: os.system}\n")
    with pytest.raises(UserError, match="_target_"):
        load_config(tmp_path / "config.yaml")


def test_own_configs_extend_the_shipped_ones(tmp_path: Path) -> None:
    (tmp_path / "dataset").mkdir()
    (tmp_path / "dataset" / "mine.yaml").write_text(
        "defaults:\n  - /schema/dataset@_here_: generated\n  - _self_\nname: generated\nnum_nodes: 77\n"
    )
    config = compose_config(["dataset=mine"], [tmp_path])
    assert isinstance(config.dataset, GeneratedConfig)
    assert config.dataset.num_nodes == 77


def test_a_broken_own_config_is_named(tmp_path: Path) -> None:
    (tmp_path / "dataset").mkdir()
    (tmp_path / "dataset" / "broken.yaml").write_text("name: [1\n")
    with pytest.raises(UserError, match=r"broken\.yaml"):
        compose_config(["dataset=broken"], [tmp_path])


def test_the_configs_are_found_from_a_bare_checkout() -> None:
    assert (config_directory() / "config.yaml").is_file()


def test_composing_needs_no_torch() -> None:
    code = "import sys; from gas_cli.config.compose import compose_config; compose_config(['dataset=cora']); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@dataclasses.dataclass
class Settings:
    count: int = 1
    name: str = "x"


def test_settings_of_a_small_command() -> None:
    assert parse_settings(Settings, ["count=3", "name=a=b"]) == Settings(3, "a=b")
    for bad, message in (("cuont=3", "Did you mean count"), ("count", "expected key=value"), ("count=x", "expected a whole number")):
        with pytest.raises(UserError, match=message):
            parse_settings(Settings, [bad])


def test_overrides_of_a_job(tmp_path: Path) -> None:
    (tmp_path / "o.yaml").write_text("- seed=1\n- model=gcn\n")
    assert load_overrides(tmp_path / "o.yaml") == ["seed=1", "model=gcn"]
    (tmp_path / "o.yaml").write_text("[]\n")
    assert load_overrides(tmp_path / "o.yaml") == []


def test_settings_of_earlier_versions_are_passed_over_in_saved_files(tmp_path: Path) -> None:
    """Their checkpoints say what is to be done; a mistake beside them is still one."""
    save_config(compose_config([]), tmp_path / "config.yaml")
    saved = (tmp_path / "config.yaml").read_text()
    older = saved.replace("trainer:\n", "trainer:\n  sum_features_once: true\n")
    (tmp_path / "config.yaml").write_text(older)
    assert older != saved and load_config(tmp_path / "config.yaml") == compose_config([])
    (tmp_path / "config.yaml").write_text(older.replace("sum_features_once", "sum_features_twice"))
    with pytest.raises(UserError, match="sum_features_twice is not a setting"):
        load_config(tmp_path / "config.yaml")
