"""What is in the folder of prepared graphs, and how to remove it. What does not belong to the cache is neither listed nor touched."""

from __future__ import annotations

import contextlib
import re
import shutil
import tempfile
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gas_cli.config.dataset import DatasetConfig, FolderConfig
from gas_cli.graph.files import files_of
from gas_cli.lock import exclusive_file, is_held
from gas_cli.prepared.entry import FORMAT, MANIFEST, Damaged, manifest_of

LAYERS = ("graph", "features", "partition", "edges", "weights", "sums")
"""Later ones are made of earlier ones."""

ENTRY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*-[0-9a-f]{32}")
HALF_WRITTEN = re.compile(rf"\.({ENTRY.pattern})\.[A-Za-z0-9_]+")

WHOLE, DAMAGED, OTHER_FORMAT, HALF = "", "damaged", "of another version's format", "half-written"


@dataclass(frozen=True)
class Item:
    """An entry, or what is left of one.

    state   WHOLE, DAMAGED, OTHER_FORMAT, or HALF: of a process that writes it, or was killed
    nbytes  size of its files; a table of one's own that it refers to is not among them
    used    time of its last use, or of its last change (seconds since 1970)
    about   see `entry.about`; empty unless WHOLE
    """

    path: Path
    key: str
    state: str
    nbytes: int
    used: float
    about: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """As in the folder, with a shortened hash."""
        return f"{self.layer}/{self.path.name}" if self.state == HALF else f"{self.layer}/{self.key[:-24]}"

    @property
    def layer(self) -> str:
        return self.path.parent.name

    @property
    def dataset(self) -> str:
        return str(self.about.get("dataset", ""))

    @property
    def busy(self) -> bool:
        """Whether a process makes this entry now."""
        return is_held(self._lock)

    @property
    def _lock(self) -> Path:
        return self.path.with_name(f"{self.key}.lock")

    def remove(self) -> bool:
        """Take it away, in one step for those who read. False where a process makes it now. Raises `OSError`."""
        if self.busy:
            return False
        with exclusive_file(self._lock, lambda: None):
            doomed = self.path
            if self.state != HALF:
                doomed = Path(tempfile.mkdtemp(dir=self.path.parent, prefix=f".{self.key}."))
                self.path.rename(doomed / "removed")
            shutil.rmtree(doomed)
        return True


def inventory(folder: Path) -> list[Item]:
    """Everything of the cache in `folder`, by layer and name. Raises `OSError` where it cannot be read."""
    if not folder.is_dir():
        return []
    layers = sorted((place for place in folder.iterdir() if place.is_dir()), key=lambda place: (_depth(place.name), place.name))
    return [item for layer in layers for item in _items(layer)]


def with_dependents(chosen: Sequence[Item], items: Sequence[Item]) -> list[Item]:
    """The chosen ones and those of `items` that are of no use without them."""
    going = {item.path: item for item in chosen}
    for item in items:  # what is needed comes first
        needed = {going_item.layer + "/" + going_item.key for going_item in going.values() if going_item.state != HALF}
        if not needed.isdisjoint(item.about.get("needs", ())):
            going[item.path] = item
    return list(going.values())


def beyond(items: Sequence[Item], limit: int, used: Collection[Path]) -> list[Item]:
    """What has to go until the rest fits `limit` bytes: what was not used for longest, and of what was used together later layers first, so
    that nothing stays without what it needs. What is among `used`, or being made, stays."""
    total, going = sum(item.nbytes for item in items), []
    for item in sorted(items, key=lambda item: (item.used, -_depth(item.layer))):
        if total <= limit:
            break
        if item.path not in used and not item.busy:
            going.append(item)
            total -= item.nbytes
    return going


def source_state(item: Item) -> str:
    """Of a graph: where its files are, and whether they are still those that were read. Empty for others."""
    place = item.about.get("place")
    if not isinstance(place, dict):
        return ""
    files, where = item.about.get("files"), place.get("path", place.get("root"))
    if not files:
        return "generated"
    config = FolderConfig(path=place["path"]) if "path" in place else DatasetConfig(place["name"], root=place["root"])
    now = files_of(config)
    if now == files:
        return f"files in {where} unchanged"
    return f"files in {where} are gone" if not now else f"files in {where} have changed"


def _items(layer: Path) -> Iterator[Item]:
    for path in sorted(layer.iterdir()):
        with contextlib.suppress(FileNotFoundError):  # removed by another process
            item = None if path.is_symlink() or not path.is_dir() else _item(path)
            if item is not None:
                yield item


def _item(path: Path) -> Item | None:
    left = HALF_WRITTEN.fullmatch(path.name)
    if left and path.parent.name in LAYERS:
        nbytes = sum(file.lstat().st_size for file in path.rglob("*") if not file.is_dir())
        return Item(path, left[1], HALF, nbytes, path.stat().st_mtime)
    if not ENTRY.fullmatch(path.name):
        return None
    files = list(path.iterdir())
    if any(file.is_symlink() or not file.is_file() or (file.name != MANIFEST and file.suffix != ".npy") for file in files):
        return None
    state, about = _state(path / MANIFEST)
    if state == DAMAGED and path.parent.name not in LAYERS:
        return None
    used = (path / MANIFEST if path / MANIFEST in files else path).stat().st_mtime
    return Item(path, path.name, state, sum(file.stat().st_size for file in files), used, about)


def _state(manifest: Path) -> tuple[str, dict[str, Any]]:
    try:
        content = manifest_of(manifest.read_bytes())
        if not {"facts", "arrays"} <= content.keys():
            return DAMAGED, {}
        if content.get("format") != FORMAT:
            return OTHER_FORMAT, {}
        return WHOLE, dict(content["facts"]["about"])
    except (OSError, Damaged, KeyError, TypeError, ValueError):
        return DAMAGED, {}


def _depth(layer: str) -> int:
    return LAYERS.index(layer) if layer in LAYERS else len(LAYERS)
