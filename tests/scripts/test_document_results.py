"""docs/results.md is what the results say."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts.document_results import filled, main
from scripts.lib import document


def test_the_page_of_results_is_what_the_files_say(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--check"]) == 0, "run python -m scripts.document_results"
    assert capsys.readouterr().out == "up to date\n"


def test_a_changed_result_changes_the_page(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("# Title\n\n| x |\n\n![f](a.png)\n")
    page = "before\n<!-- results: a -->\nold\n<!-- end -->\n<!-- results: b -->\n<!-- end -->\nafter\n"
    new = filled(page, tmp_path)
    assert "old" not in new and "| x |\n\n![f](../benchmarks/results/a.png)\n\n<!-- end -->" in new
    assert "b.md is not there" in new and new.startswith("before\n") and new.endswith("\nafter\n")
    assert filled(new, tmp_path) == new


def test_a_page_that_drifted_is_told_and_mended(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (page := tmp_path / "p.md").write_text("<!-- results: a -->\nold\n<!-- end -->\n")

    def update(*arguments: str, others: list[str] | None = None) -> int:
        return document.update(page, lambda text: document.filled(text, "results", str.upper), list(arguments), "python -m x", others)

    assert update("--check") == 1 and "old" in page.read_text()
    assert capsys.readouterr().out == "not what benchmarks/results says: docs/p.md; run python -m x\n"
    assert update() == 0 and page.read_text() == "<!-- results: a -->\n\nA\n\n<!-- end -->\n"
    assert update("--check") == 0 and update("--check", others=["docs/p.png"]) == 1
