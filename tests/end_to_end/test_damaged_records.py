"""metrics.jsonl and config.yaml that were damaged or crafted: refused, and no record is wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.end_to_end.conftest import Command
from tests.end_to_end.runs import assert_refused, contents, lines, refused_by_both


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda ls: ls.__setitem__(1, ls[1].replace(b'"loss": ', b'"loss": 9')), "one of its first 4 lines has changed"),
        (lambda ls: ls.pop(1), "line 2 is not the record of epoch 2"),
        (lambda ls: ls.pop(), "it has 3 of 4 lines"),
        (lambda ls: ls.insert(1, ls[1]), "line 3 is not the record of epoch 3"),
        (lambda ls: ls.__setitem__(1, json.dumps(json.loads(ls[1]) | {"epoch": "2"}).encode()), "line 2 is not the record"),
        (lambda ls: ls.append(b"\xff\xfe"), "line 5 is not the record of epoch 5"),
        (lambda ls: ls.clear(), "it has 0 of 4 lines"),
    ],
)
def test_damaged_metrics(change: Callable[[list[bytes]], object], message: str, here: Path, gas_train: Command) -> None:
    """Refused; without the file, the run goes on, and no record of it is wrong."""
    path = here / "metrics.jsonl"
    content = path.read_bytes().splitlines()
    change(content)
    path.write_bytes(b"".join(line + b"\n" for line in content))
    before = contents(here)
    assert_refused(gas_train("resume=here", "trainer.epochs=6"), message, "move it away")
    assert contents(here) == before
    path.unlink()
    assert gas_train("resume=here", "trainer.epochs=5").code == 0
    assert gas_train("resume=here", "trainer.epochs=6").code == 0
    assert [line["epoch"] for line in lines(here)] == [5, 6]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a0: &a0 [x,x]\n" + "".join(f"a{i}: &a{i} [{','.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 10)), "holds an alias (*a0)"),
        ("a: &a {b: *a}\n", "holds an alias (*a)"),
        ("a: " + "[" * 5000 + "]" * 5000, "nested more than 20 levels deep"),
        ("a: " + "{a: " * 5000, "nested more than 20 levels deep"),
        ("- " * 5000 + "a", "nested more than 20 levels deep"),
        ("# " + "x" * 1_000_000, "larger than 200 kB"),
        ("seed: " + "9" * 5000, "not valid yaml"),
        ("a: !!python/object:os.system x", "not valid yaml"),
        ("a: !!binary aGk=", "config.yaml"),
        ("\x00", "not valid yaml"),
        ("", "not a run's configuration"),
    ],
)
def test_saved_settings_without_bounds(content: str, message: str, here: Path, gas_train: Command, gas_predict: Command) -> None:
    (here / "config.yaml").write_text(content)
    refused_by_both(here, gas_train, gas_predict, "here/config.yaml", message)
