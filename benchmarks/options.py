"""The options that the benchmarks share."""

from __future__ import annotations

import argparse
from collections.abc import Collection, Iterable
from pathlib import Path

from benchmarks.machine import RESULTS

BESIDE = Path("../shared/datasets")
"""Where a checkout may have the datasets beside it."""


def options(description: str | None, rounds: int, minutes: float = 0) -> argparse.ArgumentParser:
    """`--device`, `--rounds`, `--quick`, `--out`; `--minutes` where a benchmark can end early (with a default above 0)."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--rounds", type=int, default=rounds, help="default: %(default)s")
    parser.add_argument("--quick", action="store_true", help="one round of a part")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the result's files")
    if minutes:
        parser.add_argument(
            "--minutes", type=float, default=minutes, help="no round after the first is begun that would end later (default: %(default)s)"
        )
    return parser


def add_root(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--root", type=Path, default=BESIDE, help="the real datasets; cases without files are left out")


def without_files(real: Collection[str], arguments: argparse.Namespace) -> dict[str, str]:
    """Why the `real` ones of the cases asked for are left out, where there is no folder of datasets."""
    there = arguments.root.is_dir()
    return {} if there else {case: f"{arguments.root} does not exist" for case in arguments.cases if case in real}


def add_choices(parser: argparse.ArgumentParser, option: str, names: Iterable[str]) -> None:
    """An option that takes some of these names; without it, all."""
    parser.add_argument(option, nargs="+", default=list(names), choices=list(names))


def result_name(name: str, arguments: argparse.Namespace) -> str:
    return f"{name}-{arguments.device}{'-quick' if arguments.quick else ''}"
