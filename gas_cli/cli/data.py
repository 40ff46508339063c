"""`gas-data check`: what is understood of a graph; `prepare`: make it ready for jobs; `clean`: what is kept. See `gas-data --help`."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import gas_cli
from gas_cli.cli.clean import clean
from gas_cli.cli.environment import prepare_process
from gas_cli.cli.exits import exit_code
from gas_cli.cli.notes import NOTE, logged_as_notes
from gas_cli.config.compose import compose_config, parse_settings
from gas_cli.config.dataset import FolderConfig
from gas_cli.config.model import ModelConfig
from gas_cli.errors import UserError

HELP = """\
gas-data: check your own graph, or prepare any graph, before training

usage: gas-data check DIR [undirected=true] [num_classes=N] [metric=auto|accuracy|micro_f1|roc_auc] [model=NAME] [model.KEY=VALUE]
       gas-data prepare dataset=NAME [GROUP=CHOICE] [KEY=VALUE]
       gas-data clean [--all | older=DAYSd | NAME...] [partitioner.cache=DIR]

check prints nodes, edges, degrees, components, features, label balance, homophily and splits as gas-train will see them, after the same
notes as gas-train logs; on an error, the file, the row, the reason and the remedy. DIR is a folder of tables or a .pt
file; docs/own-graph.md lists the files. The model decides which edge weights are accepted and read (gcn unless you choose another).

prepare downloads, parses, checks, divides and normalises as gas-train does with the same settings, and leaves the result in the folder
partitioner.cache, where every later gas-train finds it. On a cluster, run it once before the jobs.

clean lists the entries of that folder. It removes everything with --all, entries not used for 30 days with older=30d (or hours: 24h,
weeks: 4w), and named datasets or entries; the beginning of a name is enough. Runs that use an entry continue (Linux, macOS), and
later starts prepare it again.

examples
  gas-data check my_graph model=gat && gas-train dataset=folder dataset.path=my_graph model=gat
  gas-data prepare dataset=ogbn-products model=gcn && gas-train -m dataset=ogbn-products model=gcn seed=range(5)
  gas-data clean && gas-data clean older=30d

exit codes: 0 the graph can be trained on, 1 failed unexpectedly, 2 user error, 130 interrupted"""


def main() -> None:
    """The console script."""
    prepare_process()
    sys.exit(command_line(sys.argv[1:]))


def command_line(argv: Sequence[str]) -> int:
    """Run the command and return its exit code."""
    return exit_code("gas-data", lambda: _run(list(argv)))


def parse(argv: Sequence[str]) -> tuple[FolderConfig, ModelConfig]:
    """`check DIR key=value...` as settings of the graph and the model; keys may be written as for gas-train, with `dataset.` in front."""
    if len(argv) < 2 or argv[0] != "check" or "=" in argv[1]:
        raise UserError(
            f"{' '.join(argv) or 'no command'!r} is not valid: expected check DIR, prepare dataset=NAME or clean. Type gas-data --help."
        )
    of_model = [argument for argument in argv[2:] if argument.startswith(("model=", "model."))]
    settings = parse_settings(FolderConfig, [argument.removeprefix("dataset.") for argument in argv[2:] if argument not in of_model])
    settings.path = argv[1]
    return settings, compose_config(["dataset=folder", *of_model]).model


def _run(argv: list[str]) -> None:
    if "--help" in argv or "-h" in argv:
        print(HELP)
        return
    if "--version" in argv:
        print(f"gas-data {gas_cli.__version__}")
        return
    if argv[:1] == ["prepare"]:
        _prepare(argv[1:])
        return
    if argv[:1] == ["clean"]:
        clean(argv[1:])
        return
    settings, model = parse(argv)
    from gas_cli.graph.describe import describe
    from gas_cli.graph.load import load_graph
    from gas_cli.report.remarks import remarks

    with logged_as_notes():
        graph = load_graph(settings, progress=True)
    for line in remarks(graph, settings, model):
        print(f"{NOTE}{line}")
    print(describe(graph))


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
