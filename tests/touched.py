"""python -m tests.touched [--base COMMIT] [--seconds S] [--list]: run the tests that a change touches, the nearest first.

What has changed since COMMIT (HEAD if not given) touches every file that imports it or names it: at the top, in a function, in a string
(a program to start, a name to replace). A test file that is two imports away is nearer than one that is three away. Changed test files
run always; others as long as S seconds are enough, by the seconds that a run of the whole suite has measured. What is touched and does
not run is counted: `make test` runs it.
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SECONDS = ROOT / "benchmarks" / "results" / "check-time.json"
PACKAGES = ("gas_cli", "tests", "scripts", "benchmarks", "examples")
SEARCHED = ("",)
"""Where modules are found: pytest's `pythonpath`."""
LIMIT = 34
"""Seconds of tests, so that a check with its starts, lint and types is done in a minute."""
WORTHWHILE = 5.0
"""Seconds of tests from which on several processes are quicker than one."""
READS = {
    "gas_cli/config/compose.py": ("conf/",),
    "tests/test_conf.py": ("conf/", "constraints.txt"),
    "tests/test_docs.py": ("docs/", "README.md", "CONTRIBUTING.md", "CHANGELOG.md", "Makefile", "constraints.txt", "benchmarks/results/"),
    "tests/test_language.py": ("docs/", "README.md", "CONTRIBUTING.md", "CHANGELOG.md", "conf/", "gas_cli/"),
    "tests/benchmarks/test_document.py": ("docs/benchmarks.md", "benchmarks/results/"),
    "tests/test_site.py": ("docs/", "mkdocs.yml"),
    "tests/test_packaging.py": ("pyproject.toml", "constraints.txt", "CITATION.cff", "LICENSE"),
    "tests/conftest.py": ("pyproject.toml",),
}
"""Files or folders that a test reads without importing them. A test that reads them is as good as changed."""
MODULE = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+")
FILE = re.compile(r"[\w/]+\.py")


@dataclass(frozen=True)
class Sources:
    """The Python files of a state of the repository: text by path, paths from the root with slashes."""

    texts: Mapping[str, str]

    @classmethod
    def of(cls, root: Path) -> Sources:
        paths = [path for package in PACKAGES for path in (root / package).rglob("*.py")]
        return cls({path.relative_to(root).as_posix(): path.read_text(encoding="utf-8") for path in paths})

    @cached_property
    def needs(self) -> dict[str, set[str]]:
        """Of every file: the files that it imports or names, and the conftest.py files that pytest loads before it."""
        return {path: {*self._named(path, text), *self._conftests(path)} - {path} for path, text in self.texts.items()}

    def tests(self) -> list[str]:
        return sorted(path for path in self.texts if path.startswith("tests/") and path.rpartition("/")[2].startswith("test_"))

    def steps(self, changed: Iterable[str]) -> dict[str, int]:
        """Every file that `changed` touches, changed ones too: how many imports lie between them."""
        front = [path for path in changed if path in self.texts]
        found = dict.fromkeys(front, 0)
        for reader, read in READS.items():
            if reader in self.texts and any(path.startswith(read) for path in changed):
                found.setdefault(reader, 0 if reader.rpartition("/")[2].startswith("test_") else 1)
                front.append(reader)
        users: dict[str, list[str]] = {}
        for path, needed in self.needs.items():
            for other in needed:
                users.setdefault(other, []).append(path)
        while front:
            path = front.pop(0)
            for user in users.get(path, ()):
                if found.get(user, len(self.texts)) > found[path] + 1:
                    found[user] = found[path] + 1
                    front.append(user)
        return found

    def _named(self, path: str, text: str) -> Iterator[str]:
        for node in _run(ast.parse(text, path)):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    yield from self._module(alias.name)
            elif isinstance(node, ast.ImportFrom):
                for alias in node.names:
                    yield from self._module(f"{_absolute(node, path)}.{alias.name}")
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                for name in MODULE.findall(node.value):
                    yield from self._module(name)
                yield from (file for file in FILE.findall(node.value) if file in self.texts)

    def _module(self, name: str) -> Iterator[str]:
        """The files that are loaded for a dotted name: packages on the way, the module, whatever the rest names inside it."""
        parts = name.split(".")
        for folder in SEARCHED:
            for end in range(1, len(parts) + 1):
                stem = "/".join([*([folder] if folder else []), *parts[:end]])
                yield from (file for file in (f"{stem}.py", f"{stem}/__init__.py", f"{stem}/__main__.py") if file in self.texts)

    def _conftests(self, path: str) -> Iterator[str]:
        folders = path.split("/")[:-1]
        if folders[:1] == ["tests"]:
            for end in range(1, len(folders) + 1):
                file = "/".join([*folders[:end], "conftest.py"])
                if file in self.texts:
                    yield file


