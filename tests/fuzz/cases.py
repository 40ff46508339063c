"""Cases by kind and seed: each can be run again by itself."""

from __future__ import annotations

import copy
import shutil
import tempfile
from pathlib import Path
from typing import Any, Protocol, TypedDict

import numpy as np

from tests.fuzz.command import warm
from tests.fuzz.damage import Rng
from tests.fuzz.folders import Checkpoints, Folders
from tests.fuzz.inputs import Inputs
from tests.fuzz.kills import Kills
from tests.fuzz.overrides import Overrides
from tests.fuzz.verdict import Verdict


class Kind(Protocol):
    def case(self, rng: Rng, folder: Path) -> tuple[str, Verdict]:
        """Make what `rng` draws in an empty folder and run the commands: what it was, and the verdict."""
        ...


class Result(TypedDict):
    """Of one case; `what` is its description, `why` the message or what is short."""

    kind: str
    seed: int
    what: str
    outcome: str
    why: str


KINDS: dict[str, Any] = {"inputs": Inputs, "overrides": Overrides, "folders": Folders, "checkpoints": Checkpoints, "kills": Kills}
SHARES = {"inputs": 25, "overrides": 10, "folders": 7, "checkpoints": 6, "kills": 2}
"""Of 50 cases in a row."""


def kind_of(number: int) -> str:
    """The kind of case `number`: shares of 50, mixed evenly."""
    place = (number * 7) % 50  # 7 and 50 have no common divisor
    for kind, share in SHARES.items():
        if place < share:
            return kind
        place -= share
    raise AssertionError("shares are of 50")


class Bench:
    """A warm process with what each kind needs, made when it is first asked for."""

    def __init__(self, place: Path) -> None:
        self.place = place
        place.mkdir(parents=True, exist_ok=True)
        warm(place / "warm")
        self._kinds: dict[str, Kind] = {}

    def copy(self, name: str) -> Bench:
        """The same in a forked process, with a separate place."""
        bench = copy.copy(self)
        bench.place, bench._kinds = self.place / name, {}
        bench.place.mkdir()
        return bench

    def run(self, kind: str, seed: int) -> Result:
        if kind not in self._kinds:
            self._kinds[kind] = KINDS[kind](self.place / "materials" / kind)
        folder = Path(tempfile.mkdtemp(dir=self.place))
        try:
            what, verdict = self._kinds[kind].case(np.random.default_rng([seed, len(kind)]), folder)
        except Exception as error:
            raise RuntimeError(f"the harness fails: --kind {kind} --seed {seed}") from error
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        why = verdict.why.replace(str(folder), "").replace(str(self.place), "")
        return {"kind": kind, "seed": seed, "what": what.replace(str(folder), ""), "outcome": verdict.outcome, "why": why}
