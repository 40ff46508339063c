"""`gas-data convert`: any graph that can be trained on, in the folder of arrays that is read fastest."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from gas_cli.cli.notes import logged_as_notes
from gas_cli.config.compose import compose_config, parse_settings
from gas_cli.config.dataset import FOLDER, DatasetConfig, FolderConfig
from gas_cli.errors import UserError

USAGE = "expected convert SOURCE DIR [SETTING=VALUE ...], where SOURCE is a path or dataset=NAME. Type gas-data --help"


def convert(arguments: Sequence[str]) -> None:
    """Do what the arguments say. Raises `UserError` before anything is read where they are wrong or the folder is not empty."""
    config, folder = parse(arguments)
    check_new(folder)
    from gas_cli.graph.load import load_graph
    from gas_cli.graph.make_splits import with_splits
    from gas_cli.graph.sources.foreign import is_foreign, load_foreign, refuse_raw
    from gas_cli.training.stop import termination_as_ctrl_c

    with logged_as_notes(), termination_as_ctrl_c():
        own = Path(config.path).expanduser() if isinstance(config, FolderConfig) and config.name == FOLDER else None
        if own is not None:
            refuse_raw(own)
        if own is not None and isinstance(config, FolderConfig) and is_foreign(own):
            graph = load_foreign(config, progress=True)
        else:
            graph = load_graph(config, progress=True)
        graph = with_splits(graph, config)
        write_folder(graph, folder)
    print(f"{graph.name}: {graph.num_nodes:,} nodes, {graph.num_edges:,} edges in {folder}")
    print(f"gas-train dataset=folder dataset.path={folder}")


def parse(arguments: Sequence[str]) -> tuple[DatasetConfig, Path]:
    """Settings of the source, and the folder to write."""
    words = list(arguments)
    if len(words) < 2 or "=" in words[1] or ("=" in words[0] and not words[0].startswith("dataset=")):
        raise UserError(f"'{' '.join(['convert', *words])}' is not valid: {USAGE}.")
    source, folder, settings = words[0], Path(words[1]).expanduser(), [word.removeprefix("dataset.") for word in words[2:]]
    if source.startswith("dataset="):
        return compose_config([source, *(f"dataset.{setting}" for setting in settings)]).dataset, folder
    config = parse_settings(FolderConfig, settings)
    config.path = source
    return config, folder


def check_new(folder: Path) -> None:
    """Raises `UserError` for anything but a folder that does not exist or is empty."""
    if folder.is_dir() and not any(folder.iterdir()):
        return
    if folder.exists() or folder.is_symlink():
        raise UserError(f"{folder} exists and is not an empty folder: give another one, or remove it first.")


def write_folder(graph: object, folder: Path) -> None:
    """The fast form of a `Graph`: whole, or not there."""
    from tqdm import tqdm

    from gas_cli.graph.graph import Graph
    from gas_cli.graph.sources.fast_form import fast_bytes, write_fast

    assert isinstance(graph, Graph)
    try:
        with (
            _whole(folder) as temporary,
            tqdm(total=fast_bytes(graph), unit="B", unit_scale=True, desc=f"writing {folder.name}", disable=None) as bar,
        ):
            write_fast(graph, temporary, bar.update)
    except OSError as error:
        raise UserError(f"Cannot write {folder}: {error.strerror or error}. Free space, or give another folder.") from error


@contextmanager
def _whole(folder: Path) -> Iterator[Path]:
    """A new folder next to `folder` that gets its name at the end; it does not stay where that is not reached."""
    place = Path(os.path.abspath(folder))
    place.parent.mkdir(parents=True, exist_ok=True)
    temporary = place.with_name(f".{place.name}.{os.getpid()}.tmp")
    temporary.mkdir()
    try:
        yield temporary
        temporary.replace(place)  # an empty folder may be there
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
