"""What predicting gives: class probabilities or embeddings of nodes, and their files."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from gas_cli.errors import UserError
from gas_cli.files import replaced
from gas_cli.graph.fingerprints import SHOWN_CLASSES
from gas_cli.report.prediction_table import FORMS, write_embeddings, write_table


@dataclass(frozen=True, repr=False)
class Predictions:
    """Class probabilities of n nodes.

    nodes          [n], ids as in the dataset: int64, or texts
    probabilities  float32 [n, C]: each row adds up to 1 with one class per node, and is C separate probabilities with several
    classes        the dataset's label of each column, as text
    several        whether a node may have several of them
    regression     whether the columns of `probabilities` are the predicted numbers (`values`), and `classes` the names of these columns
    """

    nodes: NDArray[Any]
    probabilities: NDArray[np.float32]
    classes: tuple[str, ...]
    several: bool = False
    regression: bool = False

    @property
    def values(self) -> NDArray[np.float32]:
        """The predicted numbers of a regression, [n, T]."""
        return self.probabilities

    @property
    def labels(self) -> NDArray[np.str_]:
        """The most likely class of each node, as text [n]. Raises UserError for a regression, which has `values`."""
        if self.regression:
            raise UserError("A regression has no classes: the predicted numbers are in `values`.")
        names: NDArray[np.str_] = np.array(self.classes)
        chosen: NDArray[np.str_] = names[self.probabilities.argmax(1)]
        return chosen

    def save(self, path: str | os.PathLike[str], top: int | None = None) -> Path:
        """Write the file `path`, whole or not at all: a table by id (.csv, .parquet; of the `top` most likely classes, if given), or the
        arrays `nodes`, `probabilities` and `classes` (.npz, which is appended to any other name). Raises UserError where that cannot be
        done."""
        if top is not None and self.regression:
            raise UserError(f"top={top} is not valid for a regression, which has no classes. Leave it out.")
        if top is not None and not 1 <= top <= len(self.classes):
            raise UserError(f"top={top} is not valid: expected a number of classes from 1 to {len(self.classes)}.")

        def write(file: IO[bytes], form: str) -> None:
            write_table(file, form, self.nodes, self.probabilities, self.classes, self.several, top, self.regression)

        if self.regression:
            return _saved(Path(path), write, nodes=self.nodes, predictions=self.values)
        return _saved(Path(path), write, nodes=self.nodes, probabilities=self.probabilities, classes=np.array(self.classes))

    def __len__(self) -> int:
        return len(self.nodes)

    def __repr__(self) -> str:
        if self.regression:
            return f"Predictions({len(self)} nodes, {', '.join(self.classes[:SHOWN_CLASSES])})"
        shown = ", ".join(self.classes[:SHOWN_CLASSES]) + ", …" * (len(self.classes) > SHOWN_CLASSES)
        return f"Predictions({len(self)} nodes, {len(self.classes)} classes: {shown})"


@dataclass(frozen=True, repr=False)
class Embeddings:
    """What a layer of the model gives for n nodes.

    nodes   [n], ids as in the dataset: int64, or texts
    values  float32 [n, width]
    layer   1 to the number of layers
    """

    nodes: NDArray[Any]
    values: NDArray[np.float32]
    layer: int

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the file `path`, whole or not at all: a table with `id` and `embedding_0`, … (.csv, .parquet), or the arrays `nodes` and
        `embeddings` (.npz, which is appended to any other name). Raises UserError where that cannot be done."""

        def write(file: IO[bytes], form: str) -> None:
            write_embeddings(file, form, self.nodes, self.values)

        return _saved(Path(path), write, nodes=self.nodes, embeddings=self.values)

    def __len__(self) -> int:
        return len(self.nodes)

    def __repr__(self) -> str:
        return f"Embeddings({len(self)} nodes, {self.values.shape[1]} columns, layer {self.layer})"


def _saved(path: Path, write: Callable[[IO[bytes], str], None], **arrays: NDArray[Any]) -> Path:
    """Write a table by `write(file, form)`, or the arrays; the path that was written. Raises UserError."""
    out = path if path.suffix in (".npz", *FORMS) else path.with_name(path.name + ".npz")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with replaced(out) as file:
            if out.suffix in FORMS:
                write(file, out.suffix)
            else:  # texts in arrays of objects would be pickled
                plain: dict[str, Any] = {name: a.astype(str) if a.dtype.kind == "O" else a for name, a in arrays.items()}
                np.savez(file, **plain)
    except OSError as error:
        raise UserError(f"out={out} cannot be written: {error.strerror}. Choose another path.") from error
    return out
