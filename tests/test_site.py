"""The site of docs/ without building it (make docs does): which names and pages are in it, how links and docstrings change on their way."""

from __future__ import annotations

import inspect
import re
import textwrap
from pathlib import Path
from typing import Any

import pytest

import gas_cli
from scripts.lib.docstring import as_markdown
from scripts.lib.site_links import without_outside_links

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted((ROOT / "docs").glob("*.md"))
TABLES = {
    "train": gas_cli.train,
    "resume": gas_cli.resume,
    "predict": gas_cli.predict,
    "from_edges": gas_cli.Graph.from_edges,
    "Graph": gas_cli.Graph,
    "Predictions": gas_cli.Predictions,
}
"""What has a table of its arguments or fields in its docstring."""


def test_the_page_of_the_api_shows_every_public_name_once() -> None:
    shown = re.findall(r"^::: (.+)$", (ROOT / "docs" / "api.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(shown) == sorted(f"gas_cli.{name}" for name in gas_cli.__all__)


def test_the_contents_list_every_page_once() -> None:
    listed = re.findall(r"^ +- ([\w-]+\.md)$", (ROOT / "mkdocs.yml").read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(listed) == [page.name for page in PAGES]


# -- links ---------------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_link_leaves_the_site_and_the_others_stay(page: Path) -> None:
    before = page.read_text(encoding="utf-8")
    after = without_outside_links(before)
    assert "](../" not in after
    inside = [target for target in re.findall(r"\]\(([^)\s]+)\)", before) if not target.startswith("../")]
    pictures = [target[3:] for target in re.findall(r"!\[[^\]]*\]\((\.\./[^)\s]+)\)", before)]
    assert sorted(re.findall(r"\]\(([^)\s]+)\)", after)) == sorted(inside + pictures)


@pytest.mark.parametrize(
    ("link", "shown"),
    [
        ("[gas_cli/run.py](../gas_cli/run.py)", "`gas_cli/run.py`"),
        ("[`run.py`](../gas_cli/run.py)", "`gas_cli/run.py`"),
        ("[examples/](../examples)", "`examples`"),
        ("[the contract](../gas_cli/model/model.py#L3)", "the contract (`gas_cli/model/model.py`)"),
        ("![steps](../benchmarks/results/step-trace.png)", "![steps](benchmarks/results/step-trace.png)"),
        ("[memory](memory.md#stages)", "[memory](memory.md#stages)"),
    ],
)
def test_a_link_to_a_file_outside_shows_its_path(link: str, shown: str) -> None:
    assert without_outside_links(f"See {link}.") == f"See {shown}."


# -- docstrings ----------------------------------------------------------------------------------------------------------------------------


def test_a_table_becomes_a_list_of_its_own_between_paragraphs() -> None:
    text = """One line.

    Before:
    x        numbers [N, F],
             or None
    val, test  masks
    After.

        indented  code
    """
    assert as_markdown(text) == textwrap.dedent(
        """\
        One line.

        Before:

        - `x`: numbers [N, F], or None
        - `val`, `test`: masks

        After.

            indented  code"""
    )


@pytest.mark.parametrize("name", TABLES)
def test_a_table_lists_arguments_or_fields(name: str) -> None:
    markdown = as_markdown(TABLES[name].__doc__ or "")
    listed = [item for names in re.findall(r"^- (`.+?`): ", markdown, re.MULTILINE) for item in re.findall(r"\w+", names)]
    assert listed and set(listed) <= set(inspect.signature(TABLES[name]).parameters)


@pytest.mark.parametrize("name", gas_cli.__all__)
def test_every_public_name_has_a_docstring_that_keeps_its_words(name: str) -> None:
    value = getattr(gas_cli, name)
    text = inspect.cleandoc((vars(value)["__doc__"] if inspect.isclass(value) else value.__doc__) or "")
    assert text and not re.match(rf"{name}\(", text), "dataclasses make up a docstring where there is none"
    assert re.findall(r"\w+", as_markdown(text)) == re.findall(r"\w+", text)


def test_a_setting_is_shown_with_its_default_and_its_help_text() -> None:
    griffe: Any = pytest.importorskip("griffe")  # of the docs extra
    from scripts.lib.site_docstrings import ReadableDocstrings

    package = griffe.load("gas_cli", search_paths=[ROOT], extensions=griffe.load_extensions(ReadableDocstrings()))
    settings = package["config.dataset.DatasetConfig"]
    assert "\n- `root`: Folder that holds or receives the raw files." in settings.docstring.value
    assert {p.name: str(p.default) for p in settings["__init__"].parameters if p.name != "self"}["root"] == "'data'"
