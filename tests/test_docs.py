"""The documentation is true: links lead somewhere, commands run, examples work, the reference is that of the code."""

from __future__ import annotations

import dataclasses
import importlib.util
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from gas_cli.config.compose import compose_config, parse_settings, save_config
from gas_cli.config.messages import EXTRAS
from gas_cli.config.root import Config
from gas_cli.config.schemas import MODEL_SCHEMAS
from gas_cli.graph.load import dataset_names
from gas_cli.model.registry import build_model
from gas_cli.tables.histories import make_histories
from tests.cli.conftest import gas_train  # noqa: F401 - a fixture

ROOT = Path(__file__).resolve().parents[1]
README, DOCS = ROOT / "README.md", ROOT / "docs"
PAGES = [README, *sorted(DOCS.glob("*.md"))]
EXECUTED = DOCS / "own-graph.md"
"""Its commands run in earnest: tests/end_to_end/test_own_graph_page.py."""
PLACEHOLDERS = ("RUN_DIR", "DIR", "FILE")
Command = Callable[..., int]


def blocks(page: Path, language: str) -> list[str]:
    """The fenced code blocks of one language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def prose(page: Path) -> str:
    """A page without its code blocks."""
    return re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)


def anchors(page: Path) -> set[str]:
    """The fragments that the headings of a page can be reached by."""
    titles = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def commands(program: str) -> list[list[str]]:
    """The command lines of one program in the bash blocks of all pages, as arguments, each once."""
    lines = [words_of(line) for page in PAGES if page != EXECUTED for block in blocks(page, "bash") for line in block.splitlines()]
    found = [words[1:] for words in lines if words[:1] == [program]]
    return [arguments for number, arguments in enumerate(found) if arguments not in found[:number]]


def words_of(line: str) -> list[str]:
    return shlex.split(line, comments=True)


# -- pages ---------------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_relative_link_leads_to_a_file_and_a_heading(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if target.startswith("https://"):
            continue
        name, _, anchor = target.partition("#")
        path = (page.parent / name).resolve() if name else page
        assert path.exists(), target
        assert not anchor or anchor in anchors(path), target


def test_the_tests_that_the_security_page_names_exist() -> None:
    text = prose(ROOT / "docs" / "security.md")
    links = re.findall(r"\]\(\.\./(tests/[\w/]+\.py)\)((?:,? `test_\w+`)+)", text)
    named = [(file, test) for file, tests in links for test in re.findall(r"`(\w+)`", tests)]
    assert len(named) == len(re.findall(r"`test_\w+`", text)) > 20
    for file, test in named:
        assert f"def {test}(" in (ROOT / file).read_text(encoding="utf-8"), f"{file}: {test}"


def test_the_tree_lists_what_is_there() -> None:
    (tree,) = blocks(DOCS / "files.md", "text")
    listed, parents = set(), [ROOT]
    for line in tree.splitlines():
        depth = (len(line) - len(line.lstrip())) // 2
        parents[depth + 1 :] = [parents[depth] / line.split()[0]]
        assert parents[-1].exists(), line
        listed.add(parents[-1])
    packages = {path.parent for path in (ROOT / "gas_cli").rglob("__init__.py")}
    assert packages <= listed
    assert {*(ROOT / "docs").glob("*.md"), *(ROOT / "scripts").rglob("[!_]*.py")} <= listed


def test_the_tables_name_every_model_and_every_dataset() -> None:
    for page, names in (("models.md", MODEL_SCHEMAS), ("datasets.md", dataset_names())):
        assert re.findall(r"^\| `([\w-]+)`", (DOCS / page).read_text(encoding="utf-8"), re.MULTILINE) == list(names)


def test_the_readme_fits_a_page() -> None:
    assert len(README.read_text(encoding="utf-8").split()) <= 1_000


def history_cells() -> dict[str, tuple[str, int]]:
    """Of every model's row: the formula of its histories' bytes per node, and the number by default."""
    rows = re.findall(
        r"^\| `(\w+)` \|.*\| `(4·[^`]*)`, (\d+) by default[^|]*\|$", (DOCS / "models.md").read_text(encoding="utf-8"), re.MULTILINE
    )
    return {name: (formula, int(number)) for name, formula, number in rows}


@pytest.mark.parametrize("settings", [[], ["model.num_layers=5", "model.hidden_channels=12"]], ids=["default", "other"])
@pytest.mark.parametrize("model", MODEL_SCHEMAS)
def test_a_models_row_states_the_bytes_of_its_histories(model: str, settings: list[str], tmp_path: Path) -> None:
    write_shown_files(tmp_path)
    own = [f"model.module={tmp_path / 'my_layers.py'}", "model.layer=Gated"] if model == "custom" else []
    config = compose_config([f"model={model}", *settings, *own])
    nodes, features, classes = 6, 7, 40
    widths = build_model(config.model, features, classes, 0).widths
    store = make_histories(widths[1:], torch.tensor([0, nodes]), config.history, torch.device("cpu"))
    formula, number = history_cells()[model]
    letters = {"D": config.model.hidden_channels, "L": config.model.num_layers, "C": classes, "heads": getattr(config.model, "heads", 0)}
    stated = eval(formula.replace("·", "*"), {"__builtins__": {}}, letters)
    assert stated == store.nbytes / nodes == store.bytes_per_node
    assert settings or stated == number


# -- commands ------------------------------------------------------------------------------------------------------------------------------


def test_every_line_of_bash_is_a_command_that_exists() -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = re.findall(r"^([a-z-]+):", makefile, re.MULTILINE)
    constraints = (ROOT / "constraints.txt").read_text().splitlines()
    for page in PAGES:
        for line in "".join(blocks(page, "bash")).splitlines():
            match words_of(line):
                case ["gas-train" | "gas-predict" | "gas-data", *_] | []:
                    pass  # the tests below run them
                case ["make", target, *variables]:
                    assert target in targets, line
                    assert all(f"$({variable.partition('=')[0]})" in makefile for variable in variables), line
                case ["pip", "install", what]:
                    assert what == "." or what in constraints, line
                case ["python", "-m", module, *options]:
                    files = f"{module.replace('.', '/')}.py", "scripts/lib/command_line.py"
                    source = "".join((ROOT / file).read_text() for file in files)
                    assert all(f'"{option}"' in source for option in options if option.startswith("--")), line
                case _:
                    pytest.fail(f"{page.name}: nothing checks this line: {line}")


@pytest.fixture
def prepared(tmp_path: Path) -> dict[str, str]:
    """What the placeholders in commands stand for, and the files that the pages show."""
    run = tmp_path / "a-run"
    (run / "checkpoints").mkdir(parents=True)
    (run / "checkpoints" / "last.pt").touch()
    save_config(Config(runs=10), run / "config.yaml")
    np.save(tmp_path / "nodes.npy", np.arange(3))
    write_shown_files(tmp_path)
    return {"RUN_DIR": str(run), "DIR": str(tmp_path / "raw"), "FILE": str(tmp_path / "nodes.npy")}


def write_shown_files(folder: Path) -> None:
    """Every yaml block, and a Python block that is a file, names its file in its first comment, after Hydra's own line."""
    for page in PAGES:
        files = [block for block in blocks(page, "python") if block.startswith("# ")]
        for block in blocks(page, "yaml") + files:
            path = folder / next(line for line in block.splitlines() if not line.startswith("# @")).removeprefix("# ")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block, encoding="utf-8")


