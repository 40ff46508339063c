"""Finished partitions on disk, under a key of everything that decides them: a second graph never gets the first one's."""

from __future__ import annotations

import hashlib
import io
import json
import logging
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gas_cli.config.partitioner import PartitionerConfig
from gas_cli.files import write_atomically
from gas_cli.ops.csr import CSR
from gas_cli.partition.from_file import file_digest
from gas_cli.partition.metis import metis_version
from gas_cli.partition.partition import Quality

log = logging.getLogger(__name__)

FORMAT = 2
"""Counts up when the meaning of an entry changes, so that older entries are no longer found."""


@dataclass(frozen=True)
class CachedParts:
    """An entry: part ids [N] as the method gave them (empty parts included), `node_perm` [N] of the partition, and its quality."""

    parts: NDArray[np.int32]
    node_perm: NDArray[np.int32]
    quality: Quality


def partition_key(adj: CSR, config: PartitionerConfig) -> str:
    """A name for the partition of `adj` by `config`: readable, unique by content, fit for a file.

    It covers the topology (not the weights, which no method reads) the options that the method reads, and the order within parts.
    """
    digest = hashlib.blake2b(digest_size=16)
    for tensor in (adj.rowptr, adj.col):
        array = tensor.numpy()
        digest.update(f"{array.dtype}{array.shape}".encode())
        digest.update(array.data)
    options = {"format": FORMAT, "order": config.order, **_options(config)}
    digest.update(json.dumps(options, sort_keys=True).encode())
    return f"{config.name}-{digest.hexdigest()}"


def _options(config: PartitionerConfig) -> dict[str, Any]:
    if config.name == "metis":
        return {"num_parts": config.num_parts, "seed": config.seed, "recursive": config.recursive, "pymetis": metis_version()}
    if config.name == "random":
        return {"num_parts": config.num_parts, "seed": config.seed}
    if config.name == "range":
        return {"num_parts": config.num_parts}
    return {"content": file_digest(config.file)}


class PartitionCache:
    """A folder with KEY.npy (part ids and `node_perm`) and KEY.json (quality, checksum) per entry; an empty name: a cache of nothing.

    Entries appear whole: both files are written under a temporary name and renamed, the .json last. A damaged entry is
    reported and counts as missing; a folder that cannot be used costs a warning, since the partition can always be computed.
    """

    def __init__(self, folder: str) -> None:
        self.enabled = bool(folder)
        self.folder = Path(folder).expanduser()

    def path(self, key: str) -> Path:
        return self.folder / f"{key}.npy"

    def load(self, key: str, num_nodes: int) -> CachedParts | None:
        """The entry of `key`, or None."""
        path = self.path(key)
        if not self.enabled or not os.path.exists(path.with_suffix(".json")):
            return None
        try:
            return _read(path, num_nodes)
        except OSError as error:
            log.warning("The cached partition %s cannot be read (%s): computing it again.", path, error.strerror or error)
        except (ValueError, EOFError, KeyError, TypeError) as error:  # what a damaged .json or .npy can raise
            log.warning("The cached partition %s is damaged (%s): computing it again.", path, error)
        return None

    def store(self, key: str, entry: CachedParts) -> None:
        if not self.enabled:
            return
        ids = np.stack([entry.parts, entry.node_perm])
        description = {"quality": asdict(entry.quality), "checksum": _checksum(ids, entry.quality)}
        path = self.path(key)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            array = io.BytesIO()
            np.save(array, ids, allow_pickle=False)
            write_atomically(path, array.getvalue())
            write_atomically(path.with_suffix(".json"), json.dumps(description, indent=2))
        except OSError as error:
            log.warning(
                "The partition cannot be cached in %s (%s): set partitioner.cache to a folder you can write to, or to '' for none.",
                self.folder,
                error.strerror or error,
            )


def _read(path: Path, num_nodes: int) -> CachedParts:
    entry = json.loads(path.with_suffix(".json").read_bytes())
    quality = Quality(**{name: float(value) for name, value in entry["quality"].items()})
    ids = np.load(path, allow_pickle=False)
    if ids.shape != (2, num_nodes) or ids.dtype != np.int32 or entry["checksum"] != _checksum(ids, quality):
        raise ValueError("its checksum differs")
    return CachedParts(ids[0], ids[1], quality)


def _checksum(ids: NDArray[np.int32], quality: Quality) -> str:
    digest = hashlib.blake2b(json.dumps(asdict(quality)).encode(), digest_size=16)
    digest.update(ids.data)
    return digest.hexdigest()
