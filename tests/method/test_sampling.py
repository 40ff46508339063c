"""Neighbour sampling: with all neighbours the full batch on the seeds, with fewer without bias, and the same whenever it is built."""

from __future__ import annotations

import functools
import math
import tempfile
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gas_cli.batch.batch import Batch, Block, tensors
from gas_cli.batch.builder import BatchBuilder
from gas_cli.batch.sample import ALL, Sampler
from gas_cli.config.compose import compose_config
from gas_cli.config.method import SamplingConfig
from gas_cli.config.model import GCNConfig, GINConfig, ModelConfig, SAGEConfig
from gas_cli.config.root import Config
from gas_cli.errors import UserError
from gas_cli.graph.graph import Graph
from gas_cli.graph.normalize import normalize
from gas_cli.method.method import Alone
from gas_cli.model.model import Model
from gas_cli.ops.csr import CSR
from gas_cli.ops.dropout import Noise
from gas_cli.partition.groups import Units
from gas_cli.passes.drivers import forward
from gas_cli.prediction import predict
from gas_cli.run import prepare, run
from gas_cli.training import assemble
from gas_cli.training.trainer import Trainer
from tests.builders import (
    MODEL_IDS,
    MODELS,
    adjacencies,
    has_batch_norm,
    in_original_order,
    make_config,
    make_graph,
    make_problem,
    random_adjacency,
)
from tests.precision import EXACT, in_precision, round_off, with_features, with_halo
from tests.training.stopping import stopped_and_resumed, trained
from tests.training.test_trainer import assert_same

PLAIN = [model for model in MODELS if not has_batch_norm(model)]
PLAIN_IDS = [name for model, name in zip(MODELS, MODEL_IDS, strict=True) if not has_batch_norm(model)]
SMALL = [
    "dataset.num_nodes=240", "dataset.num_communities=6", "dataset.num_features=8", "dataset.train_fraction=0.6",
    "partitioner.cache=null", "trainer.epochs=3",
    "model.num_layers=3", "model.hidden_channels=8", "device=cpu", "method=sampling", "method.batch_size=50", "method.neighbours=[4,3,2]",
]  # fmt: skip
"""144 training nodes: 3 steps."""


def make_trainer(graph: Graph, model: ModelConfig, folder: Path = Path(), **method: Any) -> Trainer:
    """On `graph` in the order of its nodes; `method` are settings of the group."""
    from gas_cli.model.registry import build_model

    config = make_config(model, num_parts=1, epochs=3)
    config.method = SamplingConfig(**method)
    problem = make_problem(graph, 1, model)
    network = build_model(model, graph.num_features, graph.num_classes, seed=1, edge_dim=graph.edge_dim).train()
    network.observe(problem.adj)
    return Trainer(config, problem, problem.graph.splits[0], network, 0, torch.device("cpu"), folder)


def batches_of(trainer: Trainer, epoch: int = 1) -> list[Batch]:
    loader = trainer.epochs.loader
    return [loader.get(group, keep=False) for group in trainer.epochs.groups(epoch)]


def in_dtype(batch: Batch, dtype: torch.dtype) -> Batch:
    """The batch with features and edge attributes in `dtype`."""
    same = {id(block): block if block.edge_attr is None else replace(block, edge_attr=block.edge_attr.to(dtype)) for block in batch.blocks}
    return replace(with_features(batch, dtype), blocks=tuple(same[id(block)] for block in batch.blocks))


def outcome(scores: torch.Tensor, network: Model) -> list[torch.Tensor]:
    """Scores and the gradients of a function of them, in float64."""
    weights = list(network.parameters())
    gradients = torch.autograd.grad(scores.square().sum(), weights, allow_unused=True, materialize_grads=True)
    return [scores.detach().double(), *(gradient.double() for gradient in gradients)]


