"""Composition, conversion and the saved file: what goes in comes out, and what is wrong is named."""

from __future__ import annotations

import dataclasses
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from gas_cli.config.compose import compose_config, config_directory, load_config, load_overrides, parse_settings, read_settings, save_config
from gas_cli.config.continued import fixed_settings
from gas_cli.config.dataset import DatasetConfig, GeneratedConfig
from gas_cli.config.model import APPNPConfig, GCNIIConfig, HiddenLayersConfig
from gas_cli.config.removed import REMOVED, renamed
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


EARLIER = {
    "trainer.patience": (0, "null"),
    "trainer.max_steps": (0, "null"),
    "optimizer.grad_norm": (0.0, "null"),
    "optimizer.schedule": ("none", "null"),
    "history.refresh": ("epoch", 1),
    "evaluation.every": (0, "null"),
    "evaluation.monitor": (False, "null"),
    "partitioner.cache": ("", "null"),
    "partitioner.cache_limit": ("", "null"),
    "model.normalization": ("none", "null"),
}
"""By setting: a value of an earlier version and that of today."""


def saved_with(folder: Path, overrides: Sequence[str], **changes: object) -> Path:
    """A saved configuration with `group__name=value` put in as an earlier version wrote it."""
    path = folder / "config.yaml"
    save_config(compose_config(overrides), path)
    content = OmegaConf.load(path)
    for key, value in changes.items():
        OmegaConf.update(content, key.replace("__", "."), value, force_add=True)
    OmegaConf.save(content, path)
    return path


@pytest.mark.parametrize("key", EARLIER)
def test_an_earlier_value_is_translated_in_a_saved_file(key: str, tmp_path: Path) -> None:
    before, now = EARLIER[key]
    assert load_config(saved_with(tmp_path, [], **{key: before})) == compose_config([f"{key}={now}"])


@pytest.mark.parametrize("key", EARLIER)
def test_an_earlier_value_on_the_command_line_is_answered_with_that_of_today(key: str, tmp_path: Path) -> None:
    before, now = EARLIER[key]
    typed = f"{key}={before}" if before != "" else f"{key}=''"
    for refused in (lambda: compose_config([typed]), lambda: load_config(saved_with(tmp_path, []), [typed])):
        with pytest.raises(UserError, match=rf"is not valid: expected .* Use {re.escape(key)}={now}\."):
            refused()


@pytest.mark.parametrize("key", EARLIER)
def test_an_earlier_value_in_a_file_of_the_user_s_is_answered_so_too(key: str, tmp_path: Path) -> None:
    before, now = EARLIER[key]
    group, _, name = key.partition(".")
    (tmp_path / "experiment").mkdir()
    content = OmegaConf.to_yaml(OmegaConf.create({group: {name: before}}))
    (tmp_path / "experiment" / "mine.yaml").write_text(f"# @package _global_\n{content}")
    with pytest.raises(UserError, match=rf"Use {re.escape(key)}={now}\."):
        compose_config(["experiment=mine"], [tmp_path])


def test_other_earlier_spellings_are_translated_in_a_saved_file(tmp_path: Path) -> None:
    assert load_config(saved_with(tmp_path, [], history__refresh="never")) == compose_config([])
    assert load_config(saved_with(tmp_path, [], history__refresh="7")) == compose_config(["history.refresh=7"])
    monitored = saved_with(tmp_path, [], evaluation__monitor=True, evaluation__monitor_every=5)
    assert load_config(monitored) == compose_config(["evaluation.monitor=5"])
    assert load_config(saved_with(tmp_path, [], evaluation__monitor=False, evaluation__monitor_every=5)) == compose_config([])
    assert load_config(saved_with(tmp_path, [], logger={"name": "none"})) == compose_config([])
    with_logger = saved_with(tmp_path, [], logger={"name": "tensorboard"})
    assert load_config(with_logger) == compose_config(["logger=tensorboard"]) != compose_config(["logger=null"]) == compose_config([])


def test_settings_that_are_gone_are_passed_over_in_a_saved_file(tmp_path: Path) -> None:
    gone = {"optimizer__name": "adam", "partitioner__recursive": True, "partitioner__order": "ids"}
    assert load_config(saved_with(tmp_path, [], **gone)) == compose_config([])
    appnp = {"model__batch_norm": False, "model__residual": False, "model__track_running_stats": True}
    assert load_config(saved_with(tmp_path, ["model=appnp"], **appnp)) == compose_config(["model=appnp"])
    kept = load_config(saved_with(tmp_path, [], model__batch_norm=True)).model
    assert isinstance(kept, HiddenLayersConfig) and kept.batch_norm


