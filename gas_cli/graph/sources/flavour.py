"""Header or data, index or data: decided for the text tables of a folder together.

`0,1` begins a sorted list of edges and is pandas' header of two columns without names; `0,…` to `n-1,…` is a feature, a chain of edges and
pandas' index. One table seldom tells; together they do, for all tables agree on the number of nodes, ids lie below it, and parts of a split
share no node. What remains open follows the tables that are certain, or `dataset.header` and `dataset.index`; else it is refused.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from gas_cli.errors import UserError
from gas_cli.graph.sources.text_table import Reading, TextTable

log = logging.getLogger(__name__)

Role = Literal["edges", "edge", "features", "labels", "mask", "ids"]
"""`edge` is a table with a row per edge, `ids` a list of node ids."""
Trait = Literal["header", "index"]
TRAITS: tuple[Trait, ...] = ("header", "index")

MANY_EDGES = 10
"""From so many edges on, that all reverses but one are listed is no accident."""
SEVERAL_COLUMNS = 3
"""A first row 0,1,2… of so many columns above fractions is no accident."""


@dataclass(frozen=True)
class Member:
    """A text table of the folder, and what it is for."""

    text: TextTable
    role: Role

    @property
    def readings(self) -> list[Reading]:
        columns = {"edges": 2, "edge": 1, "features": 1, "labels": 1, "mask": 1, "ids": 1}[self.role]
        return self.text.readings(self.role in ("features", "labels", "mask"), columns)


@dataclass(frozen=True)
class Known:
    """What files that are no text tell: rows of tables by node, and the number of edges."""

    nodes: list[int]
    edges: int | None


Members = Mapping[str, Member]
Options = dict[str, list[Reading]]


def settle(members: Members, known: Callable[[], Known], answers: Mapping[Trait, str]) -> dict[str, Reading]:
    """The reading of each table, by its name. `known` tells what the folder's other files say; `answers` are `auto`, `true` or `false`.

    Raises `UserError` naming the file, its first line and the setting that answers, where nothing decides.
    """
    options = {name: member.readings for name, member in members.items()}
    weighed: dict[str, set[Trait]] = {name: set() for name in members}
    if any(len(readings) > 1 for readings in options.values()):
        worlds = _possible(members, options, known())
        for trait in TRAITS:
            worlds = _decide(members, worlds, trait, answers[trait], weighed)
        options = worlds[0]
    chosen = {name: readings[0] for name, readings in options.items()}
    _say(members, chosen, weighed)
    return chosen


def _possible(members: Members, options: Options, known: Known) -> list[Options]:
    """For each number of nodes the readings that go with it; of those numbers that fit the most tables. A table that fits none is read as
    it stands: its reader will say what is wrong."""
    rows = {len(members[name].text.take(r)) for name, readings in options.items() if members[name].role in _BY_NODE for r in readings}
    scored = []
    for num_nodes in sorted(set(known.nodes) or rows):
        fitting = {name: [r for r in readings if _fits(members[name], r, num_nodes)] for name, readings in options.items()}
        _keep_compatible(fitting, [name for name in fitting if members[name].role == "ids"], _disjoint(members))
        by_edge = [name for name in fitting if members[name].role in ("edges", "edge")]
        _keep_compatible(fitting, by_edge, _as_many(members, known.edges))
        misfits = sum(not readings for readings in fitting.values())
        scored.append((misfits, {name: readings or options[name][:1] for name, readings in fitting.items()}))
    least = min((misfits for misfits, _ in scored), default=0)
    return [world for misfits, world in scored if misfits == least] or [options]


_BY_NODE = ("features", "labels", "mask")


def _fits(member: Member, reading: Reading, num_nodes: int) -> bool:
    """Whether its reader will accept the table for so many nodes."""
    values = member.text.take(reading)
    if member.role == "edge":
        return True
    if member.role in ("edges", "ids"):
        ids = values[:, :2] if member.role == "edges" else values
        if values.shape[1] not in ((2, 3) if member.role == "edges" else (1,)) or not _are_ids(ids, num_nodes):
            return False
        return member.role == "edges" or len(np.unique(ids)) == len(ids)
    if len(values) != num_nodes:
        return False
    binary = bool(((values == 0) | (values == 1)).all())
    return member.role == "features" or binary or (member.role == "labels" and values.shape[1] == 1)


def _are_ids(values: NDArray[Any], num_nodes: int) -> bool:
    return values.size == 0 or bool(
        np.isfinite(values).all() and values.min() >= 0 and values.max() < num_nodes and (values % 1 == 0).all()
    )


def _keep_compatible(options: Options, names: list[str], compatible: Any) -> None:
    """Of the tables `names`, the readings that go together with some reading of the others; all of them where none do."""
    if not names or any(not options[name] for name in names):
        return
    together = [
        choice for choice in itertools.product(*(options[name] for name in names)) if compatible(dict(zip(names, choice, strict=True)))
    ]
    for position, name in enumerate(names):
        if together:
            options[name] = [reading for reading in options[name] if any(choice[position] == reading for choice in together)]


def _disjoint(members: Members) -> Any:
    def compatible(choice: dict[str, Reading]) -> bool:
        ids = [members[name].text.take(reading).ravel() for name, reading in choice.items()]
        return len(np.unique(np.concatenate(ids))) == sum(map(len, ids))

    return compatible


def _as_many(members: Members, known: int | None) -> Any:
    def compatible(choice: dict[str, Reading]) -> bool:
        rows = {len(members[name].text.take(reading)) for name, reading in choice.items()}
        return len(rows | ({known} if known is not None else set())) == 1

    return compatible


def _decide(members: Members, worlds: list[Options], trait: Trait, answer: str, weighed: dict[str, set[Trait]]) -> list[Options]:
    """The worlds in which every table has one value of `trait`; tables for which evidence was weighed are noted in `weighed`."""
    weigh = _header_evidence if trait == "header" else _index_evidence
    while True:
        values = {name: {getattr(reading, trait) for world in worlds for reading in world[name]} for name in members}
        certain = {name: next(iter(found)) for name, found in values.items() if len(found) == 1}
        undecided = [name for name in members if name not in certain]
        if not undecided:
            return worlds
        verdicts = {name: {answer == "true"} if answer != "auto" else weigh(members, certain, name) for name in undecided}
        name = next((name for name in undecided if len(verdicts[name]) == 1), None)
        if name is None:
            raise _open(members[undecided[0]].text, trait)
        value = verdicts[name].pop()
        worlds = [{**world, name: kept} for world in worlds if (kept := [r for r in world[name] if getattr(r, trait) == value])]
        if not _siblings(members, certain, name):  # lists of ids often begin with 0: where another list has no header, that is all
            weighed[name].add(trait)


def _siblings(members: Members, certain: Mapping[str, bool], name: str) -> set[bool]:
    """What holds for the certain tables of the same role."""
    return {value for other, value in certain.items() if members[other].role == members[name].role}


def _header_evidence(members: Members, certain: Mapping[str, bool], name: str) -> set[bool]:
    """Whether the first line of a table is a header: {True}, {False}, {} (nothing tells) or both (the folder disagrees)."""
    text, role = members[name].text, members[name].role
    own = set()
    if role == "edges":
        own = _symmetry(text.values[:, :2])
    elif role == "features" and text.values.shape[1] >= SEVERAL_COLUMNS and bool((text.values[1:] % 1 != 0).any()):
        own = {True}
    if siblings := _siblings(members, certain, name):
        return own | siblings
    if any(member.text.names is not None for member in members.values()):  # this one would have names as well
        return own | {True, False}
    return own | set(certain.values())


def _symmetry(edges: NDArray[Any]) -> set[bool]:
    """The first row is a header if all others have their reverses without it; it is none if they have them with it."""
    if len(edges) <= MANY_EDGES or not _are_ids(edges, 1 << 31):
        return set()
    ends = edges.astype(np.int64)
    size = int(ends.max()) + 1
    forth, back = (np.unique(one * size + other) for one, other in ((ends[1:, 0], ends[1:, 1]), (ends[1:, 1], ends[1:, 0])))
    alone = np.setdiff1d(forth, back, assume_unique=True)
    if alone.size == 0:
        return {True}
    return {False} if alone.tolist() == [ends[0, 1] * size + ends[0, 0]] else set()


def _index_evidence(members: Members, certain: Mapping[str, bool], name: str) -> set[bool]:
    """Whether the first column of a table is an index: an index in all others says so; a chain 0→1→2… of edges is no accident."""
    evidence = {True} if certain and all(certain.values()) else set()
    values = members[name].text.values
    if members[name].role == "edges" and np.array_equal(values[:-1, 1], values[1:, 0]):
        evidence.add(False)
    return evidence


def _line(text: TextTable) -> str:
    line = ",".join(text.first)
    return repr(line if len(line) <= 40 else f"{line[:37]}...")


def _open(text: TextTable, trait: Trait) -> UserError:
    if trait == "header":
        found, true, false = f"its first line {_line(text)} may be a header or data", "it is a header", "it is data"
    else:
        found, true, false = "its first column may be an index or data", "it is an index", "it is data"
    return UserError(
        f"{text.path}, row 0 (line 1): {found}, and the other files do not show which. "
        f"Type dataset.{trait}=true if {true}, dataset.{trait}=false if {false}."
    )


def _say(members: Members, chosen: Mapping[str, Reading], weighed: Mapping[str, set[Trait]]) -> None:
    """One line for headers and one for indices; each names the setting, where tables might have been read otherwise."""
    for trait in TRAITS:
        taken = [name for name, reading in chosen.items() if getattr(reading, trait)]
        if taken:
            log.info(
                "%s.%s",
                _taken(members, taken, trait),
                _otherwise(members, [name for name in taken if trait in weighed[name]], trait, "false"),
            )
        left = [name for name in chosen if trait in weighed[name] and name not in taken]
        if left:
            what = "first line" if trait == "header" else "first column"
            log.info("Read as data: the %s of %s.%s", what, " and ".join(_files(members, left)), _otherwise(members, left, trait, "true"))


def _taken(members: Members, names: list[str], trait: Trait) -> str:
    if trait == "index":
        return f"Read as an index and ignored: the first column of {', '.join(_files(members, names))}"
    return f"Read as a header: {', '.join(f'{_line(members[name].text)} of {_file(members[name].text, name)}' for name in names)}"


def _otherwise(members: Members, names: list[str], trait: Trait, answer: str) -> str:
    meaning = "data" if answer == "false" else "a header" if trait == "header" else "an index"
    return f" If {' or '.join(_files(members, names))} has {meaning} instead, type dataset.{trait}={answer}." if names else ""


def _files(members: Members, names: list[str]) -> list[str]:
    return [_file(members[name].text, name) for name in names]


def _file(text: TextTable, name: str) -> str:
    return name + text.path.name.removeprefix(name.rpartition("/")[2])
