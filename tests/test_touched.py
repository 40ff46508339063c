"""Which tests a change touches, and which of them run."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.touched import READS, ROOT, SEARCHED, Sources, choose, measured

TEXTS = {
    "gas_cli/__init__.py": "",
    "gas_cli/deep.py": "",
    "gas_cli/lazy.py": "def f():\n    from gas_cli import deep\n",
    "gas_cli/typed.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from gas_cli.deep import Deep\n",
    "gas_cli/told.py": 'def f():\n    "As gas_cli.deep does."\n',
    "gas_cli/config/compose.py": "",
    "scripts/study.py": "import gas_cli.deep",
    "tests/builders.py": "import gas_cli.told",
    "tests/cli/conftest.py": "import gas_cli.lazy",
    "tests/cli/test_a.py": "",
    "tests/test_attribute.py": "from gas_cli.deep import number",
    "tests/test_relative.py": "from .builders import build",
    "tests/test_program.py": "run('-c', 'from gas_cli.lazy import f; f()')",
    "tests/test_path.py": "run('scripts/study.py')",
    "tests/test_patch.py": "replace('gas_cli.deep.number', 3)",
    "tests/test_script.py": "import scripts.study",
    "tests/test_types.py": "import gas_cli.typed",
    "tests/test_compose.py": "import gas_cli.config.compose",
}


def touched(*changed: str) -> dict[str, int]:
    sources = Sources(TEXTS)
    steps = sources.steps(changed)
    return {test.rpartition("test_")[2].removesuffix(".py"): steps[test] for test in sources.tests() if test in steps}


def test_a_change_touches_what_imports_or_names_the_file_from_near_to_far() -> None:
    assert touched("gas_cli/deep.py") == {"attribute": 1, "patch": 1, "a": 3, "program": 2, "path": 2, "script": 2}


def test_a_docstring_and_an_import_for_types_touch_nothing() -> None:
    assert touched("gas_cli/told.py") == {"relative": 2}
    assert touched("gas_cli/typed.py") == {"types": 1}


def test_a_package_is_loaded_with_its_modules() -> None:
    assert set(touched("gas_cli/__init__.py")) == {path.rpartition("test_")[2][:-3] for path in TEXTS if "/test_" in path}


def test_a_changed_test_and_a_changed_conftest_touch_themselves_and_their_folder() -> None:
    assert touched("tests/cli/test_a.py") == {"a": 0}
    assert touched("tests/cli/conftest.py") == {"a": 1}


def test_a_file_of_settings_touches_what_reads_it() -> None:
    assert touched("conf/config.yaml", "gas_cli/gone.py") == {"compose": 2}


def test_a_page_touches_the_test_that_reads_it_as_if_it_had_changed() -> None:
    assert Sources({"tests/test_docs.py": ""}).steps(["docs/log.md"]) == {"tests/test_docs.py": 0}


def test_the_nearest_run_until_the_time_is_up_and_changed_ones_always() -> None:
    steps = {"changed": 0, "near": 1, "long": 1, "far": 2, "last": 2}
    seconds = {"changed": 50.0, "near": 3.0, "long": 30.0, "far": 4.0, "last": 6.0, "untouched": 1.0}
    choice = choose(seconds, steps, seconds.__getitem__, limit=10, processes=2)
    assert choice.run == ["changed", "near", "far"] and choice.left == ["long", "last"]
    assert choice.seconds == 50.0
    assert choose(seconds, steps, seconds.__getitem__, limit=100, processes=1).left == []


def test_the_readers_and_what_they_read_exist() -> None:
    for reader, read in READS.items():
        assert (ROOT / reader).is_file()
        assert all((ROOT / path).exists() for path in read)


@pytest.fixture(scope="module")
def here() -> Sources:
    return Sources.of(ROOT)


@pytest.mark.parametrize(
    ("file", "test"),
    [
        ("gas_cli/training/trainer.py", "tests/end_to_end/test_kill.py"),  # started in a process that is forked
        ("scripts/lib/study.py", "tests/scripts/lib/test_study.py"),
        ("tests/fuzz/kills.py", "tests/fuzz/test_fuzz.py"),  # `python -m tests.fuzz`
        ("conf/model/gcn.yaml", "tests/test_conf.py"),
        ("docs/log.md", "tests/test_docs.py"),
        ("pyproject.toml", "tests/test_packaging.py"),
    ],
)
def test_in_this_repository(file: str, test: str, here: Sources) -> None:
    assert test in here.steps([file])


def test_modules_are_searched_where_pytest_puts_them(pytestconfig: pytest.Config) -> None:
    assert [folder or "." for folder in SEARCHED] == [
        folder.name if folder != ROOT else "." for folder in pytestconfig.getini("pythonpath")
    ]


def test_seconds_of_a_new_file_are_the_mean(tmp_path: Path) -> None:
    (tmp_path / "t.json").write_text('{"settings": {"seconds": {"a": 1.0, "b": 3.0}}}')
    seconds = measured(tmp_path / "t.json")
    assert (seconds("a"), seconds("b"), seconds("new")) == (1.0, 3.0, 2.0)
    assert measured(tmp_path / "none.json")("new") > 0
