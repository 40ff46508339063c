"""Folders of runs in which a file is damaged or a checkpoint crafted: gas-predict and resume=."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import torch

from gas_cli.training.checkpoint import load_checkpoint
from tests.end_to_end.runs import SMALL, contents, differences
from tests.fuzz.arrays import other_leaf
from tests.fuzz.command import command
from tests.fuzz.damage import Rng, damage_bytes, damage_text, damage_whole, pick
from tests.fuzz.verdict import REFUSED, SAME, SHORT, Verdict, verdict

SETTINGS = ("optimizer.schedule=cosine", "trainer.edge_dropout=0.1", "history.refresh=3")
EPOCHS = 3
MORE = f"trainer.epochs={EPOCHS + 2}"
PREDICTIONS = tuple((checkpoint, mode) for checkpoint in ("best", "last") for mode in ("exact", "history"))
BEGINS_AGAIN = "No last.pt in here/checkpoints: starting the run again."
FILES = ("config.yaml", "metrics.jsonl", "summary.json", "checkpoints/last.pt", "checkpoints/best.pt", "run.lock")


def completed(folder: Path, program: str, *argv: str) -> None:
    ending = command(folder, program, *argv)
    assert ending.code == 0, ending


class Folders:
    """`mine` and another run that differs by its seed; what `mine` gives when it is continued, and predicts, undisturbed."""

    def __init__(self, place: Path) -> None:
        self.place = place
        place.mkdir(parents=True)
        for name, overrides in {"here": (), "other": ("seed=1",), "wider": ("model.hidden_channels=9",)}.items():
            completed(place, "gas-train", *SMALL, *SETTINGS, f"trainer.epochs={EPOCHS}", f"hydra.run.dir={name}", *overrides)
        self.predicted = {}
        for checkpoint, mode in PREDICTIONS:
            completed(place, "gas-predict", "run=here", f"checkpoint={checkpoint}", f"mode={mode}")
            self.predicted[checkpoint, mode] = np.load(place / "predictions.npz")["probabilities"]
        shutil.copytree(place / "here", place / "longer" / "here")
        completed(place / "longer", "gas-train", "resume=here", MORE)
        completed(place / "longer", "gas-train", *SMALL, *SETTINGS, MORE, "hydra.run.dir=anew")
        self.continued, self.anew = (
            load_checkpoint(place / "longer" / name / "checkpoints" / "last.pt")["model"] for name in ("here", "anew")
        )

    def case(self, rng: Rng, folder: Path) -> tuple[str, Verdict]:
        here = folder / "here"
        shutil.copytree(self.place / "here", here)
        what = self.damage(rng, here)
        before = contents(here)
        for judged in (self.predict(rng, folder), self.resume(folder, before)):
            if judged.outcome == SHORT:
                return what, judged
        return what, judged

    def damage(self, rng: Rng, here: Path) -> str:
        """A file that is damaged, or comes from another run; sometimes two."""
        what = [self.damage_file(rng, here, here / pick(rng, FILES))]
        if rng.random() < 0.15:
            what.append(self.damage_file(rng, here, here / pick(rng, FILES)))
        return "; ".join(what)

    def damage_file(self, rng: Rng, here: Path, path: Path) -> str:
        if not path.is_file():
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.is_dir() or path.is_symlink():
                return f"{path.name}: is there already in another form"
            path.write_bytes(rng.bytes(int(rng.integers(0, 30))))
            return f"{path.name}: random bytes"
        draw = rng.random()
        if draw < 0.2:
            other = self.place / pick(rng, ["other", "wider"]) / path.relative_to(here)
            shutil.copy(other, path) if other.exists() else path.unlink()
            return f"{path.name}: of another run ({other.parents[1].name if path.suffix == '.pt' else other.parent.name})"
        if draw < 0.35:
            return damage_whole(rng, path, sorted(found for found in here.rglob("*") if found.is_file()))
        if path.suffix != ".pt" and draw < 0.75:
            try:
                return damage_text(rng, path, pick(rng, [" ", ":", ",", "\n"]))
            except UnicodeDecodeError:  # damaged before
                pass
        return damage_bytes(rng, path)

    def predict(self, rng: Rng, folder: Path) -> Verdict:
        """Refused, or the probabilities of the undisturbed run."""
        checkpoint, mode = PREDICTIONS[int(rng.integers(len(PREDICTIONS)))]
        before = contents(folder / "here")
        result = verdict(command(folder, "gas-predict", "run=here", f"checkpoint={checkpoint}", f"mode={mode}"))
        if changes(before, contents(folder / "here")):
            return Verdict(SHORT, "gas-predict has changed the run's folder")
        if result.outcome == SAME:
            found = np.load(folder / "predictions.npz")["probabilities"]
            # best.pt may stand in the place of last.pt: a message recommends it
            allowed = [self.predicted[name, mode] for name in ("best", "last")[: 1 + (checkpoint == "last")]]
            if not any(np.array_equal(found, one) for one in allowed):
                return Verdict(SHORT, f"gas-predict checkpoint={checkpoint} mode={mode}: other probabilities, exit 0")
        return result

    def resume(self, folder: Path, before: dict[str, bytes]) -> Verdict:
        """Refused with nothing changed, or the weights of the undisturbed run."""
        here = folder / "here"
        ending = command(folder, "gas-train", "resume=here", MORE)
        result = verdict(ending)
        changed = changes(before, contents(here)) if result.outcome == REFUSED else ""
        if changed:
            return Verdict(SHORT, f"resume= is refused, and has changed {changed}: {result.why}")
        if result.outcome == SAME:
            weights = load_checkpoint(here / "checkpoints" / "last.pt")["model"]
            if different := differences(weights, self.anew if BEGINS_AGAIN in ending.out else self.continued):
                return Verdict(SHORT, f"resume= ends with other weights, exit 0: {len(different)} tensors")
        return result


class Checkpoints(Folders):
    """The file is intact and one of its leaves is not, as in a file that somebody has made."""

    def damage(self, rng: Rng, here: Path) -> str:
        files = ["last.pt"] if rng.random() < 0.5 else ["last.pt", "best.pt"]
        state = torch.load(here / "checkpoints" / "last.pt", weights_only=True)
        paths = list(leaves(state))
        path = paths[int(rng.integers(len(paths)))]
        name, change = self.change(rng, state, path)
        for file in files:
            crafted = torch.load(here / "checkpoints" / file, weights_only=True)
            try:
                change(crafted)
                torch.save(crafted, here / "checkpoints" / file)
            except (KeyError, IndexError, TypeError):  # best.pt has not this leaf
                continue
            except Exception as error:
                shutil.copy(self.place / "here" / "checkpoints" / file, here / "checkpoints" / file)
                name += f" (not writable: {type(error).__name__})"
        return f"{' and '.join(files)}: {'/'.join(map(str, path))}: {name}"

    def change(self, rng: Rng, state: Any, path: tuple[Any, ...]) -> tuple[str, Any]:
        draw = rng.random()
        if draw < 0.12:
            return "missing", lambda s: at(s, path[:-1]).__delitem__(path[-1])
        if draw < 0.2:
            return "one more beside it", lambda s: at(s, path[:-1]).update({"more": at(s, path)})
        if draw < 0.35 and len(path) > 1:
            above = path[: int(rng.integers(1, len(path)))]
            value = [None, [], {}, 0, "", torch.zeros(1)][int(rng.integers(6))]
            return f"{'/'.join(map(str, above))} is {value!r}", lambda s: at(s, above[:-1]).__setitem__(above[-1], value)
        name, value = other_leaf(rng, at(state, path))
        return name, lambda s: at(s, path[:-1]).__setitem__(path[-1], value)


def changes(before: dict[str, bytes], now: dict[str, bytes]) -> str:
    """The files that have changed, but for the lock, which every command takes and gives back."""
    return ", ".join(sorted(name for name in now.keys() | before.keys() if now.get(name) != before.get(name) and name != "run.lock"))


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Any:
    """The path of every leaf of nested mappings and lists."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else None
    if items is None:
        yield path
        return
    for key, inner in items:
        yield from leaves(inner, (*path, key))


def at(state: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        state = state[key]
    return state
