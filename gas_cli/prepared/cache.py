"""The folder of prepared graphs: entries in layers, each made once and then mapped by whoever needs it.

    <cache>/<layer>/<key>/        an entry, see entry.py
    <cache>/<layer>/.<key>.*      one that is being written, or was when its process was killed: never taken for an entry
    <cache>/<layer>/<key>.lock    held by the process that makes the entry

Removing an entry while a process has it mapped is safe on Linux and macOS: the files stay until the last mapping ends.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from gas_cli.lock import exclusive_file
from gas_cli.prepared.entry import MANIFEST, Arrays, Entry, Facts, read_entry, write_entry
from gas_cli.prepared.inventory import beyond, inventory

log = logging.getLogger(__name__)

T = TypeVar("T")

STANDARD = "~/.cache/"


def cache_folder(name: str) -> Path:
    """`partitioner.cache` as a path; the user's cache folder is where XDG_CACHE_HOME says."""
    home = os.environ.get("XDG_CACHE_HOME")
    return Path(home, name.removeprefix(STANDARD)) if home and name.startswith(STANDARD) else Path(name).expanduser()


class Cache:
    """Entries below a folder; without a name, a cache of nothing. What goes wrong costs one warning: all can be made again.

    Reading takes no lock and writes nothing that matters, so a cache on a read-only disk serves as well. After writing, what was not
    used for longest is removed until the rest fits `limit` bytes; never what was read or made through this object.
    """

    def __init__(self, name: str | None, limit: int | None = None) -> None:
        self.enabled, self.limit = bool(name), limit
        self.folder = cache_folder(name).absolute() if name else Path()
        self._reported: set[Path] = set()
        self._used: set[Path] = set()

    def find(self, layer: str, key: str, read: Callable[[Entry], T]) -> T | None:
        """What `read` makes of the entry, or None. A damaged one is reported, once, and counts as missing."""
        if not self.enabled:
            return None
        folder = self._place(layer, key)
        try:
            entry = read_entry(folder)
            if entry is None:
                return None
            found = read(entry)
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError) as error:
            if folder not in self._reported:
                self._reported.add(folder)
                reason = f"cannot be read ({error.strerror})" if isinstance(error, OSError) else f"is damaged ({error})"
                log.warning("The prepared %s in %s %s: preparing it again.", layer, folder, reason)
            return None
        self._note_use(folder)
        return found

    def _note_use(self, folder: Path) -> None:
        """Set the time of its last use, and that of what was used before it: no entry shall look older than what is made of it."""
        self._used.add(folder)
        now = time.time_ns()
        for used in self._used:
            with contextlib.suppress(OSError):
                os.utime(used / MANIFEST, ns=(now, now))

    def holds(self, layer: str, key: str) -> bool:
        """Whether there is an entry, be it a damaged one."""
        return self.enabled and (self._place(layer, key) / MANIFEST).exists()

    def get(
        self, layer: str, key: str, read: Callable[[Entry], T], make: Callable[[], T], parts: Callable[[T], tuple[Arrays, Facts] | None]
    ) -> T:
        """The entry as `read` reads it; or what `make` makes, kept as the arrays and facts that `parts` says (None: not worth keeping).

        One process at a time makes an entry; the others wait, then read it.
        """
        found = self.find(layer, key, read)
        if found is not None:
            return found
        with self.making(layer, key) as scratch:
            found = self.find(layer, key, read)
            if found is None:
                found = make()
                self.keep(layer, key, parts, found, scratch)
        return found

    @contextlib.contextmanager
    def making(self, layer: str, key: str) -> Iterator[Path | None]:
        """Hold the entry's lock; gives an empty folder beside it, where `keep` takes files from, or None where nothing can be written."""
        with contextlib.ExitStack() as stack:
            scratch = self._scratch(layer, key, stack) if self.enabled else None
            yield scratch

    def _scratch(self, layer: str, key: str, stack: contextlib.ExitStack) -> Path | None:
        place = self._place(layer, key)
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            waiting = f"Waiting for another process that prepares the same {layer}."
            stack.enter_context(exclusive_file(place.with_name(f"{place.name}.lock"), lambda: log.info(waiting)))
            for left in place.parent.glob(f".{key}.*"):  # of a process that was killed: we hold the lock
                shutil.rmtree(left, ignore_errors=True)
            scratch = Path(tempfile.mkdtemp(dir=place.parent, prefix=f".{key}."))
        except OSError as error:
            self.give_up(error)
            return None
        stack.callback(shutil.rmtree, scratch, ignore_errors=True)
        return scratch

    def keep(self, layer: str, key: str, parts: Callable[[T], tuple[Arrays, Facts] | None], made: T, scratch: Path | None) -> None:
        """Write the entry of what was made, unless `scratch` is None; under the lock of `making`."""
        if scratch is None or not self.enabled:
            return
        described = parts(made)
        if described is None:
            return
        new, place = scratch / "entry", self._place(layer, key)
        try:
            new.mkdir()
            write_entry(new, *described, scratch)
            if place.exists():  # damaged: it goes in one step, like the new one comes
                place.rename(scratch / "damaged")
            new.rename(place)
        except OSError as error:
            self.give_up(error)
            return
        self._note_use(place)
        self._trim()

    def _trim(self) -> None:
        if self.limit is None:
            return
        try:
            for item in beyond(inventory(self.folder), self.limit, self._used):
                with contextlib.suppress(FileNotFoundError):  # another process was faster
                    if item.remove():
                        log.info("Removed %s, the least recently used entry, from %s (partitioner.cache_limit).", item.name, self.folder)
        except OSError as error:
            log.info("Entries in %s above partitioner.cache_limit cannot be removed: %s.", self.folder, error.strerror or error)

    def give_up(self, error: OSError) -> None:
        """Say, once, that nothing can be written; entries that are there are still read."""
        if self._reported.isdisjoint({self.folder}):
            self._reported.add(self.folder)
            log.warning(
                "The prepared graph cannot be cached in %s (%s): continuing without the cache. Free space, "
                "or set partitioner.cache to a folder you can write to, or to null to turn the cache off.",
                self.folder,
                error.strerror or error,
            )

    def _place(self, layer: str, key: str) -> Path:
        return self.folder / layer / key
