"""Small runs from settings to folder, and what they leave behind."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import torch

from gas_cli.config.compose import compose_config
from gas_cli.training.checkpoint import load_checkpoint

SMALL = (
    "dataset.num_nodes=300",
    "dataset.num_communities=10",
    "dataset.num_features=8",
    "partitioner=random",
    "partitioner.num_parts=6",
    "partitioner.cache=null",
    "trainer.batch_parts=2",
    "trainer.epochs=3",
    "model.hidden_channels=8",
    "device=cpu",
)
VOLATILE = ("seconds", "seconds_per_epoch", "peak_memory", "memory")
"""What two equal runs may differ in."""


State = dict[str, Any]
Change = Callable[[State], object]


@dataclass(frozen=True)
class Outcome:
    """What a user sees of a command."""

    code: int
    out: str
    err: str


def train(folder: Path, *overrides: str, base: tuple[str, ...] = SMALL) -> dict[str, Any]:
    """The summary of a run of `gas-train <base> <overrides>` in `folder`, without drawing its curves."""
    from gas_cli.run import run

    with mock.patch("gas_cli.run.plot_curves"):
        return run(compose_config([*base, *overrides]), folder)


def summary(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "summary.json").read_text())
    return content


def lines(folder: Path) -> list[dict[str, Any]]:
    """The records in metrics.jsonl."""
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def timeless(record: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in record.items() if key not in VOLATILE}


def essence(folder: Path) -> dict[str, Any]:
    """All that a run leaves, except times: equal for equal runs."""
    checkpoints = {name: load_checkpoint(folder / "checkpoints" / name) for name in ("last.pt", "best.pt")}
    for checkpoint in checkpoints.values():
        del checkpoint["recorded"]["digest"]  # of lines with times in them
    return {"metrics": [timeless(line) for line in lines(folder)], "summary": timeless(summary(folder)), **checkpoints}


def differences(one: Any, other: Any) -> list[str]:
    """Where two nested values differ by a single bit or a type."""
    left, right = dict(_leaves(one)), dict(_leaves(other))
    return sorted(
        f"{key}: {left.get(key)!r} and {right.get(key)!r}" for key in left.keys() | right.keys() if left.get(key) != right.get(key)
    )


def _leaves(value: Any, where: str = "") -> Iterator[tuple[str, object]]:
    """Every leaf with its path, in a form in which NaN equals NaN and 1 differs from 1.0."""
    if isinstance(value, dict | list):
        yield where, type(value).__name__
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _leaves(inner, f"{where}/{key}")
    elif isinstance(value, torch.Tensor):
        yield where, (value.dtype, value.shape, value.contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    else:
        yield where, repr(value)


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below `folder` except logs."""
    return {
        str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file() and path.suffix != ".log"
    }


def assert_refused(outcome: Outcome, *words: str, program: str = "gas-train") -> None:
    """Exit code 2 and one message that says all `words`, without a traceback."""
    assert outcome.code == 2, outcome
    assert "Traceback" not in outcome.out + outcome.err
    (message,) = outcome.err.splitlines()
    assert message.startswith(f"{program}: ")
    for word in words:
        assert word in message


def refused_by_both(here: Path, gas_train: Callable[..., Outcome], gas_predict: Callable[..., Outcome], *words: str) -> None:
    before = contents(here)
    assert_refused(gas_train("resume=here", "trainer.epochs=6"), *words)
    assert_refused(gas_predict("run=here", "checkpoint=last", "out=p.npz"), *words, program="gas-predict")
    assert contents(here) == before and not (here.parent / "p.npz").exists()


def craft(path: Path, change: Change) -> None:
    state = torch.load(path, weights_only=True)
    change(state)
    torch.save(state, path)
