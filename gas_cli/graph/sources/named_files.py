"""The files of a folder that hold a table with named columns: `nodes` and `edges`, by what people call them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from gas_cli.errors import UserError
from gas_cli.graph.sources.names import EDGE_FILES, NODE_FILES, plain
from gas_cli.graph.sources.table import text_form

Role = Literal["nodes", "edges"]
ROLES: dict[Role, tuple[str, ...]] = {"nodes": NODE_FILES, "edges": EDGE_FILES}


def file_role(path: Path) -> Role | None:
    """`nodes` or `edges`, by the name of a file or folder in a form that has named columns; None for any other."""
    if not (text_form(path) or path.suffix == ".parquet" or _holds_parquet(path)):
        return None
    stem = plain(path.name.partition(".")[0])
    return next((role for role, names in ROLES.items() if stem in map(plain, names)), None)


def _holds_parquet(path: Path) -> bool:
    return path.is_dir() and any(entry.suffix == ".parquet" for entry in path.iterdir())


def find_named(folder: Path, role: Role) -> Path | None:
    """The table of `role`, or None. Raises `UserError` where there are several."""
    found = [path for path in sorted(folder.iterdir()) if file_role(path) == role]
    if len(found) > 1:
        raise UserError(f"{folder} has {' and '.join(path.name for path in found)}: expected one table of {role}. Remove the other.")
    return found[0] if found else None


def files_of_tables(folder: Path) -> Iterator[Path]:
    """Every file that belongs to the folder's tables of nodes and edges."""
    for path in folder.iterdir():
        if file_role(path) is not None:
            yield from path.rglob("*.parquet") if path.is_dir() else [path]
