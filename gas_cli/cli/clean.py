"""`gas-data clean`: list what is kept of prepared graphs, or remove some of it."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gas_cli.config.partitioner import PartitionerConfig
from gas_cli.config.sizes import shown_size
from gas_cli.errors import UserError

if TYPE_CHECKING:
    from gas_cli.prepared.inventory import Item

SECONDS = {"h": 3600, "d": 86400, "w": 7 * 86400}
CACHE, OLDER = "partitioner.cache=", "older="


@dataclass(frozen=True)
class Wanted:
    """What the arguments ask for; nothing of `everything`, `older` and `names`: the list.

    older  seconds since the last use, or None
    """

    cache: str
    everything: bool
    older: float | None
    names: tuple[str, ...]


def clean(arguments: Sequence[str]) -> None:
    """Do what the arguments say. Raises `UserError` before anything is removed where they are wrong."""
    wanted = parse(arguments)
    from gas_cli.prepared.cache import cache_folder
    from gas_cli.prepared.inventory import inventory

    folder = cache_folder(wanted.cache).absolute()
    try:
        items = inventory(folder)
    except OSError as error:
        raise UserError(f"{folder} cannot be read: {error.strerror}. Name another folder with {CACHE}DIR.") from error
    chosen = _chosen(wanted, items, folder)
    if chosen is None:
        _list(items, folder)
    else:
        _remove(chosen, folder)


def parse(arguments: Sequence[str]) -> Wanted:
    """The arguments after `clean`."""
    cache, older, names = PartitionerConfig().cache, None, []
    for argument in arguments:
        if argument.startswith(CACHE):
            cache = argument.removeprefix(CACHE).strip("'\"")
        elif argument.startswith(OLDER):
            older = _seconds(argument)
        elif argument and (argument == "--all" or (argument[0] != "-" and "=" not in argument)):
            names.append(argument)
        else:
            _refuse(argument)
    everything = "--all" in names
    named = tuple(name for name in names if name != "--all")
    if everything + (older is not None) + bool(named) > 1:
        _refuse(" ".join(arguments))
    if cache is None or cache in ("", "null"):
        raise UserError(f"{CACHE}{cache or ''} is not a folder: nothing to list or remove.")
    return Wanted(cache, everything, older, named)


def _seconds(argument: str) -> float:
    found = re.fullmatch(r"older=(\d{1,6})([hdw])", argument)
    if found is None:
        raise UserError(f"{argument} is not valid: expected a number with h, d or w (hours, days, weeks), such as older=30d.")
    return float(found[1]) * SECONDS[found[2]]


def _refuse(given: str) -> None:
    raise UserError(
        f"clean {given!r} is not valid: expected nothing (a list), or one of --all, older=30d and names from the list; and {CACHE}DIR "
        "for a folder other than the default."
    )


def _chosen(wanted: Wanted, items: list[Item], folder: Path) -> list[Item] | None:
    """What is to be removed; None: the list is asked for."""
    from gas_cli.prepared.inventory import with_dependents

    if wanted.everything:
        return items
    if wanted.older is not None:
        limit = time.time() - wanted.older
        return [item for item in items if item.used < limit]
    if wanted.names:
        return with_dependents([item for name in wanted.names for item in _named(name, items, folder)], items)
    return None


def _named(name: str, items: list[Item], folder: Path) -> list[Item]:
    """The entries of the dataset, or the one entry, whose name begins like that."""
    datasets = {item.dataset for item in items if item.dataset}
    found = {name} if name in datasets else {dataset for dataset in datasets if dataset.startswith(name)}
    of_datasets = [item for item in items if item.dataset in found]
    others = [item for item in items if item.dataset not in found and any(known.startswith(name) for known in _names(item))]
    if name in datasets or (len(found) == 1 and not others):
        return of_datasets
    if not found and len(others) == 1:
        return others
    if not found and not others:
        raise UserError(f"{name!r} is neither a dataset nor an entry in {folder}. Type gas-data clean for the list.")
    several = sorted(found) + [item.name for item in others]
    shown = ", ".join(several[:5]) + (", …" if len(several) > 5 else "")
    raise UserError(f"{name!r} matches {len(several)} names ({shown}): type more of the name.")


def _names(item: Item) -> tuple[str, str]:
    return item.path.name, f"{item.layer}/{item.path.name}"


def _list(items: list[Item], folder: Path) -> None:
    if not items:
        print(f"{folder}: no entries.")
        return
    rows = [("entry", "dataset", "size", "last use", "what it is")]
    rows += [(item.name, item.dataset or "?", shown_size(item.nbytes), _day(item.used), _what(item)) for item in items]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    for row in rows:
        print("  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[4]]))
    print(f"{_count(len(items))}, {shown_size(sum(item.nbytes for item in items))} in {folder}")


def _day(moment: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(moment))


def _what(item: Item) -> str:
    from gas_cli.prepared.inventory import HALF, source_state

    if item.state:
        return "being written by a process" if item.state == HALF and item.busy else item.state
    options = ", ".join(f"{key}={_value(value)}" for key, value in item.about["options"].items())
    return "; ".join(part for part in (options, source_state(item)) if part)


def _value(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _remove(items: list[Item], folder: Path) -> None:
    removed = _all_removed(items, folder, lambda item: print(f"removed {item.name}, {shown_size(item.nbytes)}"))
    print(f"{_count(len(removed))} removed, {shown_size(sum(item.nbytes for item in removed))} freed in {folder}")


def _all_removed(items: list[Item], folder: Path, on_removed: Callable[[Item], None]) -> list[Item]:
    removed = []
    for item in reversed(items):  # what is made of an entry goes before it
        try:
            gone = item.remove()
        except FileNotFoundError:  # another process was faster
            continue
        except OSError as error:
            raise UserError(f"{item.path} cannot be removed: {error.strerror}. Ask the owner of {folder}.") from error
        if gone:
            removed.append(item)
            on_removed(item)
        else:
            print(f"not removed: {item.name}, a process is writing it")
    return removed


def _count(number: int) -> str:
    return f"{number} {'entry' if number == 1 else 'entries'}"
