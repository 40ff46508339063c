"""Names of entries: readable, fit for a folder, and unique by everything that decides the content."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from gas_cli.config.partitioner import PartitionerConfig
from gas_cli.ops.csr import CSR
from gas_cli.partition.from_file import file_digest
from gas_cli.partition.metis import metis_version
from gas_cli.prepared.entry import FORMAT

ORDER = "bfs"
"""Nodes of a part stand breadth first. It stays in the keys, and so does `recursive`: entries of earlier versions are found."""


def key_of(name: str, **decisive: Any) -> str:
    """`name` and a hash of what JSON makes of `decisive`."""
    content = json.dumps({"format": FORMAT, **decisive}, sort_keys=True)
    return f"{name}-{hashlib.blake2b(content.encode(), digest_size=16).hexdigest()}"


def topology_digest(adj: CSR) -> str:
    """A hash of the pattern of `adj`, weights left out."""
    digest = hashlib.blake2b(digest_size=16)
    for tensor in (adj.rowptr, adj.col):
        array = tensor.numpy()
        digest.update(f"{array.dtype}{array.shape}".encode())
        digest.update(array.data)
    return digest.hexdigest()


def partition_key(topology: str, seen: str, config: PartitionerConfig) -> str:
    """The partition by `config` of the edges with the hash `topology`, which their weights do not change.

    It covers the options that the method reads, the order within parts, and for an inductive graph a hash of the nodes that are `seen`.
    """
    return key_of(config.name, topology=topology, seen=seen, order=ORDER, options=partition_options(config))


def partition_options(config: PartitionerConfig) -> dict[str, Any]:
    if config.name == "metis":
        return {"num_parts": config.parts, "seed": config.seed, "recursive": False, "pymetis": metis_version()}
    if config.name == "random":
        return {"num_parts": config.parts, "seed": config.seed}
    if config.name == "range":
        return {"num_parts": config.parts}
    return {"content": file_digest(config.file)}
