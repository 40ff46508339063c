from __future__ import annotations

import numpy as np
import scipy.sparse as sp
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch_geometric.data import Data
from torch_geometric.transforms import NormalizeFeatures

from gas_cli.graph.features import compact, normalise_rows
from gas_cli.ops.csr import CSR


def random_matrix(seed: int, density: float) -> sp.csr_array:
    return sp.csr_array(sp.random(23, 40, density, random_state=seed, format="csr", dtype=np.float32))


@given(st.integers(0, 1000), st.floats(0, 1))
def test_compact_keeps_the_values_and_takes_the_smaller_form(seed: int, density: float) -> None:
    matrix = random_matrix(seed, density)
    x = compact(matrix.copy())
    dense = matrix.toarray()
    assert isinstance(x, CSR) == (np.count_nonzero(dense) * 8 < dense.nbytes / 2)
    assert torch.equal(x.to_dense(), torch.from_numpy(dense))


def test_stored_zeros_do_not_count() -> None:
    zeros = sp.csr_array((np.zeros(23, np.float32), (np.arange(23), np.arange(23))), shape=(23, 40))
    x = compact(zeros)
    assert isinstance(x, CSR) and x.nnz == 0


@settings(deadline=None)
@given(st.integers(0, 1000), st.floats(0, 0.5), st.floats(0.01, 10))
def test_normalise_rows_equals_pyg(seed: int, density: float, scale: float) -> None:
    matrix = random_matrix(seed, density) * np.float32(scale)
    expected = NormalizeFeatures()(Data(x=torch.from_numpy(matrix.toarray()))).x
    torch.testing.assert_close(torch.from_numpy(normalise_rows(matrix).toarray()), expected)
