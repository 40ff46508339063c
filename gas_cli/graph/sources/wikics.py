"""Wiki-CS: articles on computer science and their links (Mernyei and Cangea 2020), with its twenty published splits."""

from __future__ import annotations

from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from gas_cli.config.dataset import DatasetConfig
from gas_cli.graph.download import download_all, ensure_files
from gas_cli.graph.graph import Graph, Split
from gas_cli.graph.sources.raw import as_array, choose_folder, damaged, read_json
from gas_cli.graph.topology import build_adjacency

NAME = "wiki-cs"
ADDRESS = "https://github.com/pmernyei/wiki-cs-dataset/raw/master/dataset"
FILE = "data.json"
NUM_CLASSES = 10
CANDIDATES = ["WIKICS/raw", "WikiCS/raw"]


def load(config: DatasetConfig, progress: bool) -> Graph:
    """The graph from `<root>/WIKICS/raw` (or `<root>/WikiCS/raw`), symmetrised; features as they are.

    As in the published figures a run is validated on the stopping masks: the set that the dataset's authors reserve for early stopping.
    Their further validation masks (for the choice of hyper-parameters) are in no split here.
    """
    folder = choose_folder(config.root, CANDIDATES, [FILE])
    ensure_files(config.name, folder, [FILE], config.download, lambda missing: download_all(missing, ADDRESS, folder, progress))
    return _read(folder / FILE)


def _read(path: Path) -> Graph:
    content = read_json(path, ("features", "labels", "links", "train_masks", "stopping_masks", "test_mask"))
    x = as_array(path, "features", content["features"], np.float32, 2)
    labels = as_array(path, "labels", content["labels"], np.int64, 1)
    if not labels.shape[0] == x.shape[0] == len(content["links"]):
        raise damaged(path, f"it has {x.shape[0]} rows of features, {labels.shape[0]} labels and {len(content['links'])} lists of links")
    adj = build_adjacency(_edges(path, content["links"]), labels.shape[0], symmetrise=True)
    y = torch.from_numpy(labels)
    return Graph(NAME, torch.from_numpy(x), adj, y, _splits(path, content, labels.shape[0]), NUM_CLASSES, "accuracy", adj.symmetric)


def _edges(path: Path, links: Any) -> NDArray[Any]:
    """Edges int64 [2, E] as listed: article first, the article that it links to second."""
    if not all(isinstance(others, list) for others in links):
        raise damaged(path, "its links are not lists of node ids")
    counts = [len(others) for others in links]
    target = as_array(path, "links", list(chain.from_iterable(links)), np.int64, 1)
    return np.stack([np.repeat(np.arange(len(links)), counts), target])


def _splits(path: Path, content: dict[str, Any], num_nodes: int) -> tuple[Split, ...]:
    train, val = (as_array(path, key, content[key], np.bool_, 2) for key in ("train_masks", "stopping_masks"))
    test = as_array(path, "test_mask", content["test_mask"], np.bool_, 1)
    if not (train.shape == val.shape and train.shape[1:] == test.shape == (num_nodes,)):
        raise damaged(path, f"its masks have shapes {train.shape}, {val.shape} and {test.shape} for {num_nodes} nodes")
    shared = torch.from_numpy(test)
    return tuple(Split(torch.from_numpy(t), torch.from_numpy(v), shared) for t, v in zip(train, val, strict=True))