def filled(arguments: list[str], values: dict[str, str]) -> list[str]:
    pattern = re.compile(rf"\b({'|'.join(PLACEHOLDERS)})\b")
    return [pattern.sub(lambda match: values[match[0]], argument) for argument in arguments]


@pytest.mark.parametrize("arguments", commands("gas-train"), ids=" ".join)
def test_every_gas_train_command_runs(arguments: list[str], gas_train: Command, prepared: dict[str, str]) -> None:  # noqa: F811
    """Through the real command line, Hydra and every job of a sweep included; only the training itself is a stand-in."""
    launcher = [argument for argument in arguments if argument.startswith(("hydra/launcher=", "hydra.launcher."))]
    if launcher:  # its processes would train in earnest
        assert launcher[0].partition("=")[2] in EXTRAS
        compose_config(launcher)
    assert gas_train(*fewer_seeds([argument for argument in filled(arguments, prepared) if argument not in launcher])) == 0


def fewer_seeds(arguments: list[str]) -> list[str]:
    """A sweep over seeds keeps two of them, or one where it is over other settings too: every value of those is composed."""
    lists = [argument for argument in arguments if "," in argument and not argument.startswith("hydra")]
    kept = 1 if len(lists) > 1 else 2
    return [
        f"seed={','.join(argument.removeprefix('seed=').split(',')[:kept])}" if argument.startswith("seed=") else argument
        for argument in arguments
    ]


