"""One line about any exception."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gas_cli.errors import UserError, memory_ran_out, told

TOO_MANY = 1 << 45


def test_a_message_of_the_user_stays_whole() -> None:
    assert told(UserError("two. Sentences.")) == "two. Sentences."


@pytest.mark.parametrize("allocate", [lambda: torch.empty(TOO_MANY, dtype=torch.float64), lambda: np.empty(TOO_MANY * 16)])
def test_memory_that_ran_out_is_told_with_what_to_make_smaller(allocate: object) -> None:
    with pytest.raises((RuntimeError, MemoryError)) as caught:
        allocate()  # type: ignore[operator]
    message = told(caught.value)
    assert message == memory_ran_out(caught.value) and "model.hidden_channels" in message and "alloc_cpu" not in message


@pytest.mark.parametrize(
    "text",
    [
        "the reason\nException raised from f at x.cpp:1 (most recent call first):\nframe #0: ...",
        "the reason Exception raised from f at x.cpp:1 (most recent call first):",
        "[enforce fail at inline_container.cc:668] . the reason",
    ],
)
def test_no_backtrace_of_another_language_is_told(text: str) -> None:
    assert told(RuntimeError(text)) == "RuntimeError: the reason"
    assert memory_ran_out(RuntimeError(text)) == ""


def test_an_exception_without_words() -> None:
    assert told(KeyError()) == "KeyError: "
