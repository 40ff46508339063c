from __future__ import annotations

import itertools
import logging
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from gas_cli.config.dataset import DatasetConfig
from gas_cli.errors import UserError
from gas_cli.graph.graph import Graph, Split
from gas_cli.graph.grouping import Grouping
from gas_cli.graph.make_splits import cut, make_splits, with_splits
from gas_cli.graph.node_ids import NodeIds

SHARES = st.tuples(st.integers(1, 20), st.integers(0, 20), st.integers(0, 20), st.integers(0, 20)).map(
    lambda parts: [part / sum(parts) for part in parts[:3]]
)
"""Of train, val and test; the rest is in none."""


def graph_of(y: Any, groups: Any = None, ordered: bool = True, **changed: Any) -> Graph:
    """Nodes in a line, without a split; `groups` are values of the column `by`, None where a node has none."""
    y = torch.as_tensor(y)
    n = len(y)
    graph = Graph.from_edges(np.stack([np.arange(n - 1), np.arange(1, n)]), np.ones((n, 1)), np.zeros(n, int), num_classes=9, name="line")
    if groups is not None:
        distinct = sorted({value for value in groups if value is not None})
        code = torch.tensor([-1 if value is None else distinct.index(value) for value in groups])
        graph = replace(graph, groups=Grouping("by", ordered, code, texts([str(value) for value in distinct])))
    return replace(graph, y=y, **changed)


def texts(values: list[str]) -> NodeIds:
    import pyarrow as pa

    return NodeIds.of_texts(pa.array(values, pa.large_string()))


def config_of(make_split: str | None = "random", **changed: Any) -> DatasetConfig:
    if make_split in ("order", "groups"):
        changed["split_by"] = "by"
    return DatasetConfig("line", make_split=make_split, **changed)


def part_of(split: Split) -> list[int]:
    """0, 1, 2 for train, val and test, -1 for none of them, of each node; the masks are disjoint."""
    masks = torch.stack([split.train, split.val, split.test])
    assert int(masks.sum(0).max()) <= 1
    return torch.where(masks.any(0), masks.int().argmax(0), -1).tolist()


def only(graph: Graph, config: DatasetConfig) -> Split:
    (split,) = make_splits(graph, config)
    return split


def same(one: Split, other: Split) -> bool:
    return part_of(one) == part_of(other)


def masks(split: Split) -> tuple[Tensor, Tensor, Tensor]:
    return split.train, split.val, split.test


# -- shares ----------------------------------------------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=60)
@given(st.lists(st.integers(-1, 3), min_size=40, max_size=90), SHARES, st.integers(0, 2**63 - 1), st.sampled_from(["random", "stratified"]))
def test_labelled_nodes_are_divided_by_the_shares(labels: list[int], shares: list[float], seed: int, kind: str) -> None:
    y = np.array([0] * 10 + [1] * 10 + labels)
    try:
        parts = np.array(part_of(only(graph_of(y), config_of(kind, shares=shares, split_seed=seed))))
    except UserError:
        assert kind == "stratified"  # classes that are too small for a part
        return
    assert (parts[y < 0] == -1).all()
    strata = [y >= 0] if kind == "random" else [y == c for c in range(4) if (y == c).any()]
    for stratum in strata:
        for part, share in enumerate(shares):
            count = int((parts[stratum] == part).sum())
            assert abs(count - share * stratum.sum()) < 2 and (share > 0 or count == 0)
            if share > 0 and stratum.sum() >= 3:
                assert count >= 1
    if sum(shares) > 1 - 1e-9:
        assert (parts[y >= 0] >= 0).all()


@pytest.mark.parametrize(
    ("count", "sizes"), [(10, (6, 2, 2)), (7, (4, 2, 1)), (100, (60, 20, 20)), (3, (1, 1, 1)), (1000, (600, 200, 200))]
)
def test_sizes_are_rounded_and_no_part_is_empty(count: int, sizes: tuple[int, ...]) -> None:
    assert tuple(int(mask.sum()) for mask in masks(only(graph_of([0] * count), config_of()))) == sizes


@pytest.mark.parametrize("kind", ["random", "stratified", "groups"])
def test_only_the_seed_of_the_split_decides(kind: str) -> None:
    y = torch.arange(300) % 3
    graph = graph_of(y, [f"g{i % 40:02d}" for i in range(300)], ordered=False)
    first = only(graph, config_of(kind))
    torch.manual_seed(99)
    state = torch.get_rng_state()
    assert same(first, only(graph, config_of(kind)))
    assert torch.equal(state, torch.get_rng_state())
    assert not same(first, only(graph, config_of(kind, split_seed=1)))


def test_the_same_nodes_in_every_version() -> None:
    """Runs are compared over years: what a seed draws must not change."""
    assert part_of(only(graph_of([0] * 12), config_of(split_seed=7))) == [2, 0, 0, 0, 0, 1, 0, 1, 0, 1, 2, 0]


