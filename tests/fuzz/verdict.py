"""What the ending of a command is worth."""

from __future__ import annotations

import signal
from dataclasses import dataclass

from gas_cli.errors import EXIT_INTERRUPTED, EXIT_USAGE
from tests.fuzz.command import Ending

SAME = "same"
REFUSED = "refused"
OTHER_DATA = "other data"
STOPPED = "stopped"
SHORT = "short"
OUTCOMES = {
    SAME: "exit 0, with the result of the intact input",
    REFUSED: "exit 2 and one message",
    OTHER_DATA: "exit 0 with another graph, which its format cannot notice",
    STOPPED: "a valid training that takes long; it saved and stopped when asked to",
    SHORT: "anything else",
}


@dataclass(frozen=True)
class Verdict:
    """One of `OUTCOMES`, and why."""

    outcome: str
    why: str = ""


def verdict(ending: Ending) -> Verdict:
    """Exit 0 with nothing on stderr (`SAME`), exit 2 with exactly one message, a training stopped with exit 130; or short."""
    wrong = _wrong(ending)
    if wrong:
        return short(ending, wrong)
    if ending.code == 0:
        return Verdict(SAME)
    return Verdict(STOPPED if ending.stopped and ending.code == EXIT_INTERRUPTED else REFUSED, ending.err.strip())


def _wrong(ending: Ending) -> str:
    """What must not be, or nothing."""
    lines = ending.err.splitlines()
    one = len(lines) == 1 and lines[0].startswith(f"{ending.program}: ")
    allowed = (0, EXIT_USAGE, EXIT_INTERRUPTED) if ending.stopped else (0, EXIT_USAGE)
    if ending.code < 0:
        return "hangs" if ending.stopped and ending.code == -signal.SIGKILL else signal.Signals(-ending.code).name
    if "Traceback" in ending.out + ending.err:
        return f"a traceback, exit {ending.code}"
    if ending.code not in allowed:
        return f"exit {ending.code}"
    if ending.code == 0:
        return "words on stderr, exit 0" if ending.err else ""
    return "" if one else f"exit {ending.code} with {len(lines)} lines on stderr"


def short(ending: Ending, what: str) -> Verdict:
    last = [line for line in (ending.err or ending.out).splitlines() if line.strip()]
    return Verdict(SHORT, f"{ending.program}: {what}: " + " | ".join(line.strip() for line in last[-4:])[-700:])
