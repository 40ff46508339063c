"""The graph stage's front door: a dataset's name in, a validated `Graph` out."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable

from gas_cli.config.dataset import GIVEN, DatasetConfig, GeneratedConfig
from gas_cli.errors import UserError
from gas_cli.graph.graph import Graph
from gas_cli.graph.made_features import check_features
from gas_cli.graph.sources import cluster, folder, graphsaint, npz, ogb, papers100m, planetoid, ppi, reddit, wikics
from gas_cli.graph.splits import check_number
from gas_cli.measure.seconds import timed
from gas_cli.user_code import blaming, named, place_of

Source = Callable[[DatasetConfig, bool], Graph]


def _generated(config: DatasetConfig, progress: bool) -> Graph:
    from gas_cli.graph.sources.generated import generate

    if not isinstance(config, GeneratedConfig):
        config = GeneratedConfig(name=config.name, root=config.root, split=config.split, download=config.download)
    return generate(config)


SOURCES: dict[str, Source] = {
    "generated": _generated,
    "folder": folder.load,
    **dict.fromkeys(planetoid.FOLDERS, planetoid.load),
    **dict.fromkeys(npz.ORIGINS, npz.load),
    wikics.NAME: wikics.load,
    **dict.fromkeys(graphsaint.ORIGINS, graphsaint.load),
    reddit.NAME: reddit.load,
    ppi.NAME: ppi.load,
    cluster.NAME: cluster.load,
    **dict.fromkeys(ogb.NAMES, ogb.load),
    papers100m.NAME: papers100m.load,
}
"""Which function loads which dataset; another dataset is another entry."""


def dataset_names() -> list[str]:
    """Every name that `dataset=` takes."""
    return list(SOURCES)


@timed("load")
def load_graph(config: DatasetConfig, progress: bool = False) -> Graph:
    """Load, download or generate the graph `config.name` and check it (`Graph.validate`).

    `progress` shows bars on a terminal while files are fetched and parsed. Raises `UserError` for an unknown name, missing files that
    may not or cannot be downloaded, damaged files, too little memory, contents that break the contract of `Graph`, and a split that does
    not exist.
    """
    try:
        graph = _source(config)(config, progress).validate()
    except MemoryError as error:
        where = getattr(config, "path", "") or config.root
        raise UserError(
            f"Dataset {config.name!r} in {where} needs more memory than this machine has, or a damaged file in it claims too large a size. "
            "A features.npy in float32 is not read into memory as a whole (docs/own-graph.md, Size)."
        ) from error
    if config.features is None:
        check_features(graph)
    if config.make_split is None and config.folds is None:
        check_number(graph, config.split)
    return graph


def _source(config: DatasetConfig) -> Source:
    if config.implementation:
        return lambda config, progress: _registered(config)
    if config.name == GIVEN:
        raise UserError(
            "The graph of this run was passed in Python, so its files are not known. Pass it again, as in "
            "gas_cli.predict(folder, graph=graph) or gas_cli.resume(folder, graph=graph)."
        )
    if config.name not in SOURCES:
        near = difflib.get_close_matches(config.name.lower().replace("_", "-"), SOURCES, n=3)
        hint = f"did you mean {' or '.join(near)}? " if near else ""
        raise UserError(f"Dataset {config.name!r} is not known: {hint}expected one of {', '.join(SOURCES)}.")
    return SOURCES[config.name]


def _registered(config: DatasetConfig) -> Graph:
    """What the function behind a registered name returns."""
    what = f"dataset={config.name}"
    load = named(type(config).implementation, what)  # of the class: a function would be bound to the instance
    with blaming(inspect.getsourcefile(load) or what, what):
        graph = load(config)
    if not isinstance(graph, Graph):
        raise UserError(f"{what}: {place_of(load)} returned a {type(graph).__name__}: expected a gas_cli.Graph.")
    return graph
