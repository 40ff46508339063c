"""The text of `gas-train --help`: settings by what they are for, with their defaults and meanings as the dataclasses have them."""

from __future__ import annotations

import dataclasses
import re
import textwrap
from collections.abc import Sequence
from operator import attrgetter
from pathlib import Path
from typing import Any

from gas_cli.config.compose import config_directory
from gas_cli.config.registered import REGISTRIES, registered
from gas_cli.config.root import Config
from gas_cli.config.schemas import DATASET_SCHEMAS, MODEL_SCHEMAS
from gas_cli.config.setting import CHOICES, HELP, as_typed, described

WIDTH, COLUMN = 100, 29
"""Columns of the text, and where meanings begin."""
GROUPS = ("dataset", "partitioner", "model", "method", "experiment")
"""Those with something to choose from."""
ELSEWHERE: dict[str, type[Any]] = {"dataset.path": DATASET_SCHEMAS["folder"], "model.module": MODEL_SCHEMAS["custom"]}
"""Settings of a choice that is not the default one."""
EXIT_CODES = """\
exit codes
  0 finished   1 failed unexpectedly   2 user error: a setting, a file, a device   130 interrupted"""

Entry = str | tuple[str, str]
SECTIONS: dict[str, tuple[Entry, ...]] = {
    "choose data": (
        "dataset",
        "dataset.root",
        ("GAS_DATA", "Environment variable: the default of dataset.root."),
        "dataset.path",
        "dataset.split",
        "dataset.make_split",
        "dataset.folds",
    ),
    "choose model and method": (
        "model",
        "method",
        "model.num_layers",
        "model.hidden_channels",
        "model.dropout",
        "model.module",
        "experiment",
        ("'~tuned'", "Leave out the published hyper-parameters of this dataset and model."),
    ),
    "fit into memory": (
        "partitioner",
        "partitioner.num_parts",
        "trainer.batch_parts",
        "history.placement",
        "history.dtype",
        "trainer.graph_on",
        "precision",
        "device",
    ),
    "train longer or stop early": (
        "trainer.epochs",
        "trainer.patience",
        "optimizer.lr",
        "optimizer.schedule",
        "trainer.edge_dropout",
        "history.refresh",
    ),
    "evaluate": ("evaluation.mode", "evaluation.every", ("gas-predict run=RUN_DIR", "Class probabilities of a finished run.")),
    "reproduce and resume": (
        "seed",
        "runs",
        "deterministic",
        ("resume=RUN_DIR", "Continue a run in its folder."),
        ("hydra.run.dir=DIR", "The run's folder."),
        "partitioner.cache",
    ),
    "sweep": (
        ("-m SETTING=A,B ...", "Run all combinations, with one table at the end."),
        ("hydra.sweep.dir=DIR", "The sweep's folder. The same line again continues the sweep."),
        ("hydra/launcher=joblib", "Run the jobs side by side (pip install 'gas-cli[joblib]')."),
    ),
    "look inside": (
        ("--cfg job", "Show the configuration, with all settings, instead of running it."),
        ("--info", "Show where the configuration comes from."),
        ("--config-dir DIR", "Add a folder of your configs, such as DIR/dataset/mine.yaml."),
        "evaluation.monitor",
        "logger",
        ("doctor", "Versions, devices, and the code path that a run would take."),
        ("-sc install=bash", 'Shell completion: eval "$(gas-train -sc install=bash)".'),
    ),
}
"""Settings and groups by name; a pair is something else to type, with its meaning."""

TEXT = """\
gas-train: train graph neural networks on graphs larger than the device (GNNAutoScale, ICML 2021)

usage: gas-train [SETTING=VALUE ...] [-m]
       gas-train resume=RUN_DIR [SETTING=VALUE ...]
       gas-train doctor | --version | --help

A setting stands here with its default, or with a word in CAPITALS to fill in.
The full list of settings is docs/configuration.md.

{sections}

examples
  gas-train                                     # generated graph, GCN, GAS; needs no network
  gas-train dataset=cora model=gcn seed=1       # with the published hyper-parameters of the pair
  gas-train dataset=folder dataset.path=my_graph model=gat
  gas-train -m model=gcn dataset=cora,citeseer seed=0,1,2

{exit_codes}"""


def train_help() -> str:
    """The whole text."""
    sections = "\n\n".join(f"{title}\n" + "\n".join(map(_entry, entries)) for title, entries in SECTIONS.items())
    return TEXT.format(sections=sections, exit_codes=EXIT_CODES)


def settings_help(schema: type[Any], names: Sequence[str] = ()) -> str:
    """A line for each setting of a dataclass, or for those with these names."""
    fields = {field.name: field.default for field in dataclasses.fields(schema)}
    return "\n".join(_setting(name, fields[name], described(schema, name)) for name in names or fields)


def choices(group: str) -> list[str]:
    """The files of a config group, and what packages and programs have registered."""
    return _names(config_directory() / group) + (sorted(registered(group).schemas) if group in REGISTRIES else [])


def default(key: str) -> Any:
    """The value of a setting, or the choice of a group, where nothing is said."""
    if key in GROUPS:
        return getattr(getattr(Config(), key, None), "name", None)
    if key in ELSEWHERE:
        return {field.name: field.default for field in dataclasses.fields(ELSEWHERE[key])}[key.rpartition(".")[2]]
    return attrgetter(key)(Config())


def _entry(entry: Entry) -> str:
    if isinstance(entry, tuple):
        return _line(*entry)
    if entry in GROUPS:
        return _line(f"{entry}={as_typed(default(entry))}", ", ".join(choices(entry)))
    group, _, name = entry.rpartition(".")
    owner = ELSEWHERE.get(entry) or (type(getattr(Config(), group)) if group else Config)
    return _setting(entry, default(entry), described(owner, name))


def _setting(key: str, value: Any, description: dict[str, Any]) -> str:
    """`  key=default   a|b: meaning`; of a meaning that is too long its first sentences or clauses."""
    head = f"{key}={as_typed(value) or key.rpartition('.')[2].upper()}"
    text = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", description[HELP]).replace("`", "")  # links and code of Markdown
    room = WIDTH - max(COLUMN, len(head) + 4)
    known, short = [*description[CHOICES], *(["null"] if value is None else [])], _shortened(text, room)
    if description[CHOICES] and not all(choice in short for choice in known):
        words = f"{'|'.join(known)}: "
        short = words + _shortened(text, room - len(words))
    return _line(head, short)


def _shortened(text: str, room: int) -> str:
    """As many of the clauses of `text` as fit, but the first in any case."""
    clauses = re.split(r"(?<=[.;]) ", text)
    kept = clauses[0]
    for clause in clauses[1:]:
        if len(f"{kept} {clause}") > room:
            break
        kept = f"{kept} {clause}"
    return re.sub(";$", ".", kept)


def _line(head: str, text: str) -> str:
    start = f"  {head:<{COLUMN - 4}}  "
    return textwrap.fill(text, WIDTH, initial_indent=start, subsequent_indent=" " * COLUMN, break_on_hyphens=False)


def _names(group: Path) -> list[str]:
    return sorted(file.stem for file in group.glob("*.yaml"))