def _run(tree: ast.AST) -> Iterator[ast.AST]:
    """Every node below `tree`, without docstrings and without imports that only the type checker sees."""
    waiting = [tree]
    while waiting:
        for node in ast.iter_child_nodes(waiting.pop()):
            docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
            if not docstring and not (isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"):
                waiting.append(node)
                yield node


def _absolute(node: ast.ImportFrom, path: str) -> str:
    """The dotted name of the module that a `from` statement names."""
    if not node.level:
        return node.module or ""
    return ".".join([*path.split("/")[: -node.level], *([node.module] if node.module else [])])


@dataclass(frozen=True)
class Choice:
    """Test files to run, those that are touched too but do not fit in, and the estimated seconds."""

    run: list[str]
    left: list[str]
    seconds: float


def choose(tests: Iterable[str], steps: Mapping[str, int], seconds: Callable[[str], float], limit: float, processes: int) -> Choice:
    """Nearest first, of equally near ones the quickest first. What does not fit into `limit` is passed over, unless it has changed."""
    busy, run, left = [0.0] * processes, list[str](), list[str]()
    for test in sorted((test for test in tests if test in steps), key=lambda test: (steps[test], seconds(test), test)):
        idle = busy.index(min(busy))
        if steps[test] and busy[idle] + seconds(test) > limit:
            left.append(test)
        else:
            busy[idle] += seconds(test)
            run.append(test)
    return Choice(run, left, max(busy))


def measured(file: Path = SECONDS) -> Callable[[str], float]:
    """Seconds by test file, as measured; a file that is new takes as long as the mean one."""
    known: dict[str, float] = json.loads(file.read_text(encoding="utf-8"))["settings"]["seconds"] if file.exists() else {}
    mean = sum(known.values()) / len(known) if known else 2.0
    return lambda test: known.get(test, mean)


def changed(base: str) -> list[str]:
    """Paths that differ from `base` in this working tree, new ones too."""
    return [*_git("diff", "--name-only", "--no-renames", base), *_git("ls-files", "--others", "--exclude-standard")]


def _git(*words: str) -> list[str]:
    return subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()


def check_command(tests: list[str], seconds: float, processes: int) -> list[str]:
    """Arguments of Python that run test files which take about `seconds`."""
    several = ["-n", str(processes), "--dist", "loadfile", "--no-loadscope-reorder"] if seconds > WORTHWHILE else []
    return ["-m", "pytest", "-q", "-m", "not gpu", *several, "--durations=10", "--durations-min=0.5", *tests]


def main() -> None:
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(prog="python -m tests.touched", description=__doc__, formatter_class=raw)
    parser.add_argument("--base", default="HEAD", help="the commit to compare with")
    parser.add_argument("--seconds", type=float, default=LIMIT, help="how long the tests may take, by what was measured")
    parser.add_argument("--list", action="store_true", help="print the files and do not run them")
    options = parser.parse_args()
    sources = Sources.of(ROOT)
    processes = min(os.cpu_count() or 1, 8)
    choice = choose(sources.tests(), sources.steps(changed(options.base)), measured(), options.seconds, processes)
    print(f"{len(choice.run)} touched test files, about {choice.seconds:.0f} s; {len(choice.left)} more by `make test`", flush=True)
    if options.list:
        print(*choice.run, sep="\n")
    elif choice.run:
        os.execv(sys.executable, [sys.executable, *check_command(choice.run, choice.seconds, processes)])


if __name__ == "__main__":
    main()
