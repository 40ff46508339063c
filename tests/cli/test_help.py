"""`--help` of the commands: its size, and that all it names exists and has the default and the meaning of the code."""

from __future__ import annotations

import dataclasses
import re
import shlex
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from omegaconf import OmegaConf

from gas_cli.cli.data import CHECKED, data_help
from gas_cli.cli.help import ELSEWHERE, GROUPS, SECTIONS, settings_help, train_help
from gas_cli.cli.predict import PredictConfig, predict_help
from gas_cli.config import registered
from gas_cli.config.compose import compose, compose_config, config_directory
from gas_cli.config.dataset import FolderConfig
from gas_cli.config.messages import setting_names
from gas_cli.config.model import GCNConfig
from gas_cli.config.root import Config
from gas_cli.config.setting import HELP, as_typed, described, setting

LINES, COLUMNS = 100, 100
TEXTS: dict[str, Callable[[], str]] = {"gas-train": train_help, "gas-predict": predict_help, "gas-data": data_help}
NAMED = {entry for entries in SECTIONS.values() for entry in entries if isinstance(entry, str)}


def shown(text: str) -> Iterator[tuple[str, str, str]]:
    """Name, value and meaning of each line `  name=value  meaning`, continued lines included."""
    for found in re.finditer(r"^  ([a-z_]+(?:\.[a-z_]+)*)=(\S+) {2,}(.*(?:\n {10,}.*)*)$", text, re.MULTILINE):
        yield found[1], found[2], " ".join(found[3].split())


def root_and_name(key: str) -> tuple[type[Any], str]:
    """The dataclass that has a setting, and its name there."""
    group, _, name = key.rpartition(".")
    return ELSEWHERE.get(key) or (type(getattr(Config(), group)) if group else Config), name


@pytest.mark.parametrize("command", TEXTS)
def test_it_fits(command: str) -> None:
    lines = TEXTS[command]().splitlines()
    assert len(lines) <= LINES
    assert [line for line in lines if len(line) > COLUMNS] == []
    assert lines[0].startswith(f"{command}: ") and "2 user error" in lines[-1]


def test_every_setting_shown_exists_with_the_default_of_the_code(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GAS_DATA", raising=False)
    composed = compose([], hydra=True)
    found = {key: value for key, value, _ in shown(train_help()) if not key.startswith("hydra") and key != "resume"}
    assert found.keys() == NAMED and {*GROUPS, *setting_names()} >= NAMED
    for key, value in found.items():
        if key in GROUPS:
            assert value == as_typed(composed.hydra.runtime.choices[key])
        elif key in ELSEWHERE:
            assert value.isupper() and {f.name: f.default for f in dataclasses.fields(ELSEWHERE[key])}[key.partition(".")[2]] == ""
        else:
            assert value == as_typed(OmegaConf.select(composed, key, throw_on_missing=True)), key


def test_every_dotted_name_in_it_exists() -> None:
    groups = [name for name, kind in Config.__annotations__.items() if "Config" in kind]
    words = set(re.findall(rf"\b(?:{'|'.join(groups)})\.\w+", train_help()))
    assert len(words) > 20 and words <= set(setting_names())


@pytest.mark.parametrize(
    ("text", "schema", "names"), [(predict_help, PredictConfig, ()), (data_help, FolderConfig, CHECKED)], ids=["predict", "data"]
)
def test_so_it_is_for_the_small_commands(text: Callable[[], str], schema: type[Any], names: tuple[str, ...]) -> None:
    defaults = {field.name: field.default for field in dataclasses.fields(schema)}
    found = {key: value for key, value, _ in shown(text()) if key != "older"}  # a word of gas-data clean
    assert found == {name: as_typed(defaults[name]) or name.upper() for name in names or defaults}


def test_meanings_are_those_of_the_fields() -> None:
    for key, _, meaning in shown(train_help()):
        if key in NAMED - set(GROUPS):
            whole = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", described(*root_and_name(key))[HELP]).replace("`", "")
            words = re.sub(r"^[a-z0-9_]+(\|[a-z0-9_]+)+: ", "", meaning).rstrip(".")
            assert words and whole.startswith(words), key


def test_a_long_meaning_is_cut_between_clauses() -> None:
    schema = dataclasses.make_dataclass(
        "Schema", [("mode", str, setting("a", f"How; `a` is {'long ' * 20}; `b`.", ("a", "b"))), ("on", bool, setting(True, "On. Or off."))]
    )
    mode, on = settings_help(schema).splitlines()
    assert mode.split() == ["mode=a", "a|b:", "How."] and on.split() == ["on=true", "On.", "Or", "off."]


def test_every_choice_is_shown() -> None:
    found = {key: meaning.split(", ") for key, _, meaning in shown(train_help())}
    for group in (path for path in config_directory().iterdir() if path.is_dir() and path.name != "tuned"):
        files = {file.stem for file in group.glob("*.yaml")}
        assert len(files) == 1 or files <= set(found[group.name])


def test_a_registered_choice_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registered._here["model"], "mine", GCNConfig)
    assert "mine" in {key: meaning for key, _, meaning in shown(train_help())}["model"].split(", ")


def test_its_examples_compose() -> None:
    examples = re.findall(r"^  gas-train(.*)$", train_help(), re.MULTILINE)
    assert len(examples) == 4
    for example in examples:
        words = shlex.split(example, comments=True)
        compose_config([word.partition(",")[0] for word in words if word != "-m"])