@pytest.mark.parametrize("model", PLAIN, ids=PLAIN_IDS)
@settings(max_examples=4, deadline=None)
@given(drawn=adjacencies(), size=st.integers(1, 8), edge_dim=st.sampled_from([0, 2]))
def test_all_neighbours_give_full_batch_on_the_seeds(drawn: Any, size: int, edge_dim: int, model: ModelConfig) -> None:
    """Scores and gradients, dropout included; equal in float64, and but for round-off in float32."""
    graph = make_graph(*drawn, edge_dim=edge_dim)
    if graph.edge_attr is not None:
        graph.edge_attr.mul_(8).round_().div_(8)  # sums of them in float32, for self-loops, do not depend on the order
    trainer = make_trainer(graph, model, neighbours=ALL, batch_size=size)
    network, problem = trainer.model, trainer.problem
    double = in_precision(network, torch.float64)
    batch = batches_of(trainer)[0]
    ids = batch.blocks[-1].target_ids

    def sampled(network: Model, dtype: torch.dtype) -> list[torch.Tensor]:
        link = with_halo(trainer.method.link(), dtype)
        link.begin(batch, None)
        return outcome(forward(network, in_dtype(batch, dtype), link, Noise(3, 4)), network)

    full = BatchBuilder(problem.graph, problem.adj, problem.partition, problem.graph.splits[0], network.num_layers).build([0])
    scores = forward(double, in_dtype(full, torch.float64), with_halo(Alone(), torch.float64), Noise(3, 4))
    expected = outcome(in_original_order(problem, scores)[ids], double)
    largest = max(float(one.abs().max()) for one in expected)
    torch.testing.assert_close(sampled(double, torch.float64), expected, rtol=EXACT, atol=EXACT * max(1.0, largest))
    torch.testing.assert_close(sampled(network, torch.float32), expected, rtol=1e-4, atol=round_off(graph, network, largest))


def as_dense(block: Block, num_nodes: int) -> np.ndarray:
    """The block's messages as [N, N] by node ids; an entry that comes twice would be twice as large."""
    matrix = np.zeros((num_nodes, num_nodes))
    sources = torch.cat([block.target_ids, block.halo_ids])
    np.add.at(matrix, (block.target_ids[block.edge_target].numpy(), sources[block.edge_source].numpy()), block.edge_weight.numpy())
    return matrix


@settings(max_examples=40, deadline=None)
@given(drawn=adjacencies(), fan_out=st.integers(1, 5), model=st.sampled_from([GCNConfig(num_layers=3), SAGEConfig(num_layers=3)]))
def test_each_block_holds_distinct_neighbours_of_its_targets(drawn: Any, fan_out: int, model: ModelConfig) -> None:
    graph = make_graph(*drawn)
    trainer = make_trainer(graph, model, neighbours=fan_out, batch_size=3)
    problem, n = trainer.problem, graph.num_nodes
    order = problem.partition.node_perm.numpy()
    whole = np.zeros((n, n))
    whole[np.ix_(order, order)] = problem.adj.to_dense().numpy()
    for batch in batches_of(trainer):
        for upper, lower in zip(batch.blocks[1:], batch.blocks[:-1], strict=True):
            read = torch.cat([upper.target_ids, upper.halo_ids])
            assert torch.equal(lower.target_ids, read), "what a layer reads is what the layer before computes"
        for block in batch.blocks:
            ids = torch.cat([block.target_ids, block.halo_ids])
            assert ids.unique().numel() == ids.numel(), "nobody comes twice"
            assert torch.equal(block.halo, block.halo.sort().values)
            for part in (block.inner, block.outer):
                rows = torch.repeat_interleave(torch.arange(part.num_rows), part.rowptr.diff())
                keys = rows * (part.num_cols + 1) + part.col
                assert bool((keys.diff() > 0).all()), "columns ascend, so none is there twice"
            found = as_dense(block, n)
            for v in block.target_ids.tolist():
                neighbours, drawn_ones = np.flatnonzero(whole[v]), np.flatnonzero(found[v])
                assert set(drawn_ones) <= set(neighbours)
                others = neighbours.size - (v in neighbours)
                assert drawn_ones.size == min(fan_out, others) + (v in neighbours)
                assert found[v, v] == whole[v, v], "the self-loop stays as it is"
                if others <= fan_out:
                    np.testing.assert_array_equal(found[v], whole[v].astype(np.float32))
            outside = np.setdiff1d(np.arange(n), block.target_ids.numpy())
            assert not found[outside].any()


