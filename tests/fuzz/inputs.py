"""Damaged files of a custom graph, in every form: gas-data check, or a short training."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
import torch

from gas_cli.ops.csr import CSR
from tests.fuzz.arrays import damage_header, other_array, other_leaf
from tests.fuzz.command import command
from tests.fuzz.damage import Rng, damage_bytes, damage_text, damage_whole, pick
from tests.fuzz.verdict import OTHER_DATA, SAME, SHORT, Verdict, verdict

NODES = 48
TRAINING = ("partitioner=random", "partitioner.num_parts=4", "partitioner.cache=null", "trainer.batch_parts=2", "trainer.epochs=1")
FORMS = (".csv", ".npy", ".parquet")
MATRICES = ("csr", "csc", "coo", "bsr", "dia")
CHECKED = (".npz", ".pt")
"""Forms whose archives have checksums: no damaged byte of them may give another graph."""

Tables = dict[str, np.ndarray]


def tables() -> Tables:
    """A graph of two features' columns that are whole and two that are not, three classes, weights and attributes of edges."""
    rng = np.random.default_rng(0)
    edges = np.unique(rng.integers(0, NODES, (2, 4 * NODES)), axis=1)
    edges = edges[:, edges[0] != edges[1]]
    features = np.column_stack([rng.integers(0, 5, (NODES, 2)), rng.integers(-9, 9, (NODES, 2)) / 8]).astype(np.float32)
    found = {"edges": edges, "features": features, "labels": np.arange(NODES) * 7 % 3}
    found |= {"edge_weight": rng.integers(1, 9, edges.shape[1]).astype(np.float32)}
    return found | {f"{part}_mask": np.arange(NODES) % 3 == number for number, part in enumerate(("train", "val", "test"))}


def write(path: Path, values: np.ndarray) -> None:
    """One table in the form that the suffix of `path` says."""
    rows = values.T if path.stem == "edges" and values.ndim == 2 else values
    if path.suffix == ".npy":
        np.save(path, values, allow_pickle=True)
    elif path.suffix == ".csv":
        frame = pd.DataFrame(rows.astype(int) if rows.dtype == bool else rows)
        frame.to_csv(path, header=False, index=False)
    else:
        pd.DataFrame(rows, columns=[f"c{i}" for i in range(1 if rows.ndim == 1 else rows.shape[1])]).to_parquet(path)


def matrix(graph: Tables, stem: str, form: str) -> Any:
    """Edges with their weights, or features, as a matrix of scipy."""
    if stem == "features":
        return sp.coo_array(graph["features"]).asformat(form)
    return sp.coo_array((graph["edge_weight"], tuple(graph["edges"])), shape=(NODES, NODES)).asformat(form)


def write_matrix(path: Path, found: Any, compressed: bool) -> None:
    sp.save_npz(path, found, compressed=compressed)


def tensors(graph: Tables) -> dict[str, torch.Tensor]:
    names = {"edges": "edge_index", "features": "x", "labels": "y"}
    return {names.get(stem, stem): torch.from_numpy(values) for stem, values in graph.items()}


