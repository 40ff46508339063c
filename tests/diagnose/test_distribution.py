"""Distributions: equal to their definitions, and safe to write as JSON."""

import json
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gas_cli.diagnose.distribution import by_age, by_decile, short, summarize, summarize_low

NUMBERS = st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=60)


@given(NUMBERS)
def test_summaries_equal_numpy(values):
    x = np.array(values, np.float32)
    found, low = summarize(torch.from_numpy(x)), summarize_low(torch.from_numpy(x))
    expected = {name: np.percentile(x, q, method="inverted_cdf") for name, q in (("p50", 50), ("p95", 95), ("max", 100))}
    assert found == pytest.approx({"mean": x.mean(dtype=np.float64), **expected}, rel=1e-5)
    assert low["min"] == pytest.approx(x.min(), rel=1e-5) and low["mean"] == pytest.approx(found["mean"])
    assert low["p5"] <= low["p50"]


def test_what_json_does_not_know_becomes_none():
    assert summarize(torch.tensor([1.0, math.inf, math.nan]))["max"] is None
    assert summarize(torch.zeros(0)) == {"mean": None, "p50": None, "p95": None, "max": None}
    assert set(summarize_low(torch.zeros(0)).values()) == {None}
    assert short(math.nan) is None and short(0.123456789) == 0.123457
    json.dumps(summarize(torch.tensor([math.nan])), allow_nan=False)


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=80))
def test_groups_of_ages_hold_every_node_once_below_their_bound(ages):
    groups = by_age(torch.tensor(ages))
    assert groups.up_to[:2] == [0, 1] and sum(groups.sizes) == len(ages)
    assert all(b == 2 * a for a, b in zip(groups.up_to[1:], groups.up_to[2:], strict=False))
    for age, group in zip(ages, groups.group.tolist(), strict=True):
        assert age <= groups.up_to[group] and (group == 0 or age > groups.up_to[group - 1])


@given(st.lists(st.integers(0, 30), min_size=1, max_size=80))
def test_deciles_are_ascending_and_means_are_those_of_the_group(keys):
    groups = by_decile(torch.tensor(keys))
    assert groups.up_to == sorted(set(groups.up_to)) and groups.up_to[-1] == max(keys) and len(groups.up_to) <= 10
    assert min(groups.sizes) > 0 and sum(groups.sizes) == len(keys)
    means = groups.means(torch.tensor(keys, dtype=torch.float32))
    for number, mean in enumerate(means):
        assert mean == pytest.approx(np.mean([k for k, g in zip(keys, groups.group.tolist(), strict=True) if g == number]), rel=1e-5)


def test_distinct_keys_fall_into_ten_equal_groups_and_an_empty_one_has_no_mean():
    assert by_decile(torch.randperm(50)).sizes == [5] * 10
    assert by_age(torch.tensor([4, 4])).means(torch.ones(2)) == [None, None, None, 1.0]