def test_every_set_of_neighbours_is_equally_likely() -> None:
    """A node with 7 neighbours, 3 drawn: each of the 35 sets as often as the others (chi-square with 34 degrees of freedom; fixed keys)."""
    star = np.zeros((8, 8))
    star[3, [0, 1, 2, 4, 5, 6, 7]] = 1
    star[3, 3] = 1
    sampler, draws = Sampler(CSR.from_scipy(sp.csr_array(star)), means=False), 7000
    found: Counter[tuple[int, ...]] = Counter()
    for step in range(draws):
        [(_, cut)] = sampler.layers(np.array([3]), [3], [Noise(5, step).key(1)])
        found[tuple(cut.halo.tolist())] += 1
    assert len(found) == math.comb(7, 3) and all(len(drawn) == 3 for drawn in found)
    expected = draws / 35
    chi_square = sum((count - expected) ** 2 / expected for count in found.values())
    assert chi_square < 70  # exceeded once in 3,000 runs of a fair draw; these keys give one and the same number


def test_nodes_of_a_batch_draw_independently() -> None:
    """Two nodes with the same 6 neighbours, 1 drawn: each of the 36 pairs as often as the others."""
    matrix = np.zeros((8, 8))
    matrix[:2, 2:] = 1
    sampler, draws = Sampler(CSR.from_scipy(sp.csr_array(matrix)), means=False), 7200
    pairs: Counter[tuple[int, ...]] = Counter()
    for step in range(draws):
        [(_, cut)] = sampler.layers(np.array([0, 1]), [1], [Noise(0, step).key(1)])
        pairs[tuple(cut.halo[cut.outer.col.long()].tolist())] += 1
    assert len(pairs) == 36
    assert sum((count - draws / 36) ** 2 / (draws / 36) for count in pairs.values()) < 70


@pytest.mark.parametrize("kind", ["sym", None])
@pytest.mark.parametrize("fan_out", [1, 2, 4])
def test_sums_have_no_bias(kind: str | None, fan_out: int) -> None:
    """The mean of many draws of a weighted graph: within 5 standard errors of the full matrix in every entry (fixed keys)."""
    pattern = random_adjacency(12, 6, 3)
    pattern.data[:] = np.random.default_rng(0).uniform(0.5, 2, pattern.nnz)
    matrix = normalize(CSR.from_scipy(pattern), kind, self_loops=True)
    sampler, draws, everyone = Sampler(matrix, means=False), 4000, np.arange(12)
    total, squares = np.zeros((12, 12)), np.zeros((12, 12))
    for step in range(draws):
        [(_, cut)] = sampler.layers(everyone, [fan_out], [Noise(7, step).key(1)])
        one = cut.inner.to_dense().numpy().astype(np.float64)
        total, squares = total + one, squares + one**2
    mean = total / draws
    error = np.sqrt(np.maximum(squares / draws - mean**2, 0) / draws)
    expected = matrix.to_dense().numpy()
    assert np.all(np.abs(mean - expected) <= 5 * error + 1e-6)
    degree = matrix.rowptr.diff().numpy() - 1
    assert error[degree > fan_out].max() > 1e-3, "something is random"
    np.testing.assert_array_equal(np.diag(mean).astype(np.float32), np.diag(expected))


