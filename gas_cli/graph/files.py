"""Which files decide what a dataset's graph is, and in what state they are: the same listing, the same graph."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from gas_cli.config.dataset import DatasetConfig, FolderConfig
from gas_cli.graph.sources import (
    cluster,
    fast_form,
    folder_tables,
    graphsaint,
    named_files,
    npz,
    ogb,
    papers100m,
    planetoid,
    ppi,
    reddit,
    wikics,
)

Listing = dict[str, list[int]]
"""By absolute path: size, time of the last change of the content, and of the last change of anything about the file (nanoseconds)."""

NOT_OURS = ("parsed", "processed")
"""Folders beside the raw files that other versions and other programs make of them."""

CANDIDATES: dict[str, Callable[[str], Sequence[str]]] = {
    **dict.fromkeys(planetoid.FOLDERS, planetoid.candidates),
    **dict.fromkeys(npz.ORIGINS, npz.candidates),
    wikics.NAME: lambda _: wikics.CANDIDATES,
    **dict.fromkeys(graphsaint.ORIGINS, lambda name: graphsaint.ORIGINS[name].folders),
    reddit.NAME: lambda _: reddit.CANDIDATES,
    ppi.NAME: lambda _: ppi.CANDIDATES,
    cluster.NAME: lambda _: cluster.CANDIDATES,
    **dict.fromkeys(ogb.NAMES, ogb.candidates),
    papers100m.NAME: lambda _: papers100m.CANDIDATES,
}
"""The folders below `dataset.root` that a dataset's files may be in."""


def files_of(config: DatasetConfig) -> Listing | None:
    """The files of the dataset as they are now, none of a generated one; None where nothing says which they are (a source of one's own).

    A file that is added counts as much as one that is edited. The time of the change of a file's entry is compared too, which no program
    can set: an edit that keeps the size and puts the time of the content back is noticed.
    """
    if config.name == "generated":
        return {}
    if isinstance(config, FolderConfig):
        return _listing(_tables(Path(config.path).expanduser().absolute()))
    if config.name not in CANDIDATES:
        return None
    root = Path(config.root).expanduser().absolute()
    return _listing(path for candidate in CANDIDATES[config.name](config.name) for path in _below(root / candidate))


def _tables(path: Path) -> Iterator[Path]:
    """The one file; or of a folder the files with the names that are read, in whatever form: others, such as runs, may lie beside them."""
    if not path.is_dir():
        if named_files.file_role(path) is None:
            yield path
            return
        path = path.parent
    yield from named_files.files_of_tables(path)
    yield from (file for name in fast_form.FILES if (file := path / name).is_file())
    for place in sorted({(path / stem).parent for stem in folder_tables.ROLES}):
        if place.is_dir():
            yield from (file for file in place.iterdir() if _stem(path, file) in folder_tables.ROLES)


def _stem(folder: Path, file: Path) -> str:
    return str(file.relative_to(folder)).partition(".")[0]


def _below(folder: Path) -> Iterator[Path]:
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name not in NOT_OURS and not name.startswith(".")]
        yield from (Path(place) / name for name in names if not name.startswith("."))


def _listing(paths: Iterator[Path]) -> Listing:
    found: Listing = {}
    for path in sorted(paths):
        try:
            stat = path.stat()
        except OSError:  # removed in between, or a link to nothing: loading says what is missing
            continue
        found[str(path)] = [stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns]
    return found