class Inputs:
    """`form` of each file is drawn per case; the graph that all intact forms give is loaded once, by a command."""

    def __init__(self, place: Path) -> None:
        self.tables = tables()
        self.intact: dict[str, str] = {}
        for form in FORMS:
            folder = place / form[1:]
            graph = folder / "graph"
            graph.mkdir(parents=True)
            for stem, values in self.tables.items():
                write(graph / f"{stem}{form}", values)
            found = check(folder, graph, command_of(np.random.default_rng(0), graph, always_check=True))[1]
            assert found, f"the intact {form} files are refused: {(folder / 'err.txt').read_text()}"
            assert self.intact in ({}, found), f"the intact {form} files give another graph"
            self.intact = found

    def case(self, rng: Rng, folder: Path) -> tuple[str, Verdict]:
        graph, said, noticed = (self._saved if rng.random() < 0.2 else self._folder)(rng, folder)
        argv = command_of(rng, graph)
        result, found = check(folder, graph, argv)
        what = f"{argv[0]} on {said}"
        if result.outcome != SAME or found == self.intact:
            return what, result
        differs = ", ".join(key for key in self.intact if found.get(key) != self.intact[key])
        return what, Verdict(SHORT if noticed else OTHER_DATA, f"accepted with other {differs}")

    def _folder(self, rng: Rng, folder: Path) -> tuple[Path, str, bool]:
        """A folder of files with one that is damaged; whether an archive's checksum must notice."""
        graph = folder / "graph"
        graph.mkdir()
        common = pick(rng, FORMS) if rng.random() < 0.7 else ""
        for stem, values in self.tables.items():
            write(graph / f"{stem}{common or pick(rng, FORMS)}", values)
        matrices = [stem for stem in ("edges", "features") if rng.random() < 0.25]
        for stem in matrices:
            next(graph.glob(f"{stem}.*")).unlink()
            write_matrix(graph / f"{stem}.npz", matrix(self.tables, stem, pick(rng, MATRICES)), rng.random() < 0.5)
        if "edges" in matrices:
            next(graph.glob("edge_weight.*")).unlink()
        files = sorted(graph.iterdir())
        path = files[int(rng.integers(len(files)))]
        whole = rng.random() < 0.1
        if whole:
            return graph, damage_whole(rng, path, files), False
        return graph, *self._damaged(rng, path)

    def _damaged(self, rng: Rng, path: Path) -> tuple[str, bool]:
        inside = INSIDE[path.suffix]
        if rng.random() < 0.4:
            return damage_bytes(rng, path), path.suffix in CHECKED
        return inside(rng, path, self.tables), False

    def _saved(self, rng: Rng, folder: Path) -> tuple[Path, str, bool]:
        """A file of torch, damaged or crafted."""
        from torch_geometric.data import Data

        path, values = folder / "graph.pt", dict[str, Any](tensors(self.tables))
        said = ""
        if rng.random() < 0.6:
            key = pick(rng, list(values))
            if rng.random() < 0.1:
                del values[key]
                said = f"graph.pt: {key} missing"
            else:
                name, values[key] = other_leaf(rng, values[key])
                said = f"graph.pt: {key}: {name}"
        whole = values if rng.random() < 0.5 else Data.from_dict(values)
        try:
            torch.save(whole, path, _use_new_zipfile_serialization=bool(rng.random() < 0.9))
        except Exception as error:  # what torch itself cannot write is no file that anybody has
            torch.save(tensors(self.tables), path)
            said += f" (not writable: {type(error).__name__})"
        if said:
            return path, said, False
        modern = path.read_bytes()[:2] == b"PK"
        return path, damage_bytes(rng, path), modern


def command_of(rng: Rng, graph: Path, always_check: bool = False) -> list[str]:
    if always_check or rng.random() < 0.7:
        return ["gas-data", "check", str(graph)]
    return ["gas-train", "dataset=folder", f"dataset.path={graph}", *TRAINING, "hydra.run.dir=run"]


def check(folder: Path, graph: Path, argv: list[str]) -> tuple[Verdict, dict[str, str]]:
    """The verdict on a command, and the fingerprints of the graph that it has loaded."""
    seen = folder / "loaded.json"
    result = verdict(command(folder, *argv, first=lambda: noting_graphs(seen)))
    return result, json.loads(seen.read_text()) if seen.exists() else {}


def noting_graphs(file: Path) -> None:
    """Every graph that this process loads is noted in `file`."""
    import gas_cli.graph.load
    import gas_cli.prepared.graph_layer

    load = gas_cli.graph.load.load_graph

    def noting(*arguments: Any, **named: Any) -> Any:
        graph = load(*arguments, **named)
        file.write_text(json.dumps(graph_fingerprints(graph)))
        return graph

    gas_cli.graph.load.load_graph = noting
    gas_cli.prepared.graph_layer.load_graph = noting  # type: ignore[attr-defined]


