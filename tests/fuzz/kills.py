"""`kill -9` at random moments of a training, and of its continuations: the end equals that of an undisturbed run, bit for bit."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from tests.end_to_end.processes import slow_steps
from tests.end_to_end.runs import SMALL, differences, essence
from tests.fuzz.command import command, start, wait
from tests.fuzz.damage import Rng
from tests.fuzz.folders import SETTINGS, completed
from tests.fuzz.verdict import SAME, SHORT, Verdict, verdict

TRAINING = (*SMALL, *SETTINGS, "trainer.epochs=10", "trainer.checkpoint_every=2")


class Kills:
    def __init__(self, place: Path) -> None:
        place.mkdir(parents=True)
        started = time.monotonic()
        completed(place, "gas-train", *TRAINING, "hydra.run.dir=here")
        self.seconds = time.monotonic() - started
        self.undisturbed = essence(place / "here")

    def case(self, rng: Rng, folder: Path) -> tuple[str, Verdict]:
        here, moments = folder / "here", rng.uniform(0.1, 1.3, int(rng.integers(1, 4))) * self.seconds
        what = "killed after " + ", ".join(f"{moment:.2f} s" for moment in moments)
        for moment in moments:
            child = start(folder, "gas-train", *self._arguments(here), first=slow_steps)
            time.sleep(moment)
            os.kill(child, signal.SIGKILL)
            code = wait(child)
            if code not in (0, -signal.SIGKILL):
                return what, Verdict(SHORT, f"exit {code} before the kill: {(folder / 'err.txt').read_text()[-300:]}")
        result = verdict(command(folder, "gas-train", *self._arguments(here)))
        if result.outcome != SAME:
            return what, Verdict(SHORT, result.why)
        different = differences(essence(here), self.undisturbed)
        return what, Verdict(SHORT, f"other results: {' | '.join(different)[:500]}") if different else result

    def _arguments(self, here: Path) -> tuple[str, ...]:
        """What a user types: the same again where nothing was written yet, else resume."""
        return ("resume=here",) if (here / "config.yaml").exists() else (*TRAINING, "hydra.run.dir=here")
