"""CSR: round trips."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gas_cli.ops import csr_tensors
from gas_cli.ops.csr import CSR
from gas_cli.ops.kernels import csr_kernels
from tests.builders import adjacencies, random_adjacency


@settings(max_examples=40, deadline=None)
@given(adjacencies())
def test_transpose_equals_scipy_and_is_an_involution(graph):
    a = CSR.from_scipy(graph[0])
    assert (a.transpose().to_scipy() != graph[0].T).nnz == 0
    assert (a.transpose().transpose().to_scipy() != graph[0]).nnz == 0
    assert a.transpose() is a.transpose()


def test_a_symmetric_matrix_is_its_own_transpose():
    a = CSR.from_scipy(random_adjacency(9, 3, 0))
    a.symmetric = True
    assert a.transpose() is a


@settings(max_examples=20, deadline=None)
@given(adjacencies())
def test_transposed_entries_carry_tables_of_edges(graph):
    a = CSR.from_scipy(graph[0])
    a.value = torch.arange(1.0, a.nnz + 1)
    assert np.array_equal(a.transpose().arrays[2], a.arrays[2][a.transposed_entries])


def test_rows_and_row_ranges_equal_dense_indexing():
    a = CSR.from_scipy(random_adjacency(20, 4, 1, directed=True))
    index = torch.tensor([7, 7, 0, 19])
    assert torch.equal(a.rows(index).to_dense(), a.to_dense()[index])
    assert torch.equal(a.row_ranges([(2, 5), (9, 9), (15, 20)]).to_dense(), torch.cat([a.to_dense()[2:5], a.to_dense()[15:20]]))
    assert torch.equal(a.row_ranges([(3, 8)]).to_dense(), a.to_dense()[3:8])


def test_dtypes_are_narrow():
    a = CSR.from_scipy(random_adjacency(20, 4, 1).astype(np.float64))
    assert (a.rowptr.dtype, a.col.dtype, a.value.dtype) == (torch.int64, torch.int32, torch.float32)
    assert a.nbytes == 21 * 8 + a.nnz * 8


@settings(max_examples=30, deadline=None)
@given(adjacencies(), st.data())
def test_whole_tensor_operations_equal_the_kernels(graph, data):
    a = CSR.from_scipy(graph[0])
    a.value = torch.arange(1.0, a.nnz + 1)
    index = torch.tensor(data.draw(st.lists(st.integers(0, a.num_rows - 1), max_size=8)), dtype=torch.int64)
    rowptr, col, entry = csr_tensors.transpose(a.rowptr, a.col, a.num_cols)
    pairs = [
        ((rowptr, col, a.value[entry]), csr_kernels.transpose(*a.arrays, a.num_cols)),
        (csr_tensors.gather_rows(a.rowptr, a.col, a.value, index), csr_kernels.gather_rows(*a.arrays, index.numpy())),
    ]
    for found, expected in pairs:
        for one, other in zip(found, expected, strict=True):
            assert one.numpy().dtype == other.dtype and np.array_equal(one.numpy(), other)


@pytest.mark.gpu
def test_cuda_rearranges_as_the_cpu_does():
    a = CSR.from_scipy(random_adjacency(200, 6, 1, directed=True))
    index, on_gpu = torch.tensor([7, 7, 0, 199]), a.to("cuda")
    pairs = [
        (on_gpu.transpose(), a.transpose()),
        (on_gpu.rows(index.cuda()), a.rows(index)),
        (on_gpu.only_rows(torch.tensor([3, 9]).cuda()), a.only_rows(torch.tensor([3, 9]))),
        (on_gpu.row_ranges([(2, 5), (9, 9), (15, 20)]), a.row_ranges([(2, 5), (9, 9), (15, 20)])),
    ]
    other = torch.rand(a.nnz)
    pairs.append((on_gpu.with_values(other.cuda()).transpose(), a.with_values(other).transpose()))
    for found, expected in pairs:
        assert found.device.type == "cuda" and found.shape == expected.shape
        for name in ("rowptr", "col", "value"):
            assert torch.equal(getattr(found, name).cpu(), getattr(expected, name))
