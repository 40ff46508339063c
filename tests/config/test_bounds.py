"""Numbers outside any useful range are refused by name, with the range; its ends are accepted."""

from __future__ import annotations

import re

import pytest

from gas_cli.config.compose import compose_config
from gas_cli.errors import UserError

RANGES = {
    "seed": (0, 2**63 - 1),
    "runs": (1, 10_000),
    "partitioner.num_parts": (1, 2**31 - 1),
    "partitioner.seed": (0, 2**31 - 1),
    "model.num_layers": (1, 1_000),
    "model.hidden_channels": (1, 65_536),
    "trainer.epochs": (1, 1_000_000),
    "trainer.batch_parts": (1, 2**31 - 1),
    "trainer.accumulate": (1, 2**31 - 1),
    "trainer.checkpoint_every": (1, 2**31 - 1),
    "trainer.prefetch": (0, 1_000),
    "optimizer.step_epochs": (1, 2**31 - 1),
}
WITH_WORD = {"partitioner.num_parts": "auto or ", "trainer.batch_parts": "auto or ", "trainer.accumulate": "epoch or "}
COUNTS = ("trainer.max_steps", "trainer.patience", "evaluation.every", "evaluation.monitor", "history.refresh")
"""Whole numbers from 1, or null."""
FLOATS = ("optimizer.lr", "optimizer.min_lr", "optimizer.weight_decay", "optimizer.gamma", "optimizer.grad_norm", "model.dropout")


@pytest.mark.parametrize("key", RANGES)
def test_whole_numbers_have_a_range(key: str) -> None:
    low, high = RANGES[key]
    others = ["method=full_batch", "trainer.batch_parts=1"]  # parts of a step are bounded by those of the graph as well
    for value in (low, high):
        compose_config([*others, f"{key}={value}"])
    for value in (low - 1, high + 1, 10**30):
        expected = f"{WITH_WORD.get(key, '')}a whole number from {low} to {high}."
        with pytest.raises(UserError, match=re.escape(f"{key}={value} is not valid: expected {expected}")):
            compose_config([*others, f"{key}={value}"])


@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "-1"])
@pytest.mark.parametrize("key", FLOATS)
def test_numbers_are_finite_and_not_negative(key: str, value: str) -> None:
    with pytest.raises(UserError, match=rf"{key}={value}(\.0)? is not valid: expected"):
        compose_config([f"{key}={value}"])


@pytest.mark.parametrize("key", FLOATS)
def test_whole_numbers_beyond_floating_point_ones_are_one_message(key: str) -> None:
    with pytest.raises(UserError, match=f"^{key} has a number that is too large"):
        compose_config([f"{key}={'1' * 400}"])


def test_the_last_of_several_runs_has_a_seed_too() -> None:
    with pytest.raises(UserError, match=f"from 0 to {2**63 - 3}"):
        compose_config(["runs=3", f"seed={2**63 - 2}"])


@pytest.mark.parametrize("key", COUNTS)
def test_counts_are_null_or_begin_at_one(key: str) -> None:
    for value in ("null", "1", str(2**31 - 1)):
        compose_config([f"{key}={value}"])
    for value in ("0", "-1", str(2**31), "1.5", "'²'", "'Epoch'"):
        with pytest.raises(UserError, match=rf"{re.escape(key)}=.* is not valid: expected .*null"):
            compose_config([f"{key}={value}"])


def test_heads_times_channels_is_a_width() -> None:
    compose_config(["model=gat", "model.hidden_channels=32768", "model.heads=2"])
    with pytest.raises(UserError, match=r"model\.heads=3 is not valid: expected a whole number from 1 to 2\."):
        compose_config(["model=gat", "model.hidden_channels=32768", "model.heads=3"])
