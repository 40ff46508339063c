"""What users read has standard words only: pages, comments of the shipped configs, help texts and messages."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from gas_cli.config.compose import config_directory

ROOT = Path(__file__).resolve().parents[1]
EXCLUDED = (
    r"alone",
    r"beside",
    r"(?:is|are|was|were) (?:said|told)",
    r"of one's own",
    r"something to mend",
    r"the way of the data",
    r"translates its kernels",
    r"which are kept",
    r"is drawn:",
    r"is answered by",
)
"""The list of the language rules: words and phrases at which a reader who learned English from documentation stumbles."""
PATTERN = re.compile(rf"\b(?:{'|'.join(EXCLUDED)})(?!\w)", re.IGNORECASE)
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]
CONFIGS = sorted(config_directory().rglob("*.yaml"))
MODULES = sorted((ROOT / "gas_cli").rglob("*.py"))


def excluded(text: str) -> list[str]:
    return PATTERN.findall(text)


def texts(source: str) -> Iterator[str]:
    """String constants of a module that are not docstrings: help texts and messages, also the parts of f-strings."""
    waiting: list[ast.AST] = [ast.parse(source)]
    while waiting:
        for node in ast.iter_child_nodes(waiting.pop()):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value
            elif not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)):
                waiting.append(node)


def test_an_excluded_word_is_found_in_any_case_and_not_inside_another() -> None:
    assert excluded("Alone, beside it. This is said; standalone, besides") == ["Alone", "beside", "is said"]


def test_help_texts_and_messages_are_read_and_docstrings_are_not() -> None:
    source = 'x = 1\n"""attribute"""\ndef f():\n    """docstring"""\n    raise E(f"a {x} b", setting(1, "help"))\n'
    assert set(texts(source)) == {"a ", " b", "help"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_has_standard_words(page: Path) -> None:
    assert excluded(page.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("words", [MODULES, CONFIGS], ids=["messages", "configs"])
def test_messages_help_texts_and_configs_have_standard_words(words: list[Path]) -> None:
    assert len(words) > 20
    found = {}
    for path in words:
        content = path.read_text(encoding="utf-8")
        for text in texts(content) if path.suffix == ".py" else [content]:
            if hits := excluded(text):
                found[f"{path.relative_to(ROOT)}: {text[:80]}"] = hits
    assert found == {}
