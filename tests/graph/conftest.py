"""Tiny raw folders in the layouts that the sources read, the real ones where they are present, and a local web server."""

from __future__ import annotations

import gzip
import os
import pickle
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp

from gas_cli.graph.sources import npz

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def real_data() -> Path:
    root = Path(os.environ.get("GAS_DATA") or REPOSITORY.parent / "shared" / "datasets")
    if not (root / "Planetoid").is_dir():
        pytest.skip(f"no real datasets in {root} (set GAS_DATA)")
    return root


def write_table(path: Path, table: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    table = np.asarray(table)
    with gzip.open(path, "wt") as out:
        np.savetxt(out, table, delimiter=",", fmt="%d" if table.dtype.kind == "i" else "%.6f")


@dataclass
class FakeOgb:
    """A folder like ogb's, with the arrays that were written into it."""

    folder: Path
    scheme: str
    edges: np.ndarray
    x: np.ndarray
    y: np.ndarray
    split: dict[str, np.ndarray]


@pytest.fixture
def fake_ogb(tmp_path: Path) -> Callable[..., FakeOgb]:
    def write(name: str = "arxiv", suffix: str = "") -> FakeOgb:
        rng = np.random.default_rng(0)
        scheme = {"arxiv": "time", "products": "sales_ranking"}[name]
        folder = tmp_path / f"ogbn_{name}{suffix}"
        edges, x, y = rng.integers(0, 20, (60, 2)), rng.standard_normal((20, 5)), rng.integers(0, 3, (20, 1))
        split = {"train": np.arange(10), "valid": np.arange(10, 15), "test": np.arange(15, 20)}
        tables = {"edge": edges, "node-feat": x, "node-label": y, "num-node-list": [20], "num-edge-list": [60]}
        for table, content in tables.items():
            write_table(folder / f"raw/{table}.csv.gz", content)
        for part, ids in split.items():
            write_table(folder / f"split/{scheme}/{part}.csv.gz", ids)
        return FakeOgb(folder, scheme, edges, x, y, split)

    return write


@pytest.fixture
def fake_planetoid(tmp_path: Path) -> Callable[..., Path]:
    """Writes `ind.<name>.*` with gaps in the test ids, as CiteSeer has them; returns the raw folder."""

    def write(name: str = "citeseer", title: str = "CiteSeer") -> Path:
        rng = np.random.default_rng(0)
        raw = tmp_path / "Planetoid" / title / "raw"
        raw.mkdir(parents=True)
        num_all, test = 640, np.array([645, 640, 642, 647])
        x = sp.csr_matrix((rng.random((num_all + 4, 30)) < 0.1).astype(np.float32))
        y = np.eye(6, dtype=np.int32)[rng.integers(0, 6, num_all + 4)]
        ends = rng.integers(0, 648, (2, 900))
        graph: dict[int, list[int]] = {node: [] for node in range(648)}
        for a, b in ends.T.tolist():
            graph[a].append(b)
            graph[b].append(a)
        contents = {"x": x[:60], "tx": x[num_all:], "allx": x[:num_all], "y": y[:60], "ty": y[num_all:], "ally": y[:num_all]}
        for part, content in {**contents, "graph": graph}.items():
            (raw / f"ind.{name}.{part}").write_bytes(pickle.dumps(content, protocol=2))
        (raw / f"ind.{name}.test.index").write_text("\n".join(map(str, test)) + "\n")
        return raw

    return write


@pytest.fixture
def fake_npz(tmp_path: Path) -> Callable[..., Path]:
    """Writes Amazon Photo's file (or another of its kind) with 40 nodes; keyword arguments replace arrays (None leaves one out)."""

    def write(name: str = "amazon-photo", **replaced: Any) -> Path:
        rng, origin = np.random.default_rng(0), npz.ORIGINS[name]
        attributes = sp.csr_array(rng.integers(0, 3, (40, 12)) * (rng.random((40, 12)) < 0.1).astype(np.float32))
        links = sp.csr_array((rng.random((40, 40)) < 0.1).astype(np.float32))
        arrays = {
            f"{key}_{part}": getattr(m, part)
            for key, m in (("attr", attributes), ("adj", links))
            for part in ("data", "indices", "indptr", "shape")
        }
        arrays["labels"] = np.arange(40) % origin.num_classes
        arrays = {key: value for key, value in {**arrays, **replaced}.items() if value is not None}
        path = tmp_path / origin.collection / origin.title / "raw" / origin.file
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez(path, **arrays)
        return path

    return write


@dataclass
class WebServer:
    """Serves `content`: `cut` lists after how many bytes each coming answer breaks off, `status` the errors to give first."""

    content: bytes = b""
    content_type: str = "application/octet-stream"
    ranges: bool = True
    cut: list[int] = field(default_factory=list)
    status: list[int] = field(default_factory=list)
    asked: list[str | None] = field(default_factory=list)
    url: str = ""


@pytest.fixture
def web_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[WebServer]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    served = WebServer()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            served.asked.append(self.headers.get("Range"))
            if served.status:
                return self.send_error(served.status.pop(0))
            start = int(self.headers["Range"].removeprefix("bytes=").rstrip("-")) if served.ranges and self.headers["Range"] else 0
            total = len(served.content)
            if start >= total > 0:
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{total}")
                return self.end_headers()
            self.send_response(206 if start else 200)
            if start:
                self.send_header("Content-Range", f"bytes {start}-{total - 1}/{total}")
            self.send_header("Content-Type", served.content_type)
            self.send_header("Content-Length", str(total - start))
            self.end_headers()
            stop = start + served.cut.pop(0) if served.cut else total
            self.wfile.write(served.content[start:stop])
            return None

        def log_message(self, *_: Any) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    served.url = f"http://127.0.0.1:{server.server_address[1]}/file.bin"
    yield served
    server.shutdown()
    server.server_close()
    thread.join()
