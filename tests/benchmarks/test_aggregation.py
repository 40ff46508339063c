"""Aggregation: all variants compute the same, the bytes are those of the formula, shares are of the bandwidth."""

from __future__ import annotations

import pytest
import torch

from benchmarks.aggregation import compare, floor, no_cache, shares
from benchmarks.lib.aggregators import AGGREGATIONS, OTHERS, SUMS, Missing, check_equal, make_case
from benchmarks.lib.bandwidth import measure_bandwidth, streams
from benchmarks.lib.turns import clock_of
from gas_cli.graph.normalize import normalize
from gas_cli.ops.csr import CSR
from tests.builders import random_adjacency


def symmetric(num_nodes: int = 60) -> CSR:
    adj = CSR.from_scipy(random_adjacency(num_nodes, 5, 0))
    adj.symmetric = True
    return normalize(adj, "sym", True)


@pytest.mark.parametrize("name", AGGREGATIONS)
def test_all_variants_have_one_output_and_one_gradient(name: str) -> None:
    case = make_case(symmetric(), AGGREGATIONS[name], 6)
    expected = OTHERS["pyg"](case)()
    assert expected[0].shape == (60, 6 * len(AGGREGATIONS[name])) and expected[1].shape == (60, 6)
    for variant, make in (SUMS if name == "weighted sum" else OTHERS).items():
        try:
            found = make(case)()
        except Missing as missing:
            assert "not installed" in str(missing)
            continue
        for one, other in zip(found, expected, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4, msg=f"{name}, {variant}")


def test_no_two_neighbours_tie_for_the_largest() -> None:
    """As they would among many random numbers of 24 bits."""
    case = make_case(CSR(torch.arange(200_001), torch.zeros(200_000, dtype=torch.int32), torch.ones(200_000), 1), ("max",), 3)
    assert all(channel.unique().numel() == 200_000 for channel in case.x.T)


def test_a_variant_that_computes_something_else_is_not_timed() -> None:
    right = torch.randn(5, 2), torch.randn(5, 2)
    check_equal("x", right, right)
    for wrong in ((right[0] * 1.1, right[1]), (right[0], right[1] * float("nan"))):
        with pytest.raises(SystemExit, match="of x differs by"):
            check_equal("x", wrong, right)


def test_the_bytes_are_those_of_the_arrays() -> None:
    """In both passes: the matrix, a table written, and a table read once or a row of it per edge."""
    adj, channels = symmetric(), 6
    table = torch.empty(adj.num_rows, channels).nbytes
    assert floor(adj.num_rows, adj.nnz, channels) == 2 * (adj.nbytes + 2 * table)
    rows_read = torch.empty(adj.nnz, channels).nbytes
    assert no_cache(adj.num_rows, adj.nnz, channels) == 2 * (adj.nbytes + rows_read + table)


def test_rows_tell_shares_of_the_bandwidth_where_the_bytes_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.lib.bandwidth.streams.__defaults__", (1 << 16,))
    clock = clock_of(1)[0]
    sums = compare(make_case(symmetric(), ("sum",), 6), "weighted sum", 2, clock)
    assert [row["variant"] for row in sums][:2] == ["ours", "ours, transpose"] and sums[0]["times_ours"] == 1
    assert shares(sums[0])["floor"] == pytest.approx(sums[0]["floor"] / sums[0]["median"] / sums[0]["bandwidth"])
    assert shares(sums[0])["no_cache"] > shares(sums[0])["floor"] > 0
    assert shares(compare(make_case(symmetric(), ("max",), 6), "max", 1, clock)[0]) == {}


def test_streams_do_what_they_are_counted_for() -> None:
    found = streams(torch.device("cpu"), 1 << 12)
    assert {name: stream.nbytes for name, stream in found.items()} == {"copy": 2 << 12, "triad": 3 << 12}
    assert found["triad"].step().eq(4).all() and found["copy"].step().eq(1).all()
    assert measure_bandwidth(torch.device("cpu"), clock_of(2)[0], rounds=2, array_bytes=1 << 16) > 0
