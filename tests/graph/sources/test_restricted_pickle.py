from __future__ import annotations

import os
import pickle
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gas_cli.errors import UserError
from gas_cli.graph.sources.restricted_pickle import read_adjacency, read_array, read_sparse

MATRIX = sp.csr_matrix(np.array([[0, 1.5, 0], [2, 0, 0]], np.float32))
ARRAY = np.arange(6, dtype=np.int32).reshape(2, 3)
NEIGHBOURS = defaultdict(list, {0: [1, 2], 1: [0], 2: []})


def store(tmp_path: Path, content: Any, protocol: int = 2) -> Path:
    path = tmp_path / "file"
    path.write_bytes(pickle.dumps(content, protocol=protocol))
    return path


@pytest.mark.parametrize("protocol", [2, 3, 4])
def test_round_trip(tmp_path: Path, protocol: int) -> None:
    np.testing.assert_array_equal(read_sparse(store(tmp_path, MATRIX, protocol)).toarray(), MATRIX.toarray())
    np.testing.assert_array_equal(read_array(store(tmp_path, ARRAY, protocol)), ARRAY)
    assert read_adjacency(store(tmp_path, NEIGHBOURS, protocol)) == NEIGHBOURS


class Attack:
    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


@pytest.mark.parametrize(
    "attack", [Attack(os.system, "touch pwned"), Attack(eval, "open('pwned','w')"), Attack(getattr, 1, "real"), Path("/"), np.load]
)
def test_nothing_else_is_admitted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, attack: Any) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"file cannot be used \(UnpicklingError: it asks for .*no graph needs"):
        read_array(store(tmp_path, attack))
    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize("content", [ARRAY, NEIGHBOURS, 3])
def test_not_a_sparse_matrix(tmp_path: Path, content: Any) -> None:
    with pytest.raises(UserError, match="does not hold a sparse matrix"):
        read_sparse(store(tmp_path, content))


@pytest.mark.parametrize("content", [MATRIX, NEIGHBOURS, 3, np.array([None])])
def test_not_an_array(tmp_path: Path, content: Any) -> None:
    with pytest.raises(UserError, match="does not hold an array of numbers"):
        read_array(store(tmp_path, content))


@pytest.mark.parametrize("content", [MATRIX, 3, {0: 1}, {"a": []}, {0: ["a"]}])
def test_not_lists_of_neighbours(tmp_path: Path, content: Any) -> None:
    with pytest.raises(UserError, match="does not hold lists of neighbours"):
        read_adjacency(store(tmp_path, content))


def test_column_out_of_range_is_refused_before_scipy_follows_it(tmp_path: Path) -> None:
    wild = MATRIX.copy()
    wild.indices[0] = 2_000_000
    with pytest.raises(UserError, match="cannot be used"):
        read_sparse(store(tmp_path, wild))


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from([MATRIX, ARRAY, dict(NEIGHBOURS)]), st.data())
def test_damaged_bytes_are_an_error_of_the_user_or_nothing(tmp_path: Path, content: Any, data: st.DataObject) -> None:
    path = store(tmp_path, content)
    damaged = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(0, 3))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(damaged[: data.draw(st.integers(0, len(damaged)))])
    for read in (read_sparse, read_array, read_adjacency):
        try:
            read(path)
        except UserError as error:
            assert str(path) in str(error)