@pytest.mark.parametrize("arguments", commands("gas-predict"), ids=" ".join)
def test_every_gas_predict_command_is_understood(arguments: list[str], prepared: dict[str, str]) -> None:
    from gas_cli.cli.predict import DATA, PredictConfig

    given = filled(arguments, prepared)
    settings = parse_settings(PredictConfig, [argument for argument in given if not argument.startswith(DATA)])
    data = [argument for argument in given if argument.startswith(DATA)]
    assert compose_config(data if any(argument.startswith("dataset=") for argument in data) else ["dataset=folder", *data]).dataset
    assert settings.run == prepared["RUN_DIR"]


@pytest.mark.parametrize("arguments", commands("gas-data"), ids=" ".join)
def test_every_gas_data_command_is_understood(arguments: list[str], prepared: dict[str, str]) -> None:
    from gas_cli.cli.data import parse

    given = filled(arguments, prepared)
    if given[0] == "prepare":
        assert compose_config(given[1:]).partitioner.cache
        return
    if given[0] == "clean":
        from gas_cli.cli.clean import parse as parse_clean

        assert parse_clean(given[1:]).cache
        return
    if given[0] == "convert":
        from gas_cli.cli.convert import parse as parse_convert

        assert parse_convert(given[1:])[1] == Path(prepared["DIR"])
        return
    dataset, _ = parse(given)
    assert dataset.path == prepared["DIR"]


def shown_settings() -> list[str]:
    """`key=a|b` in the page's list of settings as key=a and key=b; N is a number."""
    (listed,) = blocks(DOCS / "runs.md", "text")
    pairs = [word.split("=") for word in listed.split()]
    return [f"{key}={'7' if value == 'N' else value}" for key, values in pairs for value in values.split("|")]


NEEDS = {"partitioner=file": "partitioner.file=parts.npy", "trainer.patience_rule=mean": "trainer.patience=10"}
"""What a choice is nothing without."""


@pytest.mark.parametrize("setting", shown_settings())
def test_every_listed_choice_composes(setting: str) -> None:
    compose_config([setting, *([NEEDS[setting]] if setting in NEEDS else [])])


def test_configs_of_ones_own_do_what_the_page_says(tmp_path: Path) -> None:
    write_shown_files(tmp_path)
    config = compose_config(["experiment=wide"], [tmp_path / "my_configs"])
    assert (config.model.hidden_channels, config.history.dtype, config.optimizer.lr) == (512, "bfloat16", 0.005)


# -- recipes -------------------------------------------------------------------------------------------------------------------------------


def execute(number: int, folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Run one of the README's Python blocks in `folder`; the names it defines."""
    monkeypatch.chdir(folder)
    monkeypatch.setenv("HOME", str(folder))  # the partition cache
    names: dict[str, Any] = {"__name__": "recipe"}
    exec(compile(blocks(README, "python")[number], f"README block {number}", "exec"), names)
    return names


def test_there_is_one_recipe() -> None:
    pages = [page for page in PAGES if page != EXECUTED]
    assert [len([b for b in blocks(page, "python") if not b.startswith("# ")]) for page in pages] == [1] + [0] * (len(pages) - 1)


def test_the_recipe_trains_and_predicts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = execute(0, tmp_path, monkeypatch)
    assert names["run"].summary["status"] == "finished" and names["run"].summary["test"] > 0.5
    with np.load(tmp_path / "predictions.npz") as out:
        np.testing.assert_allclose(out["probabilities"].sum(1), 1, rtol=1e-5)


# -- the reference of the settings ---------------------------------------------------------------------------------------------------------


def document_settings() -> ModuleType:
    spec = importlib.util.spec_from_file_location("document_settings", ROOT / "scripts" / "document_settings.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_reference_of_the_settings_is_that_of_the_code(capsys: pytest.CaptureFixture[str]) -> None:
    assert document_settings().main(["--check"]) == 0, "run python scripts/document_settings.py"
    assert "up to date" in capsys.readouterr().out


def test_a_page_that_drifted_is_noticed_and_mended() -> None:
    script = document_settings()
    page = script.PAGE.read_text(encoding="utf-8")
    drifted = page.replace("| `trainer.epochs` | `200` |", "| `trainer.epochs` | `100` |")
    assert drifted != page and script.with_reference(drifted) == page


def test_a_setting_without_a_help_text_is_refused() -> None:
    script = document_settings()
    with pytest.raises(ValueError, match=r"trainer\.silent has no help text"):
        script._section("`trainer`", [("", dataclasses.make_dataclass("Silent", [("silent", int, 0)]))], [])
