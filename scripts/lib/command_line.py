"""The command line of scripts and benchmarks: the options that they share, and what a user sees of an error."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import Any

from gas_cli.cli.environment import prepare_process
from gas_cli.errors import UserError
from scripts.lib.report import REPOSITORY, RESULTS

BESIDE = REPOSITORY.parent / "shared" / "datasets"
"""Where the datasets may lie next to a checkout."""
DATASETS = Path(os.environ.get("GAS_DATA") or (BESIDE if BESIDE.is_dir() else "data"))

COMMON: dict[str, dict[str, Any]] = {
    "--root": {"type": Path, "default": DATASETS, "help": "folder of the datasets (default: $GAS_DATA, or %(default)s)"},
    "--work": {"type": Path, "help": "folder of what is trained and measured; what is finished is kept (default: %(default)s)"},
    "--out": {"type": Path, "default": RESULTS, "help": "folder of the result's files"},
    "--device": {"default": "cpu", "choices": ("cpu", "cuda")},
    "--report": {"action": "store_true", "help": "train and measure nothing, report what is finished"},
    "--jobs": {"type": int, "default": 0, "help": "processes side by side (default: one per core up to 8; 1 with a GPU)"},
    "--keep": {"action": "store_true", "help": "do not repeat runs of the same settings whose result the report in --out holds"},
    "--set": {"nargs": "+", "default": [], "metavar": "SETTING=VALUE", "help": "settings of gas-train on top, for every run"},
    "--rounds": {"type": int, "help": "default: %(default)s"},
    "--quick": {"action": "store_true", "help": "one round of a part"},
    "--minutes": {"type": float, "help": "no round after the first is begun that would end later (default: %(default)s)"},
}
STUDY = ("--root", "--work", "--out", "--jobs", "--report", "--keep", "--set")
MEASUREMENT = ("--root", "--work", "--out", "--device", "--report")
BENCHMARK = ("--device", "--rounds", "--quick", "--out")


def make_parser(description: str | None, *common: str, name: str = "", **defaults: Any) -> argparse.ArgumentParser:
    """A parser with some of the COMMON options, and others by their `defaults`, to which a script adds its own.

    `name` is that of a study: of its work folder below runs/ and of its result's files. A default that is not among the choices of an
    option becomes one.
    """
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    if name:
        parser.set_defaults(name=name)
        defaults = {"work": Path("runs") / name, **defaults}
    for option in dict.fromkeys([*common, *(f"--{key}" for key in defaults)]):
        settings = dict(COMMON[option])
        if (key := option.removeprefix("--")) in defaults:
            settings["default"] = defaults[key]
        if "choices" in settings:
            settings["choices"] = tuple(dict.fromkeys([settings["default"], *settings["choices"]]))
        parser.add_argument(option, **settings)
    return parser


def add_choices(parser: argparse.ArgumentParser, option: str, names: Iterable[str]) -> None:
    """An option that takes some of these names; without it, all."""
    parser.add_argument(option, nargs="+", default=list(names), choices=list(names))


def without_files(real: Collection[str], arguments: argparse.Namespace) -> dict[str, str]:
    """Why the `real` ones of the cases asked for are left out, where there is no folder of datasets."""
    there = arguments.root.is_dir()
    return {} if there else {case: f"{arguments.root} does not exist" for case in arguments.cases if case in real}


def result_name(name: str, arguments: argparse.Namespace) -> str:
    return f"{name}-{arguments.device}{'-quick' if arguments.quick else ''}"


def run_script(main: Callable[[], Any]) -> None:
    """Call the `main` of a script or a benchmark, also in a worker process. A `UserError` becomes one message and exit code 2."""
    prepare_process()
    try:
        main()
    except UserError as error:
        print(f"Error: {error}", file=sys.stderr)
        sys.exit(2)