@pytest.mark.parametrize("self_loops", [False, True])
def test_means_are_means_of_those_drawn(self_loops: bool) -> None:
    """Weights of a row sum to one; without edge weights all are alike, but for the self-loop, which stays."""
    pattern = random_adjacency(30, 8, 3)
    weighted = pattern.copy()
    weighted.data[:] = np.random.default_rng(0).uniform(0.5, 2, pattern.nnz)
    for graph in (pattern, weighted):
        matrix = normalize(CSR.from_scipy(graph), "mean", self_loops)
        [(_, cut)] = Sampler(matrix, means=True).layers(np.arange(30), [3], [(1, 2)])
        drawn, whole = cut.inner.to_dense().numpy(), matrix.to_dense().numpy()
        np.testing.assert_allclose(drawn.sum(1), whole.sum(1), rtol=1e-6)
        np.testing.assert_array_equal(np.diag(drawn), np.diag(whole))
        np.fill_diagonal(drawn, 0)
        np.fill_diagonal(whole, 0)
        assert int((drawn > 0).sum(1).max()) == 3
        for v in range(30):
            there = drawn[v] > 0
            if there.any():  # in the proportions of their weights
                np.testing.assert_allclose(drawn[v, there] / drawn[v].sum(), whole[v, there] / whole[v, there].sum(), rtol=1e-5)


def same_batches(some: list[Batch], others: list[Batch]) -> bool:
    pairs = zip(some, others, strict=True)
    return all(len(one := list(tensors(a))) == len(other := list(tensors(b))) and all(map(torch.equal, one, other)) for a, b in pairs)


def test_what_is_drawn_is_a_function_of_seed_epoch_and_batch() -> None:
    graph = make_graph(random_adjacency(80, 8, 1))
    model = GCNConfig(num_layers=2, hidden_channels=4)
    trainer = make_trainer(graph, model, neighbours=2, batch_size=9)
    first, backwards = batches_of(trainer), []
    for group in reversed(trainer.epochs.groups(1)):
        backwards.insert(0, trainer.epochs.loader.get(group, keep=False))
    assert same_batches(first, backwards)
    trainer.epochs.loader.prefetch = 3
    assert same_batches(first, list(trainer.epochs.loader.batches(trainer.epochs.groups(1), keep=False)))
    assert not same_batches(first, batches_of(trainer, epoch=2))


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("size", [9, 1000])
def test_an_epoch_trains_on_every_training_node_once_and_draws_anew(shuffle: bool, size: int) -> None:
    """Even where the seeds of a batch are the same in every epoch."""
    graph = make_graph(random_adjacency(80, 8, 1))
    trainer = make_trainer(graph, GCNConfig(num_layers=1, hidden_channels=4), neighbours=2, batch_size=size)
    trainer.config.trainer.shuffle = shuffle
    wanted = graph.splits[0].train.nonzero().flatten()
    epochs = [[batch for batch, _ in trainer.epochs.batches(epoch)] for epoch in (1, 2)]
    for batches in epochs:
        assert torch.equal(torch.cat([batch.blocks[-1].target_ids for batch in batches]).sort().values, wanted)
        for batch in batches:
            assert batch.num_train == batch.y.numel() == min(size, batch.num_train)
            assert torch.equal(batch.y, graph.y[batch.blocks[-1].target_ids])
            block = batch.blocks[0]
            torch.testing.assert_close(batch.x.target, graph.x[block.target_ids])  # type: ignore[index]
            torch.testing.assert_close(batch.x.halo, graph.x[block.halo_ids])  # type: ignore[index]
    seeds = [[batch.blocks[-1].target_ids.tolist() for batch in batches] for batches in epochs]
    assert (seeds[0] == seeds[1]) == (size == 1000 or not shuffle)
    assert not torch.equal(epochs[0][0].blocks[0].halo_ids, epochs[1][0].blocks[0].halo_ids)


def test_lists_name_the_hop_next_to_the_seeds_first() -> None:
    trainer = make_trainer(make_graph(random_adjacency(200, 12, 1)), GINConfig(num_layers=3), neighbours=[1, 2, 3], batch_size=10)
    most = [int((block.inner.rowptr.diff() + block.outer.rowptr.diff()).max()) for block in batches_of(trainer)[0].blocks]
    assert most == [3, 2, 1]


def config_of(*settings: str) -> Config:
    return compose_config([*SMALL, *settings])


@functools.cache
def never_stopped(*settings: str) -> dict[str, Any]:
    """What `trained` gives, once for all the steps at which a run is stopped: not to be changed."""
    with tempfile.TemporaryDirectory() as folder:
        return trained(config_of(*settings), Path(folder))


