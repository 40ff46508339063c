"""Cases on several processes, which are forked from one that is warm."""

from __future__ import annotations

import json
import os
import select
import signal
from collections.abc import Iterator

from tests.fuzz.cases import Bench, Result, kind_of
from tests.fuzz.verdict import SHORT

LONGEST = 3500
"""Bytes of a line: shorter ones than PIPE_BUF arrive whole, whoever else writes."""


def results(bench: Bench, numbers: range, jobs: int) -> Iterator[Result | None]:
    """The results of the cases `numbers` as they come, and None once a second without one."""
    readable, writable = os.pipe()
    children = [_forked(bench, numbers[worker::jobs], writable) for worker in range(jobs)]
    os.close(writable)
    try:
        yield from _lines(readable)
    finally:
        for child in children:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
        os.close(readable)


def _forked(bench: Bench, numbers: range, pipe: int) -> int:
    child = os.fork()
    if child == 0:
        code = 1
        try:
            own = bench.copy(str(os.getpid()))
            for number in numbers:
                os.write(pipe, _line(_result(own, number)))
            code = 0
        finally:
            os._exit(code)
    return child


def _result(bench: Bench, number: int) -> Result:
    """A mistake in the harness is a short case too: the others go on."""
    kind = kind_of(number)
    try:
        return bench.run(kind, number)
    except RuntimeError as error:
        return {"kind": kind, "seed": number, "what": "the harness", "outcome": SHORT, "why": f"{error}: {error.__cause__!r}"}


def _line(result: Result) -> bytes:
    short: Result = {**result, "what": result["what"][:500], "why": result["why"][:500]}
    line = json.dumps(short).encode() + b"\n"
    if len(line) > LONGEST:
        line = json.dumps({**short, "what": ascii(result["what"])[:500], "why": ascii(result["why"])[:500]}).encode() + b"\n"
    return line


def _lines(pipe: int) -> Iterator[Result | None]:
    waiting = b""
    while True:
        if not select.select([pipe], [], [], 1.0)[0]:
            yield None
            continue
        read = os.read(pipe, 1 << 16)
        if not read:
            return
        *lines, waiting = (waiting + read).split(b"\n")
        yield from (json.loads(line) for line in lines)
