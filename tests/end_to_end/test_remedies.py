"""What a message says to type works when typed: at most two messages stand between a mistake and a run."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import torch

from tests.end_to_end.conftest import Command
from tests.end_to_end.runs import SMALL, assert_refused

TINY = (
    "dataset.num_nodes=30",
    "dataset.num_communities=3",
    "dataset.average_degree=4",
    "trainer.epochs=1",
    "device=cpu",
    "partitioner.cache=null",
    "partitioner.num_parts=40",
)
MISTAKES = [
    (TINY, []),  # 40 parts of 30 nodes
    (TINY, ["partitioner=random"]),
    (TINY, ["partitioner=random", "method=cluster_gcn"]),
    (TINY, ["partitioner=random", "trainer.batch_parts=31"]),
    (("dataset.num_nodes=5", *TINY[1:]), ["partitioner=range"]),
    (("trainer.epochs=1", "device=cpu", "partitioner.cache=null"), ["dataset.num_nodes=10"]),
    (SMALL, ["partitioner.num_parts=301"]),
    (SMALL, ["trainer.batch_parts=7"]),
    (SMALL, ["device=tpu"]),
    (SMALL, ["evaluation.mode=history", "method=full_batch"]),
    (SMALL, ["evaluation.monitor=1", "evaluation.mode=history", "method=cluster_gcn"]),
    (SMALL, ["trainer.lipschitz.weight=1"]),
    (SMALL, ["history.placement=pinned"]),
    (SMALL, ["model=pna_jk", "model.linear=false"]),
    (SMALL, ["dataset.split=3"]),
    (SMALL, ["trainer.prefetch=100000"]),
    (SMALL, ["seed=99999999999999999999"]),
    (SMALL, ["history.dtype=float16", "dataset.feature_noise=1e7"]),
]


def remedies(message: str) -> dict[str, str]:
    """The settings that a message suggests: `key=value` after the wrong one, or what is expected in place of its value."""
    _, _, typed = message.partition("type as well: ")
    if typed:
        return dict(re.findall(r"([a-z_.]+)=([\d.]*\d)", typed))
    wrong, _, expected = message.partition(" is not valid: expected ")
    if expected:
        key = wrong.split()[-1].partition("=")[0]
        number = re.match(r"(?:a whole number from |at most [\w.]+=|one of )?([\w-]+)", expected)
        assert number is not None
        return {key: number[1]}
    if "Use -1" in message:
        return {"dataset.split": "-1"}
    pairs = re.findall(r"([a-z_]+(?:\.[a-z_]+)*)=([\w.-]*\w)", message)
    return dict(pairs[1:] if pairs[0][0] in dict(pairs[1:]) else pairs)


@pytest.mark.parametrize(("base", "mistake"), MISTAKES, ids=lambda value: " ".join(value) if isinstance(value, list) else "")
def test_what_a_message_suggests_ends_in_a_run(base: tuple[str, ...], mistake: list[str], gas_train: Command, tmp_path: Path) -> None:
    keys = {argument.partition("=")[0] for argument in mistake}
    settings = dict(argument.split("=", 1) for argument in [*(word for word in base if word.partition("=")[0] not in keys), *mistake])
    for attempt in range(3):
        outcome = gas_train(*(f"{key}={value}" for key, value in settings.items()), f"hydra.run.dir=run{attempt}")
        if outcome.code == 0:
            break
        assert_refused(outcome)
        settings |= remedies(outcome.err.split(": ", 1)[1])
    assert outcome.code == 0 and attempt > 0


@pytest.mark.parametrize(
    ("settings", "words", "other"),
    [
        (["history.dtype=float16", "dataset.feature_noise=1e7"], "history.dtype=float16 overflowed", "optimizer.lr"),
        (["history.dtype=float16", "optimizer.lr=1e30"], "Try a smaller optimizer.lr", "overflowed"),
        (["history.dtype=float32", "optimizer.lr=1e30"], "Try a smaller optimizer.lr", "overflowed"),
    ],
)
def test_an_overflow_of_histories_is_told_from_a_divergence(settings: list[str], words: str, other: str, gas_train: Command) -> None:
    outcome = gas_train(*SMALL, *settings)
    assert_refused(outcome, words)
    assert other not in outcome.err


def test_a_width_beyond_the_memory_is_one_message(gas_train: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def build(*_: object) -> torch.nn.Module:
        return torch.nn.Linear(1 << 22, 1 << 22)  # 64 TiB

    monkeypatch.setattr("gas_cli.training.assemble.build_model", build)
    assert_refused(gas_train(*SMALL, "hydra.run.dir=here"), "65536.0 GiB at once", "model.hidden_channels")
    assert "alloc_cpu" not in Path("here/summary.json").read_text()


def test_the_end_of_a_run_shows_its_results(gas_train: Command) -> None:
    shown = gas_train(*SMALL, "hydra.run.dir=here").out.splitlines()
    found = json.loads(Path("here/summary.json").read_text())
    start = shown.index(f"accuracy  best epoch {found['best_epoch']}  last epoch 3")
    for line, split in zip(shown[start + 1 :], ("train", "val", "test"), strict=False):
        assert line.split() == [split, f"{found[split]:.4f}", f"{found['last'][split]:.4f}"]