def test_unlabelled_nodes_do_not_move_the_others() -> None:
    y = torch.arange(50) % 2
    alone = part_of(only(graph_of(y), config_of()))
    more = part_of(only(graph_of(torch.cat([y, torch.full((30,), -1)])), config_of()))
    assert more[:50] == alone and set(more[50:]) == {-1}


# -- by a column -----------------------------------------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=60)
@given(st.lists(st.one_of(st.none(), st.integers(-30, 30)), min_size=5, max_size=80), SHARES)
def test_no_later_node_trains_for_an_earlier_one(values: list[int | None], shares: list[float]) -> None:
    graph = graph_of([0] * len(values), values)
    try:
        parts = part_of(only(graph, config_of("order", shares=shares)))
    except UserError as error:
        assert len({*values} - {None}) < 3 or "no node has a label" in str(error)
        return
    reached = {
        part: [value for value, found in zip(values, parts, strict=True) if found == part and value is not None] for part in (0, 1, 2)
    }
    assert all(found == -1 for value, found in zip(values, parts, strict=True) if value is None)
    bounds = [(min(found), max(found)) for found in reached.values() if found]
    assert all(before[1] < after[0] for before, after in itertools.pairwise(bounds))


@settings(deadline=None, max_examples=60)
@given(st.lists(st.sampled_from([None, *"abcdefgh"]), min_size=5, max_size=80), SHARES, st.integers(0, 50))
def test_groups_stay_together(values: list[str | None], shares: list[float], seed: int) -> None:
    try:
        parts = part_of(only(graph_of([0] * len(values), values, ordered=False), config_of("groups", shares=shares, split_seed=seed)))
    except UserError as error:
        assert len({*values} - {None}) < 3 or "no node has a label" in str(error)
        return
    for group in {*values}:
        assert len({part for part, value in zip(parts, values, strict=True) if value == group}) == 1
    assert all(part == -1 for part, value in zip(parts, values, strict=True) if value is None)


def test_order_is_logged_with_its_borders(caplog: pytest.LogCaptureFixture) -> None:
    days = [f"20{10 + i // 12:02d}-{1 + i % 12:02d}-01" for i in range(100)]
    with caplog.at_level(logging.INFO, "gas_cli"):
        make_splits(graph_of([0] * 100, days), config_of("order"))
    assert (
        "in the order of 'by' (train up to 2014-12-01, val up to 2016-08-01, test up to 2018-04-01): train 60, val 20, test 20"
        in caplog.text
    )


@settings(deadline=None, max_examples=100)
@given(st.lists(st.integers(1, 9), min_size=3, max_size=30), SHARES)
def test_cuts_are_the_nearest_ends_of_blocks(sizes: list[int], shares: list[float]) -> None:
    blocks = np.array(sizes)
    parts = cut(blocks, shares)
    assert [part for part, before in zip(parts, [None, *parts], strict=False) if part != before] == [
        part for part in (0, 1, 2, -1) if (parts == part).any()
    ]
    assert all(bool((parts == part).any()) == (share > 0) for part, share in enumerate(shares))
    train = blocks[parts == 0].sum()
    ends = np.cumsum(blocks)
    most = len(sizes) - sum(share > 0 for share in shares[1:])
    assert abs(train - shares[0] * ends[-1]) <= np.abs(ends[:most] - shares[0] * ends[-1]).min() + 1e-9


# -- folds -----------------------------------------------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.integers(-1, 2), min_size=12, max_size=60),
    st.integers(2, 6),
    st.integers(0, 9),
    st.sampled_from([None, "stratified", "groups"]),
)
def test_every_labelled_node_is_tested_once(labels: list[int], folds: int, seed: int, kind: str | None) -> None:
    y = np.array([0] * 6 + labels)
    groups = [f"g{i % 9}" for i in range(len(y))]
    splits = make_splits(graph_of(y, groups, ordered=False), config_of(kind, folds=folds, split_seed=seed))
    assert len(splits) == folds
    known = torch.from_numpy(y >= 0)
    assert torch.equal(sum(split.test.int() for split in splits), known.int())
    for number, split in enumerate(splits):
        after = splits[(number + 1) % folds]
        assert torch.equal(split.val, after.test if folds > 2 else torch.zeros_like(known))
        assert torch.equal(split.train, known & ~split.val & ~split.test) and split.train.any() and split.test.any()
        if kind == "groups":
            assert not {groups[i] for i in split.test.nonzero()} & {groups[i] for i in (split.train | split.val).nonzero()}
        else:
            assert abs(int(split.test.sum()) - int(known.sum()) / folds) < 1
        if kind == "stratified":
            for c in range(3):
                assert abs(int(split.test[y == c].sum()) - (y == c).sum() / folds) < 1


