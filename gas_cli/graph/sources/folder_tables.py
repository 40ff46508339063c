"""All tables of a user's folder, its text tables read in the one way in which they fit together."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path

import numpy as np

from gas_cli.config.dataset import FolderConfig
from gas_cli.errors import UserError
from gas_cli.graph.sources.flavour import Known, Member, Role, Trait, settle
from gas_cli.graph.sources.table import MATRIX, Table, find, read_table, text_form
from gas_cli.graph.sources.text_table import read_text, read_words

PARTS = ("train", "val", "valid", "test")
ROLES: dict[str, Role] = {
    "labels": "labels",
    "features": "features",
    "edges": "edges",
    "edge_weight": "edge",
    "edge_attr": "edge",
    **dict.fromkeys((f"{part}_mask" for part in PARTS), "mask"),
    **dict.fromkeys((f"split/{part}" for part in PARTS), "ids"),
}
FLOAT32 = ("features", "edge_attr")
"""Tables that are only ever needed in float32."""


class Tables:
    """The tables of `folder`, but for those that `leave_out` names. Text tables are read at once, since each helps to understand the
    others; the rest when asked for.

    `class_names` are those of labels that are words, whose table holds codes.
    Raises `UserError` for a text table that cannot be read, and for one that can be read in two ways where nothing decides.
    """

    def __init__(self, folder: Path, config: FolderConfig, leave_out: Collection[str] = ()) -> None:
        paths = dict(_paths(folder, leave_out))
        self._texts: dict[Path, Table] = {}
        self.class_names: tuple[str, ...] = ()
        texts: dict[str, Member] = {}
        for stem, path in paths.items():
            if not text_form(path) or not path.stat().st_size:
                continue
            try:
                texts[stem] = Member(read_text(path, np.float32 if stem in FLOAT32 else np.float64), ROLES[stem])
            except UserError:
                words = read_words(path, config.header == "true") if stem == "labels" else None
                if words is None:
                    raise
                self._texts[path], self.class_names = words
        answers: dict[Trait, str] = {"header": config.header, "index": config.index}
        readings = settle(texts, lambda: _known(paths, [len(table.values) for table in self._texts.values()]), answers)
        self._texts |= {paths[stem]: member.text.table(readings[stem]) for stem, member in texts.items()}

    def read(self, path: Path, dtype: type[np.generic] = np.float64) -> Table:
        """The table in `path`, which is one of the folder's. Raises `UserError` as `read_table` and `read_text` do."""
        if path in self._texts:
            return self._texts[path]
        if text_form(path):
            raise UserError(f"{path}: it is empty. Expected one line per row, numbers separated by commas.")
        return read_table(path, dtype)


def _paths(folder: Path, leave_out: Collection[str]) -> Iterator[tuple[str, Path]]:
    for stem in ROLES:
        if stem in leave_out:
            continue
        place = folder / stem
        path = find(place.parent, place.name, MATRIX)
        if path is not None:
            yield stem, path


def _known(paths: dict[str, Path], words: list[int]) -> Known:
    """From the .npy and .parquet files, and the rows of labels that are `words`."""
    others = {stem: path for stem, path in paths.items() if path.suffix in (".npy", ".parquet")}
    rows = [read_table(path).values.shape[0] for stem, path in others.items() if ROLES[stem] in ("labels", "features", "mask")]
    edges = read_table(others["edges"]).values if "edges" in others else None
    count = None if edges is None or edges.ndim != 2 else edges.shape[1 if others["edges"].suffix == ".npy" else 0]
    return Known(rows + words, count)
