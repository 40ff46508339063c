"""One start of `gas-train` with the time of each stage; it needs no other file, so that it can run on another state of the code.

    PYTHONPATH=CHECKOUT python -P benchmarks/lib/one_start.py TASK

TASK is what `start` takes, as JSON; its last line of output is what `start` returns.
"""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any

STAGES = ("imports", "prepare", "fill", "first step")


def start(words: list[str], home: str, at: float) -> dict[str, Any]:
    """Seconds of each stage of `gas-train` with these words, and the processor's; the process was started `at`, caches are below `home`."""
    os.environ["XDG_CACHE_HOME"] = home
    os.environ["HOME"] = home
    from gas_cli.cli.environment import prepare_process
    from gas_cli.cli.train import command_line

    prepare_process()
    import gas_cli.run

    Trainer: Any = gas_cli.run.Trainer  # type: ignore[attr-defined]  # wherever this state of the code has it
    times: dict[str, float] = {}
    prepare, step = gas_cli.run.prepare, Trainer._train_step

    def timed_prepare(*args: Any, **named: Any) -> Any:
        times["called"] = time.time()
        problem = prepare(*args, **named)
        times["prepared"] = time.time()
        return problem

    def timed_step(self: Any, *args: Any) -> None:
        times.setdefault("filled", time.time())
        step(self, *args)
        times.setdefault("stepped", time.time())
        times.setdefault("processor", time.process_time())

    gas_cli.run.prepare, Trainer._train_step = timed_prepare, timed_step  # type: ignore[assignment]
    code = command_line(words)
    if code:
        raise SystemExit(code)
    moments = [at, times["called"], times["prepared"], times["filled"], times["stepped"]]
    found = {stage: later - earlier for stage, earlier, later in zip(STAGES, moments, moments[1:], strict=False)}
    return {**found, "processor": times["processor"]}


if __name__ == "__main__":
    print(json.dumps(start(**json.loads(sys.argv[1]))))