@pytest.mark.parametrize("step", [1, 4, 7])
@pytest.mark.parametrize("shuffle", ["true", "false"])
def test_stopped_anywhere_it_resumes_bit_for_bit(tmp_path: Path, shuffle: str, step: int) -> None:
    choice = f"trainer.shuffle={shuffle}"
    whole = never_stopped(choice, "trainer.prefetch=0")
    state = stopped_and_resumed(config_of(choice), tmp_path / "stopped", step)
    assert state["progress"]["step"] == 3 * 3
    assert_same({name: state[name] for name in whole}, whole)


@pytest.mark.parametrize("model", ["gcn", "sage", "gin", "gat", "gcnii", "appnp", "pna_jk", "transformer"])
def test_every_model_trains_and_predicts(tmp_path: Path, model: str) -> None:
    heads = ["model.heads=2"] if model == "gat" else []
    state = trained(config_of(f"model={model}", *heads, "trainer.epochs=1"), tmp_path / "run")
    assert state["method"] == {} and all(bool(torch.isfinite(weight).all()) for weight in state["model"].values())
    found = predict(tmp_path / "run", checkpoint="last", device="cpu")
    assert found.probabilities.shape[0] == 240 and np.isfinite(found.probabilities).all()


def test_it_learns(tmp_path: Path) -> None:
    """What it has learned is worth something on the whole graph."""
    outcome = run(config_of("trainer.epochs=30", "model=sage", "model.hidden_channels=32"), tmp_path / "run")
    assert outcome["test"] > 0.5


@pytest.mark.parametrize(
    ("choices", "groups"),
    [
        ([], [[0]]),
        (["partitioner.num_parts=5", "trainer.batch_parts=2"], [[0, 1], [2, 3], [4]]),
        (["partitioner=random", "partitioner.num_parts=3", "trainer.batch_parts=4"], [[0, 1, 2]]),
    ],
)
def test_parts_are_for_the_evaluation_only(tmp_path: Path, choices: list[str], groups: list[list[int]]) -> None:
    """They are ranges of nodes; steps do not know them."""
    config = config_of(*choices)
    problem = prepare(config)
    trainer = assemble.make_trainer(config, problem, tmp_path)
    assert trainer.evaluator.groups == groups
    assert trainer.method.units == Units(144, 50, drawn=True) and len(trainer.epochs.groups(1)) == 3
    for part in range(problem.partition.num_parts):
        ids = problem.partition.node_perm[problem.partition.part_ptr[part] : problem.partition.part_ptr[part + 1]].sort().values
        assert torch.equal(ids, torch.arange(int(ids[0]), int(ids[-1]) + 1))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["method.neighbours=0"], r"method\.neighbours=0 is not valid: expected -1 \(all\) or a whole number from 1"),
        (["method.neighbours=-2"], r"method\.neighbours=-2 is not valid"),
        (["method.neighbours=[4,0,2]"], r"method\.neighbours=\[4,0,2\] is not valid"),
        (["method.neighbours=[4,2.5,2]"], r"method\.neighbours=\[4,2\.5,2\] is not valid"),
        (["method.neighbours=[4,true,2]"], r"method\.neighbours=\[4,true,2\] is not valid"),
        (["method.neighbours=[]"], r"method\.neighbours=\[\] is not valid"),
        (["method.neighbours=null"], r"method\.neighbours=null is not valid"),
        (["method.neighbours=all"], r"method\.neighbours=all is not valid"),
        (["method.neighbours=3000000000"], r"method\.neighbours=3000000000 is not valid"),
        (["method.neighbours=[4,3]"], r"=\[4,3\] is not valid: expected one number for all layers, or 3 with model\.num_layers=3"),
        (["method.neighbours=[4,3,2,1]"], r"or 3 with model\.num_layers=3"),
        (["method.batch_size=0"], r"method\.batch_size=0 is not valid"),
        (["evaluation.mode=history"], "method=sampling, which keeps no histories"),
        (["history.waves=2"], "method=sampling, which keeps no histories"),
    ],
)  # fmt: skip
def test_bad_settings_are_refused(settings: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        config_of(*settings)
