"""Flickr, Yelp, Reddit2 and AmazonProducts in the files of GraphSAINT (Zeng et al. 2020), each with one published split."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gas_cli.config.dataset import DatasetConfig
from gas_cli.graph.download import RemoteFile, download, ensure_files
from gas_cli.graph.graph import Graph
from gas_cli.graph.sources.raw import as_array, choose_folder, damaged, read_csr, read_json, reading
from gas_cli.graph.sources.stored_graph import ARRAYS, TEST, TRAIN, VAL, graph_of, write_features, write_graph
from gas_cli.graph.sources.written import written
from gas_cli.graph.topology import build_adjacency
from gas_cli.ops.csr import CSR

ADDRESS = "https://drive.usercontent.google.com/download?id={id}&confirm=t"
ADJACENCY, FEATURES, LABELS, ROLES = FILES = ("adj_full.npz", "feats.npy", "class_map.json", "role.json")


@dataclass(frozen=True)
class _Origin:
    """The folder's names, the classes, and the ids of the four `FILES` where they are published.

    several_labels  y is [N, C] and the metric micro-F1
    standardise     features to mean 0 and standard deviation 1 over all nodes, as the published runs do on Yelp and Reddit2
    """

    folders: tuple[str, ...]
    num_classes: int
    ids: tuple[str, str, str, str]
    several_labels: bool = False
    standardise: bool = False


ORIGINS = {
    "flickr": _Origin(
        ("Flickr",),
        7,
        (
            "1crmsTbd1-2sEXsGwa2IKnIB7Zd3TmUsy",
            "1join-XdvX3anJU_MLVtick7MgeAQiWIZ",
            "1uxIkbtg5drHTsKt-PAsZZ4_yJmgFmle9",
            "1htXCtuktuCW8TR8KiKfrFDAxUgekQoV7",
        ),
    ),
    "yelp": _Origin(
        ("YELP", "Yelp"),
        100,
        (
            "1Juwx8HtDwSzmVIJ31ooVa1WljI4U5JnA",
            "1Zy6BZH_zLEjKlEFSduKE5tV9qqA_8VtM",
            "1VUcBGr0T0-klqerjAjxRmAqFuld_SMWU",
            "1NI5pa5Chpd-52eSmLW60OnB3WS5ikxq_",
        ),
        several_labels=True,
        standardise=True,
    ),
    "reddit2": _Origin(
        ("Reddit2",),
        41,
        (
            "1sncK996BM5lpuDf75lDFqCiDZyErc1c2",
            "1ZsHaJ0ussP1W722krmEIp_8pwKAoi5b3",
            "1JF3Pjv9OboMNYs2aXRQGbJbc4t_nDd5u",
            "1nJIKd77lcAGU4j-kVNx_AIGEkveIKz3A",
        ),
        standardise=True,
    ),
    "amazon-products": _Origin(
        ("AmazonProducts",),
        107,
        (
            "17qhNA8H1IpbkkR-T2BmPQm8QNW5do-aa",
            "10SW8lCvAj-kb6ckkfTOC5y0l8XXdtMxj",
            "1LIl4kimLfftj4-7NmValuWyCQE8AaE7P",
            "1npK9xlmbnjNkV80hK2Q68wTEVOFjnt4K",
        ),
        several_labels=True,
    ),
}


def load(config: DatasetConfig, progress: bool) -> Graph:
    """The graph `config.name` from `<root>/<Name>/raw`; edges as stored, features mapped."""
    origin = ORIGINS[config.name]
    names = [f"raw/{name}" for name in FILES]
    folder = choose_folder(config.root, origin.folders, names)
    ensure_files(config.name, folder, names, config.download, lambda missing: _fetch(origin, folder, missing, progress))
    arrays = written(ARRAYS, partial(_parse, folder / "raw", origin))
    return graph_of(config.name, arrays, origin.num_classes, "micro_f1" if origin.several_labels else "accuracy")


def _fetch(origin: _Origin, folder: Path, missing: list[str], progress: bool) -> None:
    (folder / "raw").mkdir(exist_ok=True)
    for name, file_id in zip(FILES, origin.ids, strict=True):
        if f"raw/{name}" in missing:
            download(RemoteFile(name, ADDRESS.format(id=file_id)), folder / "raw", progress)


def _parse(raw: Path, origin: _Origin, target: Path) -> None:
    """Write every array of `ARRAYS` to `target`; the small files come first, so that a damaged one shows at once."""
    with reading(raw / FEATURES):
        x = np.load(raw / FEATURES, mmap_mode="r", allow_pickle=False)
    if x.ndim != 2 or x.dtype.kind not in "fiu":
        raise damaged(raw / FEATURES, f"it has shape {x.shape} and type {x.dtype} where a table of numbers was expected")
    role = _read_roles(raw / ROLES, x.shape[0])
    y = _read_labels(raw / LABELS, x.shape[0], origin)
    write_graph(target, _read_adjacency(raw / ADJACENCY, x.shape[0]), y, role)
    write_features(x, target / "x.npy", standardise=origin.standardise)


def _read_adjacency(path: Path, num_nodes: int) -> CSR:
    """Rows are sources, as PyG takes them; what stands at an entry does not matter."""
    with reading(path), np.load(path, allow_pickle=False) as arrays:
        links = read_csr(arrays, pattern=True)
    if links.shape != (num_nodes, num_nodes):
        raise damaged(path, f"it joins {links.shape[0]} by {links.shape[1]} nodes where {FEATURES} has {num_nodes} rows")
    return build_adjacency(links.tocoo().coords, num_nodes, symmetrise=False)


def _read_labels(path: Path, num_nodes: int, origin: _Origin) -> NDArray[Any]:
    """int64 [N], -1 where the file has no label; or uint8 [N, C], 0 there."""
    content = read_json(path)
    with reading(path):
        nodes = np.array(list(content), dtype=np.int64)
    if nodes.size == 0 or nodes.min() < 0 or nodes.max() >= num_nodes:
        raise damaged(path, f"it labels other nodes than 0 to {num_nodes - 1}, the rows of {FEATURES}")
    if not origin.several_labels:
        y = np.full(num_nodes, -1, np.int64)
        y[nodes] = as_array(path, "labels", list(content.values()), np.int64, 1)
        return y
    labels = as_array(path, "labels", list(content.values()), np.int64, 2)
    if labels.shape[1] != origin.num_classes or not np.isin(labels, (0, 1)).all():
        raise damaged(path, f"expected {origin.num_classes} zeros and ones for every node, found {labels.shape[1]} columns")
    several = np.zeros((num_nodes, origin.num_classes), np.uint8)
    several[nodes] = labels
    return several


def _read_roles(path: Path, num_nodes: int) -> NDArray[np.uint8]:
    content = read_json(path, ("tr", "va", "te"))
    role = np.zeros(num_nodes, np.uint8)
    for key, value in (("tr", TRAIN), ("va", VAL), ("te", TEST)):
        nodes = as_array(path, f"nodes of {key!r}", content[key], np.int64, 1)
        if nodes.size and (nodes.min() < 0 or nodes.max() >= num_nodes):
            raise damaged(path, f"the list {key!r} has node ids outside 0 to {num_nodes - 1}, the rows of {FEATURES}")
        if (again := nodes[role[nodes] > 0]).size:
            raise damaged(path, f"node {again[0]} is in the list {key!r} and in another one")
        role[nodes] = value
    return role
