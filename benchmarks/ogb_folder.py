"""A folder like those of ogbn-products or ogbn-arxiv, generated: raw/ and split/ as in the real archive, to load and train at that size.

    python -m benchmarks.ogb_folder ROOT [--name products|arxiv] [--scale 0.05]

Writes ROOT/ogbn_products: at scale 1 2,449,029 nodes with 100 features, 61,859,140 undirected edges, 47 classes and the published shares
of the split, about 1.2 GB; or ROOT/ogbn_arxiv, with 169,343 nodes, 1,166,243 edges, 128 features and 40 classes. The edges are those of a
block model with communities of about 5,000 nodes and power-law degrees, drawn piece by piece (so a few are drawn twice, as they are not
in the real graph); classes are unions of communities. Needs about 300 MiB of memory.
"""

from __future__ import annotations

import argparse
import gzip
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Form:
    """Sizes of a published dataset, the name of its split, and the shares of the split's parts."""

    nodes: int
    edges: int
    features: int
    classes: int
    scheme: str
    shares: dict[str, float]


FORMS = {
    "products": Form(2_449_029, 61_859_140, 100, 47, "sales_ranking", {"train": 0.0803, "valid": 0.0161, "test": 0.9036}),
    "arxiv": Form(169_343, 1_166_243, 128, 40, "time", {"train": 0.537, "valid": 0.176, "test": 0.287}),
}
COMMUNITY, MIXING, POWER_LAW = 5000, 0.1, 2.5
EDGES_AT_A_TIME, NODES_AT_A_TIME = 1 << 20, 1 << 15
LEVEL = 1
"""Of gzip: the files are written once and read once."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", type=Path)
    parser.add_argument("--name", default="products", choices=list(FORMS))
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    print(write_folder(arguments.root, arguments.name, arguments.scale, arguments.seed))


def write_folder(root: Path, name: str = "products", scale: float = 1.0, seed: int = 0) -> Path:
    """The folder of `name`, one of `FORMS`, with `scale` times the nodes and edges (and as many neighbours per node)."""
    from gas_cli.graph.sources.block_model import BlockModel
    from gas_cli.graph.sources.power_law import expected_degrees

    form = FORMS[name]
    num_nodes, num_edges = max(form.classes, round(scale * form.nodes)), round(scale * form.edges)
    rng, folder = np.random.default_rng(seed), root / f"ogbn_{name}"
    degrees = expected_degrees(num_nodes, 2 * num_edges / num_nodes, POWER_LAW, rng)
    communities = max(form.classes, num_nodes // COMMUNITY)
    model = BlockModel.with_equal_communities(degrees, communities, MIXING)
    ids = rng.permutation(num_nodes).astype(np.int32)  # the model numbers nodes community by community
    label = np.empty(num_nodes, np.int64)
    label[ids] = model.community % form.classes
    _write(folder / "raw/num-node-list.csv.gz", [b"%d\n" % num_nodes])
    _write(folder / "raw/num-edge-list.csv.gz", [b"%d\n" % num_edges])
    _write(folder / "raw/node-label.csv.gz", _lines(label[:, None]))
    for part, nodes in _split(num_nodes, form.shares, rng).items():
        _write(folder / f"split/{form.scheme}/{part}.csv.gz", _lines(nodes[:, None]))
    _write(folder / "raw/edge.csv.gz", _edges(model, ids, num_edges, rng))
    _write(folder / "raw/node-feat.csv.gz", _features(label, form, rng))
    return folder


def _split(num_nodes: int, shares: dict[str, float], rng: np.random.Generator) -> dict[str, NDArray[np.int64]]:
    order = rng.permutation(num_nodes)
    bounds = np.cumsum([round(share * num_nodes) for share in shares.values()])[:-1]
    return {part: np.sort(nodes) for part, nodes in zip(shares, np.split(order, bounds), strict=True)}


def _edges(model: Any, ids: NDArray[np.int32], count: int, rng: np.random.Generator) -> Iterator[bytes]:
    """Lines "source,target", in no order."""
    from gas_cli.graph.sources.block_model import draw_between, draw_within

    left = count
    while left:
        drawn = [
            draw(model, max(1, round(share * EDGES_AT_A_TIME)), rng) for draw, share in ((draw_within, 1 - MIXING), (draw_between, MIXING))
        ]
        pairs = np.concatenate([np.stack(pair, axis=1) for pair in drawn])
        pairs = ids[rng.permutation(pairs[pairs[:, 0] != pairs[:, 1]])][:left]
        left -= len(pairs)
        yield from _lines(pairs)


def _features(label: NDArray[np.int64], form: Form, rng: np.random.Generator) -> Iterator[bytes]:
    """Lines of numbers with three decimals: a centre per class and noise."""
    centres = rng.standard_normal((form.classes, form.features))
    texts = np.array([f"{value / 1000:.3f}," for value in range(-9999, 10_000)], "S7")
    for start in range(0, len(label), NODES_AT_A_TIME):
        block = label[start : start + NODES_AT_A_TIME]
        values = centres[block] + rng.standard_normal((len(block), form.features))
        cells = texts[np.clip(np.rint(1000 * values), -9999, 9999).astype(np.int64) + 9999]
        cells = cells.view(np.uint8).reshape(len(values), form.features, 7)
        last = np.arange(7) == (cells[:, -1] > 0).sum(1, keepdims=True) - 1
        cells[:, -1][last] = ord("\n")
        yield cells[cells > 0].tobytes()


def _lines(numbers: NDArray[Any]) -> Iterator[bytes]:
    """Rows of whole numbers from 0 on as text: the digits of all of them at once, leading zeros left out."""
    for start in range(0, len(numbers), EDGES_AT_A_TIME):
        block = numbers[start : start + EDGES_AT_A_TIME]
        width = len(str(int(block.max(initial=0))))
        digits = block[:, :, None] // 10 ** np.arange(width - 1, -1, -1) % 10
        shown = np.maximum.accumulate(digits > 0, axis=2)
        shown[:, :, -1] = True
        text = np.full((*block.shape, width + 1), ord(","), np.uint8)
        text[:, :, :-1] = np.where(shown, digits + ord("0"), 0)
        text[:, -1, -1] = ord("\n")
        yield text[text > 0].tobytes()


def _write(path: Path, pieces: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with gzip.open(path, "wb", compresslevel=LEVEL) as out:
        for piece in pieces:
            out.write(piece)


if __name__ == "__main__":
    main()
