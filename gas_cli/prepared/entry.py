"""One entry of the cache: a folder of .npy files with a manifest, which appears whole or not at all and never changes afterwards.

    <entry>/  manifest.json  rowptr.npy  col.npy  ...

The manifest holds `facts` (whatever its layer says of the arrays), size and time of change of every file, and a checksum of itself. An
entry is valid while all of this agrees: large arrays are mapped, not read, so a file that was changed is known by its time.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gas_cli.files import flush_to_disk, replaced, write_atomically
from gas_cli.graph.sources.npy_format import map_array

MANIFEST = "manifest.json"

FORMAT = 4
"""Counts up when the meaning of an entry changes, so that older entries are no longer found (`key_of`)."""

Arrays = Mapping[str, Tensor | Path]
"""Tensors on the host, which are written; or .npy files: those in the scratch folder move into the entry, others are referred to."""
Facts = dict[str, Any]
"""What JSON can hold."""


@dataclass(frozen=True)
class Entry:
    """The arrays, mapped copy-on-write: what a caller changes is its own and never written back."""

    arrays: dict[str, Tensor]
    facts: Facts

    @property
    def digests(self) -> Mapping[str, str]:
        """The fingerprints among the facts."""
        found = self.facts["fingerprints"]
        return {str(name): str(value) for name, value in found.items()}


class Damaged(ValueError):
    """An entry that is there and is not what its manifest says."""


def write_entry(folder: Path, arrays: Arrays, facts: Facts, scratch: Path) -> None:
    """Write the entry into the empty `folder`; files below `scratch` are moved. Raises `OSError`."""
    described = {}
    for name, array in arrays.items():
        path = folder / f"{name}.npy"
        if isinstance(array, Tensor):
            with replaced(path) as out:
                np.save(out, array.contiguous().numpy(), allow_pickle=False)
        elif array.is_relative_to(scratch):
            array.rename(path)  # what is mapped from it stays mapped
            flush_to_disk(path)
        else:
            path = array.absolute()
        described[name] = {"file": path.name if path.parent == folder else str(path), **_state(path)}
    content = {"format": FORMAT, "facts": facts, "arrays": described}
    write_atomically(folder / MANIFEST, json.dumps({**content, "checksum": _checksum(content)}, indent=1))


def read_entry(folder: Path) -> Entry | None:
    """The entry in `folder`; None where there is none. Raises `Damaged` and `OSError`."""
    try:
        text = (folder / MANIFEST).read_bytes()
    except (FileNotFoundError, NotADirectoryError) as error:
        if folder.exists():
            raise Damaged(f"it has no {MANIFEST}") from error
        return None
    try:
        content = manifest_of(text)
        arrays = {name: _read(folder / described["file"], described) for name, described in content["arrays"].items()}
        return Entry(arrays, content["facts"])
    except FileNotFoundError as error:
        raise Damaged(f"{error.filename} is missing") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Damaged(str(error) or type(error).__name__) from error


def manifest_of(text: bytes) -> dict[str, Any]:
    """What a manifest says. Raises `Damaged`."""
    try:
        content = json.loads(text)
        checksum = content.pop("checksum")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Damaged(str(error) or type(error).__name__) from error
    if checksum != _checksum(content):
        raise Damaged("the checksum of its manifest differs")
    return dict(content)


def about(dataset: str, options: Mapping[str, Any], needs: Sequence[str] = (), **further: Any) -> Facts:
    """The fact `about`, for people who look into the cache (inventory.py): the dataset that an entry was made for, and how.

    needs  `layer/key` of the entries that it is of no use without
    """
    return {"about": {"dataset": dataset, "options": dict(options), "needs": list(needs), **further}}


def _read(path: Path, described: Mapping[str, Any]) -> Tensor:
    if _state(path) != {key: described[key] for key in ("size", "changed")}:
        raise Damaged(f"{path.name} was changed or cut off after it was written")
    return torch.from_numpy(map_array(path))


def _state(path: Path) -> dict[str, int]:
    stat = path.stat()
    return {"size": stat.st_size, "changed": stat.st_mtime_ns}


def _checksum(content: Mapping[str, Any]) -> str:
    return hashlib.blake2b(json.dumps(content, sort_keys=True).encode(), digest_size=16).hexdigest()
