"""Settings on the command line that are mistyped, out of range, or of another type."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from gas_cli.config.compose import compose_config
from tests.end_to_end.runs import SMALL
from tests.fuzz.command import command
from tests.fuzz.damage import TOKENS, Rng, pick
from tests.fuzz.verdict import REFUSED, SAME, STOPPED, Verdict, verdict

PATIENCE = 4.0
"""Seconds of a training before it is asked to stop: some of these settings ask for a long one."""
LEFT_ALONE = ("dataset.root", "dataset.download", "partitioner.cache", "resume", "model.name", "dataset.name")
"""Where files are written or fetched; groups are chosen by `GROUPS`."""
GROUPS = {
    "model": ("gcn", "gat", "gatv2", "sage", "gin", "conv", "transformer", "custom", "pna", "pna_jk", "gcnii", "appnp", "gnc", "GCN"),
    "partitioner": ("metis", "random", "range", "file", "metiss", "none", "[random,range]"),
    "method": ("gas", "full_batch", "cluster_gcn", "sampling", "graphfm", "lmc", "vr_gcn", "vrgcn"),
    "logger": ("null", "none", "tensorboard", "wandb"),
    "experiment": ("quick", "demo", "faithful", "slow"),
    "dataset": ("cora", "folder", "generated", "ogbn-arxiv", "corra", "../generated"),
}
NUMBERS = ("0", "1", "2", "-1", "-0.0", "0.5", "1.0", "1e-3", "1e3", "3", "7", "65", "1000", "4294967296", "1" + "0" * 20, "1e30", "-1e30")
WORDS = ("true", "false", "yes", "auto", "never", "epoch", "float16", "bfloat16", "host", "device", "cuda", "cpu", "exact", "history")
STRUCTURES = ("[]", "{}", "[1,2]", "{a:1}", "[[[[1]]]]", "{a:{b:{c:1}}}", "[" * 200, "1,2", "range(1,3)", "choice(1,2)", "???", "${seed}")
TYPOS = ("+", "++", "~", "-", "--", " ", "x", ".", "é")
BARE = ("", "=", "==", "a", "seed", "seed=", "=1", "model.", ".seed=1", "seed==1", "--cfg", "--cfg=job", "--info", "-x", "~seed", "~model")


def settings() -> list[str]:
    """The dotted name of every setting of a run."""

    def below(node: Any, prefix: str) -> list[str]:
        names: list[str] = []
        for field in dataclasses.fields(node):
            value, name = getattr(node, field.name), f"{prefix}{field.name}"
            names += below(value, f"{name}.") if dataclasses.is_dataclass(value) else [name]
        return names

    return [name for name in below(compose_config(list(SMALL)), "") if name not in LEFT_ALONE]


class Overrides:
    def __init__(self, place: Path) -> None:
        self.names = settings()

    def override(self, rng: Rng) -> str:
        draw = rng.random()
        if draw < 0.08:
            return pick(rng, BARE)
        if draw < 0.2:
            group = pick(rng, list(GROUPS))
            return f"{group}={pick(rng, GROUPS[group])}"
        name, value = pick(rng, self.names), self.value(rng)
        if draw < 0.3:
            name = self.mistyped(rng, name)
        return f"{name}={value}"

    def value(self, rng: Rng) -> str:
        choices = (NUMBERS, NUMBERS, NUMBERS, WORDS, TOKENS, STRUCTURES)
        return pick(rng, choices[int(rng.integers(len(choices)))])

    def mistyped(self, rng: Rng, name: str) -> str:
        place = int(rng.integers(len(name)))
        typo = pick(rng, TYPOS)
        return typo + name if rng.random() < 0.4 else name[:place] + (typo if rng.random() < 0.5 else "") + name[place + 1 :]

    def case(self, rng: Rng, folder: Path) -> tuple[str, Verdict]:
        """Refused, or trained; what was trained can be predicted with."""
        chosen = [self.override(rng).replace("\x00", "\x01") for _ in range(int(rng.choice([1, 1, 1, 2, 3])))]  # no argument has a NUL
        what = " ".join(repr(argument[:80]) for argument in chosen)
        base = ("dataset.download=false", "dataset.root=data", "trainer.epochs=2", "hydra.run.dir=here")
        result = verdict(command(folder, "gas-train", *SMALL, *base, *chosen, patience=PATIENCE))
        if result.outcome != SAME or not (folder / "here" / "summary.json").exists():
            return what, result
        again = verdict(command(folder, "gas-predict", "run=here", "mode=exact"))
        return what, result if again.outcome in (SAME, REFUSED, STOPPED) else again
