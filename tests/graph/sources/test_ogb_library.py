from __future__ import annotations

import subprocess
import sys

import pytest

from gas_cli.errors import UserError
from gas_cli.graph.sources import ogb_library
from gas_cli.graph.sources.ogb_library import ogb_evaluator, ogb_metadata

QUIET = """
import os, socket, sys, threading
def refuse(*_): raise SystemExit("a connection was tried")
started = []
threading.Thread.start = lambda self: started.append(self.name)
socket.socket.connect = socket.create_connection = socket.getaddrinfo = refuse
import pandas, sklearn.metrics  # what the evaluator stands on may do as it likes
before, started[:] = dict(os.environ), []
from gas_cli.graph.sources.ogb_library import ogb_evaluator, ogb_metadata
ogb_metadata("ogbn-arxiv"), ogb_evaluator("ogbn-products")
assert not started, started
assert dict(os.environ) == before
assert not {"ogb", "ogb.version", "outdated", "torch_geometric"} & set(sys.modules)
print("quiet")
"""


def test_no_thread_no_connection_no_environment_variable() -> None:
    result = subprocess.run(
        [sys.executable, "-c", QUIET], capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=300, check=False
    )
    assert result.stdout == "quiet\n", result.stderr


def test_metadata() -> None:
    arxiv, products = ogb_metadata("ogbn-arxiv"), ogb_metadata("ogbn-products")
    assert (arxiv.split, arxiv.num_classes, arxiv.add_inverse_edge, arxiv.metric) == ("time", 40, False, "acc")
    assert (products.split, products.num_classes, products.add_inverse_edge) == ("sales_ranking", 47, True)
    assert arxiv.url.endswith(f"/{arxiv.download_name}.zip")


def test_evaluator_counts_correct_nodes() -> None:
    import numpy as np

    evaluator = ogb_evaluator("ogbn-arxiv")
    truth = np.array([[0], [1], [2], [3]])
    assert evaluator.eval({"y_true": truth, "y_pred": np.array([[0], [1], [2], [0]])}) == {"acc": 0.75}
    assert evaluator.eval_metric == "acc"


@pytest.mark.parametrize("function", [ogb_metadata, ogb_evaluator])
def test_unknown_name(function: object, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UserError, match=r"OGB has no dataset 'ogbn-cora': expected one of .*ogbn-arxiv"):
        function("ogbn-cora")  # type: ignore[operator]
    assert capsys.readouterr().out == ""


def test_without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ogb_library.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="pip install ogb"):
        ogb_metadata("ogbn-arxiv")