def graph_fingerprints(graph: Any) -> dict[str, str]:
    """A hash of each thing that a graph holds, whatever form it is in."""
    features = graph.x.to_scipy().toarray() if isinstance(graph.x, CSR) else graph.x.numpy()
    held = {"edges": [graph.adj.rowptr, graph.adj.col], "weights": [graph.adj.value], "features": [features], "labels": [graph.y]}
    held |= {"masks": [mask for split in graph.splits for mask in (split.train, split.val, split.test)]}
    return {name: "".join(_digest(np.asarray(part)) for part in parts) for name, parts in held.items()}


def _digest(array: np.ndarray) -> str:
    return hashlib.sha256(repr((array.dtype.str, array.shape)).encode() + array.tobytes()).hexdigest()[:16]


def _text(rng: Rng, path: Path, _: Tables) -> str:
    words = [damage_text(rng, path)]
    if rng.random() < 0.3:
        words.append(damage_text(rng, path))
    return "; ".join(words)


def _array(rng: Rng, path: Path, graph: Tables) -> str:
    if rng.random() < 0.3:
        said, data = damage_header(rng, path.read_bytes())
        path.write_bytes(data)
        return f"{path.name}: {said}"
    said, values = other_array(rng, graph[path.stem])
    write(path, values)
    return f"{path.name}: {said}"


def _frame(rng: Rng, path: Path, _: Tables) -> str:
    frame = pd.read_parquet(path)
    name = pick(rng, list(FRAMES))
    try:
        FRAMES[name](frame).to_parquet(path)
    except Exception as error:
        return f"{path.name}: intact ({name} is not writable: {type(error).__name__})"
    return f"{path.name}: {name}"


def _with(column: Callable[[pd.Series], Any]) -> Callable[[pd.DataFrame], pd.DataFrame]:
    return lambda frame: frame.assign(**{frame.columns[-1]: column(frame.iloc[:, -1])})


FRAMES: dict[str, Callable[[pd.DataFrame], pd.DataFrame]] = {
    "text": _with(lambda c: c.astype(str)),
    "text that is no number": _with(lambda c: ["a"] * len(c)),
    "an empty value": _with(lambda c: c.astype(object).where(np.arange(len(c)) != 5, None)),
    "nullable whole numbers": _with(lambda c: pd.array([None, *range(len(c) - 1)], dtype="Int64")),
    "lists": _with(lambda c: [[1, 2]] * len(c)),
    "times": _with(lambda c: pd.date_range("2020", periods=len(c))),
    "categories": _with(lambda c: c.astype(str).astype("category")),
    "float16": _with(lambda c: c.astype(np.float16)),
    "infinite": _with(lambda c: c.astype(float) + np.inf),
    "NaN": _with(lambda c: c.astype(float).where(np.arange(len(c)) != 3)),
    "negative": _with(lambda c: -1 - c.astype(float)),
    "a column more": lambda frame: frame.assign(more=1),
    "a column less": lambda frame: frame.iloc[:, :-1],
    "a row less": lambda frame: frame.iloc[:-1],
    "rows in another order": lambda frame: frame.iloc[::-1],
    "no rows": lambda frame: frame.iloc[:0],
    "an index of text": lambda frame: frame.set_index(pd.Index([f"n{i}" for i in range(len(frame))])),
    "no columns": lambda frame: frame[[]],
}


def _matrix(rng: Rng, path: Path, _: Tables) -> str:
    """One array of a matrix's archive is another."""
    with np.load(path, allow_pickle=False) as archive:
        arrays = dict(archive)
    key = pick(rng, list(arrays))
    if rng.random() < 0.15:
        del arrays[key]
        said = "missing"
    elif key == "format":
        arrays[key] = np.array([pick(rng, ["csr", "coo", "lil", "", "x" * 99]).encode()])
        said = f"is {arrays[key][0]!r}"
    else:
        said, arrays[key] = other_array(rng, arrays[key])
    (np.savez if rng.random() < 0.5 else np.savez_compressed)(path, **arrays)
    return f"{path.name}: {key}: {said}"


INSIDE: dict[str, Callable[[Rng, Path, Tables], str]] = {".csv": _text, ".npy": _array, ".parquet": _frame, ".npz": _matrix}
