"""Right, or refused with one message: a fixed choice of cases of each kind. `make fuzz N=5000` runs others."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fuzz.cases import KINDS, SHARES, Result
from tests.fuzz.verdict import SHORT

ROOT = Path(__file__).parents[2]
CASES = 50


@pytest.fixture(scope="module")
def results() -> list[Result]:
    """Of a separate process, which has one thread; without the coverage of its children, which doubles their time."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}
    words = [sys.executable, "-m", "tests.fuzz", "--seed", "0", "--cases", str(CASES)]
    done = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.parametrize("kind", list(KINDS))
def test_right_or_refused_with_one_message(kind: str, results: list[Result]) -> None:
    own = [result for result in results if result["kind"] == kind]
    assert len(own) == CASES * SHARES[kind] // 50
    wrong = [result for result in own if result["outcome"] == SHORT]
    assert not wrong, "\n".join(
        f"python -m tests.fuzz --kind {kind} --seed {result['seed']}: {result['what']}: {result['why']}" for result in wrong
    )
