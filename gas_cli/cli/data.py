"""`gas-data check`: what is understood of a graph; `convert`: the form that is read fastest; `prepare`: make it ready for jobs; `clean`:
what is kept. See `gas-data --help`."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import gas_cli
from gas_cli.cli.clean import clean
from gas_cli.cli.convert import convert
from gas_cli.cli.environment import prepare_process
from gas_cli.cli.exits import exit_code
from gas_cli.cli.help import EXIT_CODES, settings_help
from gas_cli.cli.notes import NOTE, logged_as_notes
from gas_cli.config.compose import compose_config, parse_settings
from gas_cli.config.dataset import FolderConfig
from gas_cli.config.root import Config
from gas_cli.errors import UserError

HELP = """\
gas-data: look at a graph of your own, or prepare any graph, before training on it

usage: gas-data check DIR [SETTING=VALUE ...] [model=NAME] [model.SETTING=VALUE ...]
       gas-data convert SOURCE DIR [SETTING=VALUE ...]
       gas-data prepare dataset=NAME [SETTING=VALUE ...]
       gas-data clean [--all | older=DAYSd | NAME ...] [partitioner.cache=DIR]

check DIR shows what gas-train will see of a graph: nodes, edges, degrees, components, features,
balance, homophily, splits, the halo of its parts and which method fits. An error is reported with
its file, row, reason and remedy.
DIR is a folder of tables, one of them, or one file (docs/graph-files.md). The model decides
which edge weights are accepted and read (default: gcn). Settings of the graph and their defaults:
{settings}
  columns.ROLE=NAME          Which column is the source, target, weight, id, label or split;
                             columns.ignore=[NAME,...] leaves columns out.

convert writes the graph in SOURCE (what check takes, or dataset=NAME) into the new folder DIR, as
arrays that dataset=folder dataset.path=DIR maps: the equal graph, with ids and names.

prepare downloads, parses, checks, divides and normalises a graph as gas-train does with the same
settings. Every later gas-train reads the result from the folder partitioner.cache. On a cluster:
run it once, before the jobs.

clean lists what is in that folder. It removes
  --all                      everything,
  older=30d                  what was not used for 30 days (24h: hours, 4w: weeks),
  NAME ...                   datasets or entries by name; the beginning of a name is enough.
Runs that use an entry go on (Linux, macOS), and later starts make it again.

examples
  gas-data check my_graph model=gat
  gas-data convert my_graph.pt my_graph undirected=true
  gas-data prepare dataset=ogbn-products model=gcn
  gas-data clean older=30d

{exit_codes}"""
CHECKED = (
    "encode",
    "types",
    "undirected",
    "task",
    "num_classes",
    "metric",
    "header",
    "index",
    "make_split",
    "split_by",
    "features",
    "normalize",
)


def main() -> None:
    """The console script."""
    prepare_process()
    sys.exit(command_line(sys.argv[1:]))


def command_line(argv: Sequence[str]) -> int:
    """Run the command and return its exit code."""
    return exit_code("gas-data", lambda: _run(list(argv)))


def parse(argv: Sequence[str]) -> tuple[FolderConfig, Config]:
    """`check DIR key=value...` as settings of the graph, and of a training with the model.

    Keys may be written as for gas-train, with `dataset.` in front.
    """
    if len(argv) < 2 or argv[0] != "check" or "=" in argv[1]:
        raise UserError(
            f"{' '.join(argv) or 'no command'!r} is not valid: expected check DIR, convert SOURCE DIR, prepare dataset=NAME or clean. "
            "Type gas-data --help."
        )
    of_model = [argument for argument in argv[2:] if argument.startswith(("model=", "model."))]
    settings = parse_settings(FolderConfig, [argument.removeprefix("dataset.") for argument in argv[2:] if argument not in of_model])
    settings.path = argv[1]
    return settings, compose_config(["dataset=folder", *of_model])


def data_help() -> str:
    """The text of `gas-data --help`."""
    return HELP.format(settings=settings_help(FolderConfig, CHECKED), exit_codes=EXIT_CODES)


def _run(argv: list[str]) -> None:
    if "--help" in argv or "-h" in argv:
        print(data_help())
        return
    if "--version" in argv:
        print(f"gas-data {gas_cli.__version__}")
        return
    if argv[:1] == ["prepare"]:
        _prepare(argv[1:])
        return
    if argv[:1] == ["convert"]:
        convert(argv[1:])
        return
    if argv[:1] == ["clean"]:
        clean(argv[1:])
        return
    settings, config = parse(argv)
    from gas_cli.graph.describe import describe, scale_notes
    from gas_cli.graph.load import load_graph
    from gas_cli.graph.made_features import with_features
    from gas_cli.graph.make_splits import with_splits
    from gas_cli.graph.scaling import find_scaling, scaled
    from gas_cli.partition.permute import fits_memory
    from gas_cli.report.outlook import outlook
    from gas_cli.report.remarks import remarks

    with logged_as_notes():
        graph = with_features(with_splits(load_graph(settings, progress=True), settings), settings)
        scaling = find_scaling(graph, settings)
        graph = graph if scaling is None else scaled(graph, scaling, fits_memory(graph.x))
    for line in (*remarks(graph, settings, config.model), *scale_notes(graph)):
        print(f"{NOTE}{line}")
    print(describe(graph, outlook(graph, config.model, config.device)))


def _prepare(overrides: list[str]) -> None:
    """Make the prepared graph of a configuration, or find that it is there."""
    config = compose_config(overrides)
    if config.partitioner.cache is None:
        raise UserError("partitioner.cache=null stores nothing: give the folder that gas-train will use, or leave the setting out.")
    from gas_cli.prepared.cache import cache_folder
    from gas_cli.run import prepare_training

    with logged_as_notes():
        problem = prepare_training(config, progress=True)
    graph = problem.graph
    sizes = f"{graph.num_nodes:,} nodes, {graph.num_edges:,} edges, {problem.partition.num_parts} parts"
    print(f"{graph.name}: {sizes}; prepared in {cache_folder(config.partitioner.cache)}")