# -- with_splits -----------------------------------------------------------------------------------------------------------------------


def test_without_a_setting_the_splits_are_those_of_the_dataset() -> None:
    graph = graph_of([0] * 6)
    assert with_splits(graph, config_of(None)).splits == ()
    divided = with_splits(graph, config_of("random"))
    assert with_splits(divided, config_of(None)).splits is divided.splits


def test_a_column_is_dropped_once_it_has_divided() -> None:
    graph = graph_of([0] * 9, list(range(9)))
    found = with_splits(graph, config_of("order"))
    assert found.groups is None and found.validate().splits


def test_no_validation_nodes_are_said(caplog: pytest.LogCaptureFixture) -> None:
    with_splits(graph_of([0] * 9), config_of(shares=[0.7, 0, 0.3]))
    with_splits(graph_of([0] * 9), config_of(None, folds=2))
    assert caplog.text.count("split 0 has no validation nodes, so the last evaluation counts as the best one") == 2


def test_a_class_that_cannot_be_everywhere_is_named(caplog: pytest.LogCaptureFixture) -> None:
    split = only(graph_of([0] * 20 + [1]), config_of("stratified"))
    assert "1 class(es) have fewer nodes than there are parts (3), so they are not in all of them; the first is 1 with 1" in caplog.text
    assert part_of(split)[-1] == 0  # 60 % of one node are one


MULTILABEL = torch.ones(20, 3)
REFUSED: dict[str, tuple[Graph, DatasetConfig, str]] = {
    "no label": (graph_of([-1] * 5), config_of(), "no node has a label"),
    "an empty part": (graph_of([0, 0]), config_of(), r"dataset.shares=\[0.6,0.2,0.2\] of 2 labelled nodes leave test without"),
    "few values": (graph_of([0] * 9, [1, 2] * 4 + [2]), config_of("order"), "leave test without a node .*train up to 1, val up to 2"),
    "several labels": (graph_of(MULTILABEL), config_of("stratified"), "several labels. Type dataset.make_split=random"),
    "several labels in folds": (graph_of(MULTILABEL), config_of("stratified", folds=3), "one class per node"),
    "no column": (graph_of([0] * 9), config_of("groups"), "dataset.split_by=by: line has no table of nodes with columns"),
    "text in order": (
        graph_of([0] * 9, list("abcabcabc"), ordered=False),
        config_of("order"),
        "holds text, such as 'a'.*make_split=groups",
    ),
    "more folds than nodes": (graph_of([0, 0, 0, -1]), config_of(None, folds=4), "has 3 labelled nodes. Type dataset.folds=3 or fewer"),
    "more folds than groups": (graph_of([0] * 9, list("ababababa")), config_of("groups", folds=3), "has 2 groups. Type dataset.folds=2"),
    "inductive": (graph_of([0] * 9, inductive=True), config_of(), "line is inductive"),
    "another split": (graph_of([0] * 9), config_of(split=1), r"dataset.split=1: line has 1 split\(s\)"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_divided_is_refused(case: str) -> None:
    graph, config, message = REFUSED[case]
    with pytest.raises(UserError, match=message):
        with_splits(graph, config)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"make_split": "by"}, "dataset.make_split=by is not valid: expected null or one of random, stratified, order, groups"),
        ({"make_split": "order"}, "expected dataset.split_by=COLUMN with it"),
        ({"make_split": "random", "split_by": "year"}, "expected dataset.make_split=order or dataset.make_split=groups with it"),
        ({"split_by": "year"}, "expected dataset.make_split=order or dataset.make_split=groups with it"),
        ({"make_split": "random", "shares": [0.6, 0.3, 0.2]}, "add up to at most 1"),
        ({"make_split": "random", "shares": [0.6, -0.1, 0.2]}, "from 0 to 1"),
        ({"make_split": "random", "shares": [0.6, float("nan"), 0.2]}, "from 0 to 1"),
        ({"make_split": "random", "shares": [0.6, 0.4]}, "three shares"),
        ({"make_split": "random", "shares": [0.0, 0.5, 0.5]}, "that of train above 0"),
        ({"shares": [0.8, 0.1, 0.1]}, "expected dataset.make_split=random with it"),
        ({"split_seed": 3}, "expected dataset.make_split=random with it"),
        ({"make_split": "random", "split_seed": -1}, "dataset.split_seed=-1"),
        ({"folds": 1}, "dataset.folds=1 is not valid: expected a whole number from 2"),
        ({"folds": 3, "split": 3}, "a fold from 0 to 2"),
        ({"folds": 3, "make_split": "order", "split_by": "year"}, "later nodes would train for earlier ones"),
        ({"folds": 3, "shares": [0.8, 0.1, 0.1]}, "folds are equal"),
    ],
)
def test_settings_that_do_not_fit_each_other(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        DatasetConfig("line", **settings)
