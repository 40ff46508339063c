"""`dataset.normalize`: the same numbers as scikit-learn and PyG, in every form of the features."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.preprocessing import StandardScaler, normalize
from torch_geometric.data import Data
from torch_geometric.transforms import NormalizeFeatures

from gas_cli.config.compose import compose_config
from gas_cli.config.dataset import DatasetConfig
from gas_cli.errors import UserError
from gas_cli.graph import scaling
from gas_cli.graph.describe import scale_notes
from gas_cli.graph.graph import Graph, Split
from gas_cli.graph.scaling import find_scaling, scaled
from gas_cli.graph.schema import Scaling, Schema
from gas_cli.ops.csr import CSR
from tests.builders import make_graph, random_adjacency

N = 50


def graph_of(x: np.ndarray | sp.csr_array, train: list[list[int]] | None = None) -> Graph:
    """With one split per list of training nodes."""
    masks = []
    for nodes in [list(range(0, N, 3))] if train is None else train:
        masks.append(torch.zeros(N, dtype=torch.bool))
        masks[-1][nodes] = True
    none = torch.zeros(N, dtype=torch.bool)
    features = CSR.from_scipy(x) if sp.issparse(x) else torch.from_numpy(np.asarray(x, np.float32))
    return replace(make_graph(random_adjacency(N, 4, 0)), x=features, splits=tuple(Split(mask, none, none) for mask in masks))


def normalised(graph: Graph, kind: str, in_memory: bool = True, split: int = -1) -> Graph:
    found = find_scaling(graph, DatasetConfig("mine", normalize=kind, split=split))
    assert found is not None
    return scaled(graph, found, in_memory)


def numbers(seed: int = 0) -> np.ndarray:
    """Columns of very different scale and offset; the last one is constant among the training nodes, the one before everywhere."""
    rng = np.random.default_rng(seed)
    x = (rng.standard_normal((N, 5)) * [1, 1e-4, 1e5, 1, 1] + [0, 3, -1e6, 0, 0]).astype(np.float32)
    x[:, 3], x[::3, 4] = 0.1, 0.7
    return x


def test_standard_is_scikit_learn_s_scaler_of_the_training_nodes() -> None:
    x = numbers()
    found = normalised(graph_of(x), "standard").x.numpy()
    expected = StandardScaler().fit(x[::3].astype(np.float64)).transform(x.astype(np.float64))
    np.testing.assert_allclose(found[:, :3], expected[:, :3], rtol=1e-5, atol=1e-6)
    assert (found[:, 3:] == 0).all()  # also of nodes that do not train, where scikit-learn leaves a number that no weight has learnt
    train = found[::3, :3].astype(np.float64)
    np.testing.assert_allclose(train.mean(0), 0, atol=1e-6)
    np.testing.assert_allclose(train.std(0), 1, rtol=1e-6)


def test_several_splits_share_the_statistics_of_all_that_train(caplog: pytest.LogCaptureFixture) -> None:
    x = numbers()
    graph = graph_of(x, [[0, 1, 2, 3], [2, 3, 4, 5, 6]])
    with caplog.at_level("INFO"):
        found = normalised(graph, "standard")
    assert "the 7 nodes that train in any of the 2 splits" in caplog.text
    assert torch.equal(found.x, normalised(graph_of(x, [list(range(7))]), "standard").x)
    assert torch.equal(normalised(graph, "standard", split=1).x, normalised(graph_of(x, [[2, 3, 4, 5, 6]]), "standard").x)


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 1000), st.floats(0, 0.5))
def test_rows_add_up_to_one_dense_as_sparse_as_scikit_learn_has_it(seed: int, density: float) -> None:
    matrix = sp.csr_array(sp.random(N, 40, density, random_state=seed, format="csr", data_rvs=np.random.default_rng(seed).standard_normal))
    dense, sparse = (normalised(graph_of(x), "row").x for x in (matrix.toarray(), matrix))
    assert isinstance(sparse, CSR) and sparse.nnz == matrix.nnz
    np.testing.assert_allclose(dense.numpy(), normalize(matrix.astype(np.float32).toarray(), "l1"), rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(sparse.to_dense().numpy(), dense.numpy(), rtol=1e-6)
    sums = dense.abs().sum(1)
    assert torch.isclose(sums, torch.where(sums > 0, 1.0, 0.0)).all()


def test_rows_of_words_are_those_of_pyg() -> None:
    counts = np.random.default_rng(0).integers(0, 4, (N, 20)).astype(np.float32)
    counts[7] = 0
    expected = NormalizeFeatures()(Data(x=torch.from_numpy(counts.copy()))).x
    torch.testing.assert_close(normalised(graph_of(counts), "row").x, expected)


@pytest.mark.parametrize("form", [np.asarray, sp.csr_array])
def test_rows_that_add_up_to_one_stay(form: type, caplog: pytest.LogCaptureFixture) -> None:
    once = normalised(graph_of(form(numbers())), "row")
    with caplog.at_level("INFO"):
        twice = normalised(once, "row")
    assert "dataset.normalize=row changes nothing" in caplog.text
    values = [graph.x.value if isinstance(graph.x, CSR) else graph.x for graph in (once, twice)]
    assert torch.equal(*values)


@pytest.mark.parametrize("kind", ["row", "standard"])
def test_a_file_has_the_bits_of_the_tensor_whatever_the_blocks(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    graph = graph_of(numbers())
    expected = normalised(graph, kind)
    monkeypatch.setattr(scaling, "VALUES_AT_A_TIME", 5 * 7)
    found = scaled(graph, expected.schema.scaling, in_memory=False)
    assert torch.equal(found.x, expected.x) and found.schema == expected.schema
    again = normalised(graph, kind)  # sums of other blocks
    torch.testing.assert_close(again.x, expected.x)


def test_nodes_whose_rows_stand_elsewhere_train_with_these() -> None:
    x, order = numbers(), torch.randperm(N, generator=torch.Generator().manual_seed(0))
    graph = graph_of(x)
    moved = replace(graph, x=graph.x[order], x_row=torch.argsort(order))
    found = normalised(moved, "standard")
    torch.testing.assert_close(found.x[found.x_row], normalised(graph, "standard").x)


def test_what_is_refused() -> None:
    x = numbers()
    with pytest.raises(UserError, match=r"features are sparse.* Type dataset.normalize=row"):
        normalised(graph_of(sp.csr_array(x)), "standard")
    with pytest.raises(UserError, match=r"no split.*dataset.make_split=random"):
        normalised(graph_of(x, []), "standard")
    x[1, 1] = 3e38
    with pytest.raises(UserError, match=r"column 1 of the features is too far .*mean is 3\.0"):
        normalised(graph_of(x), "standard")
    with pytest.raises(UserError, match=r"dataset.normalize=minmax .*row, standard"):
        compose_config(["dataset=cora", "dataset.normalize=minmax"])


def test_the_numbers_survive_json_to_the_last_bit_and_others_are_refused() -> None:
    schema = normalised(graph_of(numbers()), "standard").schema
    assert Schema.from_json(schema.as_json()) == schema and schema.as_text() == ""
    assert Schema.from_json({"features": [], "edge_attributes": [], "ids": "rows"}).scaling is None  # of an earlier version
    for wrong in ({"kind": "minmax"}, {"std": (1.0,)}, {"mean": (float("nan"),) * 5}, {"std": (-1.0,) * 5}, {"kind": "row"}):
        with pytest.raises(ValueError, match="scale of the features"):
            Scaling.from_json(schema.as_json()["scaling"] | wrong)


def test_columns_of_other_scales_are_noted() -> None:
    (note,) = scale_notes(graph_of(numbers()))
    assert "deviations from" in note and "dataset.normalize=standard" in note
    assert scale_notes(normalised(graph_of(numbers()), "standard")) == []
    assert scale_notes(graph_of(np.random.default_rng(0).random((N, 4)))) == []
    assert scale_notes(graph_of(np.ones((N, 2)))) == []
