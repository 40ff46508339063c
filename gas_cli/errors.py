"""The exceptions a user can cause, and the exit codes that tell the truth about them."""

from __future__ import annotations

import re

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130


class UserError(Exception):
    """Something the user can mend: a setting, a file, a device.

    The message is one sentence or two that say what came in, what was expected and what to type instead.
    The command line prints it without a traceback and exits with code 2.
    """


class NotStarted(UserError):
    """The folder belongs to another run: nothing in it may be touched."""


class UserCodeError(UserError):
    """A mistake in the user's own code (`model.module`): one message like the others, and the traceback goes to the run's log."""


class Interrupted(Exception):
    """Ctrl-C or a termination signal: the run was saved and can be resumed (exit code 130)."""


NO_MEMORY = ("can't allocate memory", "not enough memory", "out of memory")
"""What torch says on the CPU (Linux, Windows) and on CUDA; numpy raises MemoryError."""


def told(error: BaseException) -> str:
    """One line about an exception: a user's own message whole, others by their type and first line, without C++ addresses."""
    if isinstance(error, UserError):
        return str(error)
    return memory_ran_out(error) or f"{type(error).__name__}: {_first_line(error)}"


def memory_ran_out(error: BaseException) -> str:
    """What to type where `error` says that memory ran out; empty for other exceptions."""
    text = str(error)
    if not isinstance(error, MemoryError) and not (isinstance(error, RuntimeError) and any(words in text for words in NO_MEMORY)):
        return ""
    asked = re.search(r"tried to allocate (\d+) bytes", text)
    size = f" ({int(asked[1]) / 2**30:.1f} GiB at once)" if asked else ""
    where = "device" if "CUDA" in text else "machine"
    return (
        f"The run needs more memory than the {where} has{size}: choose a smaller model.hidden_channels, model.num_layers or "
        "trainer.batch_parts, or more partitioner.num_parts."
    )


def _first_line(error: BaseException) -> str:
    line = (str(error).splitlines() or [""])[0].partition(" Exception raised from")[0]
    return re.sub(r"^\[enforce fail at [^\]]*\][ .]*", "", line)[:500]