@pytest.mark.parametrize("key", [key for key in REMOVED if key not in ("evaluation.monitor_every", "logger.name")])
def test_a_setting_that_is_gone_is_named(key: str) -> None:
    with pytest.raises(UserError, match=rf"^{re.escape(key)} is not a setting any more\. .* Leave it out\.$"):
        compose_config([f"{key}=true"])


def test_what_was_two_settings_or_a_group_is_named() -> None:
    for given, told in (
        ("evaluation.monitor_every=5", "Use evaluation.monitor=N"),
        ("evaluation.monitor=true", "Use evaluation.monitor=1."),
        ("history.refresh=never", "Use history.refresh=null."),
        ("logger=none", "Use logger=null."),
        ("logger.name=none", "logger.name is not a setting any more. Use logger=tensorboard, or logger=null."),
        ("logger={name:tensorboard}", "expected text or null. Use logger=tensorboard, or logger=null."),
        ("logger=wandb", "expected null or tensorboard."),
    ):
        with pytest.raises(UserError, match=re.escape(told)):
            compose_config([given])


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("logger: {name: tensorboard}", "Use logger=tensorboard, or logger=null."),
        ("defaults: [override /logger: tensorboard]", "logger is a setting: write logger: VALUE below the list of defaults."),
        ("logger: none", "Use logger=null."),
    ],
)
def test_a_file_of_the_user_s_that_has_logger_as_a_group(content: str, told: str, tmp_path: Path) -> None:
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "mine.yaml").write_text(f"# @package _global_\n{content}\n")
    with pytest.raises(UserError, match=re.escape(told)):
        compose_config(["experiment=mine"], [tmp_path])


@pytest.mark.parametrize("value", ["tensorboard", None])
def test_a_file_of_the_user_s_sets_the_logger(value: str | None, tmp_path: Path) -> None:
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "mine.yaml").write_text(f"# @package _global_\nlogger: {value or 'null'}\n")
    assert compose_config(["experiment=mine"], [tmp_path]).logger == value
    other = "null" if value else "tensorboard"
    assert compose_config(["experiment=mine", f"logger={other}"], [tmp_path]).logger == (None if value else "tensorboard")


def test_a_checkpoint_s_settings_are_those_of_today() -> None:
    """`renamed` of what an earlier version wrote is what this one writes of the same run."""
    fixed = fixed_settings(compose_config(["history.refresh=1", "model=gat"]))
    earlier = {"history.refresh": "'epoch'", "optimizer.grad_norm": "0.0", "optimizer.schedule": "'none'", "trainer.max_steps": "0"}
    earlier |= {"model.normalization": "'none'", "optimizer.name": "'adam'", "partitioner.order": "'bfs'", "partitioner.recursive": "False"}
    assert renamed(fixed | earlier) == fixed == renamed(fixed)
    assert renamed({"history.refresh": "'12'"}) == {"history.refresh": "12"}
    appnp = fixed_settings(compose_config(["model=appnp"]))
    gone = {"model.batch_norm": "False", "model.residual": "False", "model.track_running_stats": "True"}
    assert renamed(appnp | gone) == appnp and renamed(fixed | gone) == fixed | gone
    assert "trainer.sum_features_once" in renamed({"trainer.sum_features_once": "False"})  # computed something else: stays refused


def test_settings_of_earlier_versions_are_passed_over_in_saved_files(tmp_path: Path) -> None:
    """Their checkpoints say what is to be done; a mistake next to them is still one."""
    save_config(compose_config([]), tmp_path / "config.yaml")
    saved = (tmp_path / "config.yaml").read_text()
    older = saved.replace("trainer:\n", "trainer:\n  sum_features_once: true\n")
    (tmp_path / "config.yaml").write_text(older)
    assert older != saved and load_config(tmp_path / "config.yaml") == compose_config([])
    (tmp_path / "config.yaml").write_text(older.replace("sum_features_once", "sum_features_twice"))
    with pytest.raises(UserError, match="sum_features_twice is not a setting"):
        load_config(tmp_path / "config.yaml")


def test_what_one_reading_of_a_saved_file_changes_leaves_the_next_as_it_was(tmp_path: Path) -> None:
    """Its text and the schema are remembered: neither overrides nor changes of the result reach what is remembered."""
    path = tmp_path / "config.yaml"
    save_config(compose_config(), path)
    expected = load_config(path)
    other = load_config(path, ["trainer.epochs=3", "model.dropout=0.25"])
    other.optimizer.lr = 7.0
    read_settings(path)["trainer"]["epochs"] = 5
    assert load_config(path) == expected != other
    save_config(other, path)
    assert load_config(path) == other
