"""VR-GCN: exact with all neighbours, exact sums with exact histories, without bias with old ones where what follows is linear."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gas_cli.batch.batch import Batch, Block
from gas_cli.batch.builder import BatchBuilder
from gas_cli.batch.control_builder import ControlBuilder
from gas_cli.batch.remainder import Remainder
from gas_cli.batch.sample import Sampler
from gas_cli.batch.sampling_builder import Drawn
from gas_cli.batch.split import Cut, HostSplitter
from gas_cli.config.method import VRGCNConfig
from gas_cli.config.model import APPNPConfig, GCNConfig, GCNIIConfig, GINConfig, ModelConfig, SAGEConfig
from gas_cli.diagnose.gradient import parameters
from gas_cli.graph.graph import Graph
from gas_cli.method.method import Alone
from gas_cli.method.vr_gcn import VRGCN, VRGCNLink
from gas_cli.model.model import Model
from gas_cli.ops.csr import CSR
from gas_cli.ops.dropout import Noise
from gas_cli.ops.twins import slow_twins
from gas_cli.passes.drivers import forward
from gas_cli.tables.ages import NEVER
from gas_cli.tables.table import Pending
from gas_cli.training.assemble import make_trainer
from gas_cli.training.trainer import Trainer
from tests.builders import adjacencies, in_original_order, make_config, make_graph, make_problem, random_adjacency, rows_of
from tests.method.test_gradients import SUMS
from tests.precision import EXACT, in_precision
from tests.tables.kinds import histories
from tests.training.test_trainer import assert_same

EACH = pytest.mark.parametrize("model", SUMS.values(), ids=SUMS)
READS_SUMS = {
    "gcn-sums": GCNConfig(num_layers=3, hidden_channels=6, drop_input=False),
    "sage-sums": SAGEConfig(num_layers=2, hidden_channels=6, drop_input=False),
    "gin-one-layer-sums": GINConfig(num_layers=1, hidden_channels=6, drop_input=False),
}
DROPPING = {name: replace(model, dropout=0.4) for name, model in SUMS.items()} | READS_SUMS
"""With dropout; layer 0 of some reads A x."""
ROUND_OFF = 2e-5
WRONG = 1e-3


def graph_of(nodes: int = 50, degree: float = 5.0, directed: bool = False, everywhere: bool = True) -> Graph:
    """With `everywhere` all nodes train, so that every row is computed in every epoch."""
    graph = make_graph(random_adjacency(nodes, degree, 3, directed), directed)
    if everywhere:
        everybody = torch.ones(nodes, dtype=torch.bool)
        graph = replace(graph, splits=(replace(graph.splits[0], train=everybody, val=~everybody, test=~everybody),))
    return graph


def trainer_of(graph: Graph, model: ModelConfig, noisy: bool | None = None, folder: Path = Path(), **method: Any) -> Trainer:
    """`noisy` forces the second stream, or one only, whatever the dropout."""
    config = make_config(model, num_parts=1)
    config.method = VRGCNConfig(**method)
    trainer = make_trainer(config, make_problem(graph, 1, model), folder)
    if noisy is not None:
        of(trainer).noisy = noisy
        trainer.epochs.loader = of(trainer).loader(trainer.loader)
        trainer.link = trainer.method.link()
    trainer.model.train()
    return trainer


def of(trainer: Trainer) -> VRGCN:
    assert isinstance(trainer.method, VRGCN)
    return trainer.method


def batches_of(trainer: Trainer, epoch: int = 1) -> list[Batch]:
    return [trainer.epochs.loader.get(group, keep=False) for group in trainer.epochs.groups(epoch)]


def fill(trainer: Trainer, value: float | None = None) -> None:
    """Histories of random numbers, or of `value`."""
    assert trainer.histories is not None
    generator = torch.Generator().manual_seed(7)
    for table in trainer.histories:
        rows = torch.randn(table.num_rows, table.width, generator=generator)
        table.load(rows if value is None else torch.full_like(rows, value))


def in_dtype(batch: Batch, dtype: torch.dtype) -> Batch:
    x = batch.x
    assert isinstance(x.target, torch.Tensor) and isinstance(x.halo, torch.Tensor)
    known = None if x.known is None else x.known.to(dtype)
    return replace(batch, x=replace(x, target=x.target.to(dtype), halo=x.halo.to(dtype), known=known))


class Double(Pending):
    """The same rows in float64."""

    def __init__(self, rows: Pending) -> None:
        self.rows = rows

    def wait(self) -> torch.Tensor:
        return self.rows.wait().double()


class InDouble(VRGCNLink):
    """For a twin of the model in float64: histories come in that precision."""

    def _pull(self, batch: Batch) -> dict[int, Pending]:
        return {layer: Double(rows) for layer, rows in super()._pull(batch).items()}


def outcome(network: Model, batch: Batch, link: Any, noise: Noise, step: int = 0, end: bool = True) -> list[torch.Tensor]:
    """Scores, then the gradients of a function of them."""
    link.begin(batch, None)
    scores = forward(network, batch, link, noise)
    weights = list(parameters(network).values())
    found = torch.autograd.grad(scores.square().sum(), weights, allow_unused=True, materialize_grads=True)
    if end:
        link.end(step)
    return [scores.detach(), *found]


def in_double(trainer: Trainer) -> tuple[Model, VRGCNLink]:
    network = in_precision(trainer.model, torch.float64)
    assert trainer.histories is not None
    return network, InDouble(network, trainer.histories, of(trainer).noisy)


def full_batch(trainer: Trainer, network: Model) -> Batch:
    problem, reading = trainer.problem, network.reading
    sums = None if reading.messages else problem.feature_sums
    return BatchBuilder(problem.graph, problem.adj, problem.partition, problem.graph.splits[0], network.num_layers, sums, reading).build(
        [0]
    )


def error(found: list[torch.Tensor], expected: list[torch.Tensor]) -> float:
    """Of the largest entry."""
    largest = max(float(one.abs().max()) for one in expected)
    return max(float((a - b).abs().max()) for a, b in zip(found, expected, strict=True)) / max(largest, 1e-12)


# -- all neighbours --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("estimator", ["cv", "cvd"])
@pytest.mark.parametrize("model", DROPPING.values(), ids=DROPPING)
@settings(max_examples=4, deadline=None)
@given(drawn=adjacencies(), size=st.integers(1, 8))
def test_all_neighbours_give_full_batch_on_the_seeds(drawn: Any, size: int, model: ModelConfig, estimator: str) -> None:
    """Scores and gradients in float64, dropout included, whatever histories hold: nobody reads them."""
    trainer = trainer_of(make_graph(*drawn), model, neighbours=-1, batch_size=size, estimator=estimator)
    fill(trainer, math.nan)
    network, link = in_double(trainer)
    batch = batches_of(trainer)[0]
    found = outcome(network, in_dtype(batch, torch.float64), link, Noise(3, 4))
    whole = in_dtype(full_batch(trainer, network), torch.float64)
    alone = Alone()
    alone.between = lambda layer, h: replace(Alone().between(layer, h), halo=h[:0])  # type: ignore[method-assign]  # in its precision
    scores = forward(network, whole, alone, Noise(3, 4))
    scores = in_original_order(trainer.problem, scores)[batch.blocks[-1].target_ids]
    weights = list(parameters(network).values())
    gradient = torch.autograd.grad(scores.square().sum(), weights, allow_unused=True, materialize_grads=True)
    torch.testing.assert_close(
        found, [scores.detach(), *gradient], rtol=EXACT, atol=EXACT * max(1.0, *(float(g.abs().max()) for g in gradient))
    )


@EACH
@pytest.mark.parametrize("noisy", [False, True])
def test_a_sample_with_old_histories_is_not_exact(model: ModelConfig, noisy: bool) -> None:
    trainer = trainer_of(graph_of(), model, noisy, batch_size=50)
    fill(trainer)
    whole = forward(trainer.model, full_batch(trainer, trainer.model), Alone(), Noise.off()).detach()
    [batch] = batches_of(trainer)
    found = outcome(trainer.model, batch, trainer.link, Noise.off())[0]
    assert error([in_original_order(trainer.problem, whole)[batch.blocks[-1].target_ids]], [found]) > WRONG


# -- what a batch holds ----------------------------------------------------------------------------------------------------------------


def dense(block: Block, num_nodes: int, nodes: torch.Tensor) -> np.ndarray:
    """The block's messages as [T, N] by positions."""
    matrix = np.zeros((block.num_targets, num_nodes))
    np.add.at(matrix, (block.edge_target.numpy(), nodes[block.edge_source].numpy()), block.edge_weight.numpy())
    return matrix


def dense_rest(control: Any, num_nodes: int) -> np.ndarray:
    matrix = np.zeros((control.weights.num_rows, num_nodes))
    matrix[:, control.sources.numpy()] = control.weights.to_dense().numpy()
    return matrix


@settings(max_examples=40, deadline=None)
@given(
    drawn=adjacencies(), model=st.sampled_from([GCNConfig(num_layers=3), SAGEConfig(num_layers=3, drop_input=False)]),
    neighbours=st.sampled_from([2, 3, [4, 2], -1]), noisy=st.booleans(),
)  # fmt: skip
def test_a_sample_and_what_is_left_are_all_messages(drawn: Any, model: ModelConfig, neighbours: Any, noisy: bool) -> None:
    """In every draw; D nodes are read at most, the node itself among them, and histories only of rows that were not taken whole."""
    trainer = trainer_of(make_graph(*drawn), model, noisy, neighbours=neighbours, batch_size=3)
    problem = trainer.problem
    whole = problem.adj.to_dense().numpy()
    n = whole.shape[0]
    counts = {1: neighbours, 2: neighbours} if not isinstance(neighbours, list) else {2: neighbours[0], 1: neighbours[1]}
    for batch in batches_of(trainer):
        assert batch.controls is not None and batch.controls[0] is None
        below = batch.blocks[0]
        if model.drop_input:
            everything = dense(below, n, torch.cat([batch.controls[1].nodes, below.halo]))  # type: ignore[union-attr]
            np.testing.assert_array_equal(everything, whole[batch.controls[1].nodes.numpy()])  # type: ignore[union-attr]
        else:
            assert below.num_edges == 0 and problem.feature_sums is not None and batch.x.known is not None
            torch.testing.assert_close(batch.x.known, problem.feature_sums[batch.controls[1].nodes], rtol=0, atol=0)  # type: ignore[union-attr]
        for layer in (2, 1):
            block, control = batch.blocks[layer], batch.controls[layer]
            assert control is not None and (control.drawn is not None) == noisy
            targets = control.nodes[: block.num_targets]
            assert torch.equal(problem.partition.node_perm[control.nodes], torch.cat([block.target_ids, block.halo_ids]))
            assert torch.equal(batch.blocks[layer - 1].target_ids, problem.partition.node_perm[control.nodes])
            assert torch.equal(control.sources, control.sources.unique()), "ascending, and nobody twice"
            sampled = dense(control.drawn or block, n, control.nodes)
            np.testing.assert_allclose(sampled + dense_rest(control, n), whole[targets.numpy()], rtol=1e-5, atol=1e-6)
            for row, v in enumerate(targets.tolist()):
                read, there = np.flatnonzero(sampled[row]), np.flatnonzero(whole[v])
                wanted = there.size if counts[layer] == -1 else min(there.size, counts[layer])
                assert read.size == wanted and set(read) <= set(there)
                assert sampled[row, v] == whole[v, v]
                if wanted == there.size:
                    assert not dense_rest(control, n)[row].any()


def test_lists_are_for_all_layers_but_the_first() -> None:
    config = VRGCNConfig(neighbours=[5, 3])
    assert config.others(GCNConfig(num_layers=3)) == [2, 4]
    assert config.others(SAGEConfig(num_layers=3)) == [3, 5]
    assert VRGCNConfig(neighbours=-1).others(GCNConfig(num_layers=3)) == [-1, -1]
    assert VRGCNConfig().others(GCNConfig(num_layers=3)) == [1, 1]


# -- every sample of a small graph -----------------------------------------------------------------------------------------------------


def one_neighbour(matrix: CSR, nodes: np.ndarray, turn: int) -> Drawn:
    """Everybody's messages where each node has its self-loop and the `turn`th of its other neighbours, round and round: over the least
    common multiple of their numbers of turns each is drawn as often as the others."""
    whole = sp.csr_array(matrix.to_scipy())
    chosen = sp.lil_array(whole.shape)
    for v in range(whole.shape[0]):
        others = [w for w in whole.indices[whole.indptr[v] : whole.indptr[v + 1]] if w != v]
        if whole[v, v]:
            chosen[v, v] = whole[v, v]
        if others:
            chosen[v, others[turn % len(others)]] = whole[v, others[turn % len(others)]] * len(others)
    return nodes, Cut(CSR.from_scipy(chosen), CSR.empty(nodes.size, 0, torch.device("cpu")), torch.empty(0, dtype=torch.int64), None)


def few_neighbours() -> tuple[Graph, int]:
    """A graph whose nodes have 1 to 3 neighbours, and the least common multiple of these numbers."""
    matrix = sp.lil_array((9, 9))
    for a, b in [(0, 1), (0, 2), (0, 3), (1, 2), (3, 4), (4, 5), (5, 6), (6, 7), (3, 8), (4, 7)]:
        matrix[a, b] = matrix[b, a] = 1
    graph = make_graph(sp.csr_array(matrix))
    everybody = torch.ones(9, dtype=torch.bool)
    graph = replace(graph, splits=(replace(graph.splits[0], train=everybody, val=~everybody, test=~everybody),))
    turns = math.lcm(*(int(count) for count in graph.adj.rowptr.diff()))
    assert turns == 6
    return graph, turns


def every_sample(trainer: Trainer, turns: int) -> Iterator[Batch]:
    """Batches of all nodes with one neighbour each, whose mean is that over all samples of independent layers."""
    builder, nodes = of(trainer).builder(), np.arange(9)
    assert isinstance(builder, ControlBuilder)
    whole = HostSplitter(trainer.problem.adj)([(0, 9)])
    first = [] if builder.data.sums is not None else [(nodes, whole)]
    samples = [one_neighbour(trainer.problem.adj, nodes, turn) for turn in range(turns)]
    for layers in itertools.product(samples, repeat=2):
        yield builder.assembled(list(range(9)), torch.arange(9), [*first, *layers], True)


THREE_LAYERS: dict[str, ModelConfig] = {
    "gcn": GCNConfig(num_layers=3, hidden_channels=5, dropout=0.0),
    "sage": SAGEConfig(num_layers=3, hidden_channels=5, dropout=0.0),
    "gin": GINConfig(num_layers=3, hidden_channels=5, dropout=0.0),
    "gcnii": GCNIIConfig(num_layers=3, hidden_channels=5, dropout=0.0),
    "appnp": APPNPConfig(num_layers=3, hidden_channels=5, dropout=0.0),
}


@pytest.mark.parametrize("noisy", [False, True])
@pytest.mark.parametrize("model", THREE_LAYERS.values(), ids=THREE_LAYERS)
def test_with_exact_histories_scores_are_exact_and_gradients_have_no_bias(model: ModelConfig, noisy: bool) -> None:
    """Over every sample of a small graph; with old histories they have one."""
    graph, turns = few_neighbours()
    trainer = trainer_of(graph, model, noisy)
    trainer._fill()
    whole = outcome(trainer.model, full_batch(trainer, trainer.model), Alone(), Noise.off())
    samples = list(every_sample(trainer, turns))
    found = [outcome(trainer.model, batch, trainer.link, Noise.off(), end=False) for batch in samples]
    assert max(error(one[:1], whole[:1]) for one in found) < ROUND_OFF
    mean = [torch.stack(each).mean(0) for each in zip(*found, strict=True)]
    assert error(mean, whole) < ROUND_OFF
    assert max(error(one, whole) for one in found) > WRONG, "one sample has another gradient"
    fill(trainer)
    old = [outcome(trainer.model, batch, trainer.link, Noise.off(), end=False) for batch in samples]
    assert error([torch.stack(each).mean(0) for each in zip(*old, strict=True)], whole) > WRONG


def test_weights_for_noise_give_its_variance() -> None:
    """Σ_w R_vw² σ_w² over the samples is Σ_w P_vw² σ_w² on average, for any σ, and the self-loop is in it as it is; P̂ has the mean P."""
    graph, turns = few_neighbours()
    trainer = trainer_of(graph, GCNConfig(num_layers=3, hidden_channels=4), True)
    blocks = [(batch.blocks[2], batch.controls[2]) for batch in every_sample(trainer, turns) if batch.controls]
    whole = trainer.problem.adj.to_dense().numpy()
    noisy = np.stack([block.inner.to_dense().numpy() for block, _ in blocks])
    drawn = np.stack([control.drawn.inner.to_dense().numpy() for _, control in blocks if control is not None and control.drawn is not None])
    np.testing.assert_allclose(drawn.mean(0), whole, rtol=1e-5)
    np.testing.assert_allclose((noisy**2).mean(0), whole**2, rtol=1e-5)
    np.testing.assert_array_equal(noisy[:, range(9), range(9)], np.broadcast_to(np.diag(whole), (len(blocks), 9)))
    back = np.stack([block.inner.transpose().to_dense().numpy().T for block, _ in blocks])
    np.testing.assert_array_equal(back, drawn)


@pytest.mark.parametrize("fan_out", [1, 2, 3])
def test_the_variance_of_a_sum_is_that_of_its_differences(fan_out: int) -> None:
    """m²/k (1 − k/m) S² of the messages' differences to their histories, S² their variance: of 6,000 draws, within 10 %."""
    star = np.zeros((8, 8))
    star[0, 1:] = np.linspace(0.5, 2, 7)
    matrix = CSR.from_scipy(sp.csr_array(star))
    sampler, remainder, generator = Sampler(matrix, False), Remainder(matrix), np.random.default_rng(0)
    h, old = generator.standard_normal(8), generator.standard_normal(8)
    sums = []
    for step in range(6000):
        [(targets, cut)] = sampler.layers(np.array([0]), [fan_out], [Noise(1, step).key(1)])
        rest, sources = remainder(targets, cut)
        sums.append(float((cut.outer.to_scipy() @ h[cut.halo.numpy()])[0] + (rest.to_scipy() @ old[sources.numpy()])[0]))
    differences = star[0, 1:] * (h - old)[1:]
    expected = 49 / fan_out * (1 - fan_out / 7) * differences.var(ddof=1)
    assert np.mean(sums) == pytest.approx(float(star[0] @ h), abs=5 * math.sqrt(expected / 6000))
    assert np.var(sums) == pytest.approx(expected, rel=0.1)


@settings(max_examples=20, deadline=None)
@given(drawn=adjacencies(), share=st.floats(0.2, 1.0))
def test_all_neighbours_within_the_batch_are_gas(drawn: Any, share: float) -> None:
    """A_BB (h − h̄)_B + (A h̄)_B = A_BB h_B + A_BH h̄_H."""
    graph = make_graph(*drawn)
    problem = make_problem(graph, 1, GCNConfig())
    count = max(1, int(share * graph.num_nodes))
    cut = HostSplitter(problem.adj)([(0, count)])
    inside = Cut(cut.inner, CSR.empty(count, 0, torch.device("cpu")), torch.empty(0, dtype=torch.int64), None)
    rest, sources = Remainder(problem.adj)(np.arange(count), inside)
    assert torch.equal(sources, cut.halo)
    assert_same({"weights": rest.to_dense()}, {"weights": cut.outer.to_dense()})


# -- steps -----------------------------------------------------------------------------------------------------------------------------


def run_epoch(trainer: Trainer, epoch: int, noise: bool = True, ahead: bool = True) -> list[torch.Tensor]:
    """The scores of each batch of an epoch, without an update."""
    batches, scores = batches_of(trainer, epoch), []
    for number, batch in enumerate(batches):
        step = (epoch - 1) * len(batches) + number
        trainer.link.begin(batch, batches[number + 1] if ahead and number + 1 < len(batches) else None)
        with torch.no_grad():
            scores.append(forward(trainer.model, batch, trainer.link, Noise(0, step) if noise else Noise.off()))
        trainer.link.end(step)
    trainer.link.flush()
    return scores


@EACH
@pytest.mark.parametrize("noisy", [False, True])
@pytest.mark.parametrize("directed", [False, True])
def test_with_frozen_weights_it_is_exact_from_epoch_l(model: ModelConfig, noisy: bool, directed: bool) -> None:
    """Whatever histories held before. So nothing that is drawn makes a difference any more."""
    trainer = trainer_of(graph_of(27, directed=directed), model, noisy, batch_size=9)
    fill(trainer)
    whole = forward(trainer.model, full_batch(trainer, trainer.model), Alone(), Noise.off()).detach()
    whole = in_original_order(trainer.problem, whole)
    errors = []
    for epoch in range(1, model.num_layers + 2):
        scores = run_epoch(trainer, epoch)
        ids = torch.cat([batch.blocks[-1].target_ids for batch in batches_of(trainer, epoch)])
        errors.append(error([torch.cat(scores)], [whole[ids]]))
    assert errors[0] > WRONG
    assert max(errors[model.num_layers - 1 :]) < ROUND_OFF


@pytest.mark.parametrize("model", DROPPING.values(), ids=DROPPING)
def test_with_dropout_the_histories_of_cvd_become_exact(model: ModelConfig) -> None:
    """They are of the stream without it, and those of `cv` are not."""
    graph = graph_of(27)
    expected = trainer_of(graph, model)
    expected._fill()
    exact = rows_of(expected.histories) if expected.histories is not None else []
    found = {}
    for estimator in ("cvd", "cv"):
        trainer = trainer_of(graph, model, batch_size=9, estimator=estimator)
        fill(trainer)
        for epoch in range(1, model.num_layers + 1):
            run_epoch(trainer, epoch)
        assert trainer.histories is not None
        found[estimator] = max((error([a], [b]) for a, b in zip(rows_of(trainer.histories), exact, strict=True)), default=0.0)
    assert found["cvd"] < ROUND_OFF
    dropped = model.num_layers > 1 if model.drop_input else model.num_layers > 2  # whether there is dropout before the last table's rows
    assert (found["cv"] > WRONG) == dropped


@EACH
def test_without_dropout_both_estimators_are_equal(model: ModelConfig) -> None:
    """With any histories; and no second stream runs."""
    found = []
    for noisy in (False, True):
        trainer = trainer_of(graph_of(27), model, noisy, batch_size=9)
        fill(trainer)
        network, link = in_double(trainer)
        steps = [
            outcome(network, in_dtype(batch, torch.float64), link, Noise.off(), step) for step, batch in enumerate(batches_of(trainer))
        ]
        assert trainer.histories is not None
        found.append([*(each for step in steps for each in step)])
        assert not trainer_of(graph_of(), model, estimator="cvd").method.noisy  # type: ignore[attr-defined]
    assert error(found[1], found[0]) < 1e-6  # weights and histories are float32
    assert trainer_of(graph_of(), replace(model, dropout=0.1)).method.noisy  # type: ignore[attr-defined]


@pytest.mark.parametrize("slow", [False, True])
@pytest.mark.parametrize("noisy", [False, True])
def test_sums_are_those_of_the_formula(noisy: bool, slow: bool) -> None:
    """m = P̂ (drop(h) − h̄) + P h̄, or with a second stream R (drop(h) − μ) + P̂ (μ − μ̄) + P μ̄, on whole tensors in float64."""
    model = APPNPConfig(num_layers=3, hidden_channels=6, dropout=0.5)  # its layers are sums, on rows after dropout
    trainer = trainer_of(graph_of(), model, noisy, batch_size=9)
    fill(trainer)
    batch, noise, whole = batches_of(trainer)[0], Noise(2, 3), trainer.problem.adj.to_dense().double()
    n = whole.shape[0]
    assert trainer.histories is not None and batch.controls is not None
    old = [rows.double() for rows in rows_of(trainer.histories)]
    network, alpha = trainer.model, model.alpha

    def first(noise: Noise) -> torch.Tensor:
        block, x = batch.blocks[0], batch.x
        h = network.encode_rows(x, block, noise)
        assert isinstance(h.target, torch.Tensor) and isinstance(h.halo, torch.Tensor)
        return torch.cat([h.target, h.halo]).detach().double()

    nodes = torch.cat([batch.controls[1].nodes, batch.blocks[0].halo])  # type: ignore[union-attr]
    starts = {
        name: torch.zeros(n, 3, dtype=torch.float64).index_copy(0, nodes, first(of)) for name, of in {"h": noise, "μ": Noise.off()}.items()
    }
    streams = {name: (1 - alpha) * whole @ start + alpha * start for name, start in starts.items()}
    for layer in (1, 2):
        block, control = batch.blocks[layer], batch.controls[layer]
        assert control is not None
        targets = control.nodes[: block.num_targets]
        sampled = torch.from_numpy(dense(control.drawn or block, n, control.nodes))
        noisy_weights = torch.from_numpy(dense(block, n, control.nodes))
        history = old[layer - 1]
        if noisy:
            mean = sampled @ (streams["μ"] - history) + whole[targets] @ history
            sums = {"μ": mean, "h": noisy_weights @ (streams["h"] - streams["μ"]) + mean}
        else:
            sums = {"h": sampled @ (streams["h"] - history) + whole[targets] @ history}
        streams = {
            name: torch.zeros(n, 3, dtype=torch.float64).index_copy(0, targets, (1 - alpha) * m + alpha * starts[name][targets])
            for name, m in sums.items()
        }
    trainer.link.begin(batch, None)
    if slow:
        with slow_twins():
            scores = forward(network, batch, trainer.link, noise)
    else:
        scores = forward(network, batch, trainer.link, noise)
    assert error([scores.detach().double()], [streams["h"][targets]]) < ROUND_OFF


@EACH
@pytest.mark.parametrize("noisy", [False, True])
def test_a_step_writes_what_it_computed_when_it_ends(model: ModelConfig, noisy: bool) -> None:
    """The rows of each layer's targets and halo, after the update, and no others."""
    trainer = trainer_of(graph_of(everywhere=False), replace(model, dropout=0.3), noisy, batch_size=5)
    fill(trainer)
    tables = trainer.histories
    assert tables is not None
    batch, computed = batches_of(trainer)[0], {}
    before = [rows.clone() for rows in rows_of(tables)]
    trainer.link.begin(batch, None)
    between = trainer.link.between

    def noting(layer: int, h: torch.Tensor) -> Any:
        computed[layer] = h.detach().clone()
        return between(layer, h)

    trainer.link.between = noting  # type: ignore[method-assign]
    forward(trainer.model, batch, trainer.link, Noise(1, 2))
    assert_same({"tables": rows_of(tables)}, {"tables": before})
    assert int(tables.ages.written_at.max()) == NEVER
    trainer.link.end(6)
    for layer, (old, new) in enumerate(zip(before, rows_of(tables), strict=True), start=1):
        nodes = batch.controls[layer].nodes  # type: ignore[index, union-attr]
        others = torch.ones(50, dtype=torch.bool).index_fill_(0, nodes, False)
        assert torch.equal(old[others], new[others]) and bool(others.any())
        assert torch.equal(new[nodes], computed[layer]) != noisy
        assert not torch.equal(new[nodes], old[nodes])
    written = torch.full((50,), NEVER).index_fill_(0, batch.controls[1].nodes, 6)  # type: ignore[index, union-attr]
    assert torch.equal(tables.ages.written_at, written)


@pytest.mark.parametrize("kind", ["memory", "late", "streamed, late", "late, streamed late", "dict"])
def test_tables_of_every_kind_give_the_same_bits(kind: str) -> None:
    """Reads as late as they may be, writes too, and reads ahead of the next step."""
    model = SAGEConfig(num_layers=3, hidden_channels=6)
    expected, found = (trainer_of(graph_of(), model, batch_size=9) for _ in range(2))
    tables = expected.histories
    assert tables is not None
    if kind != "memory":
        found.method.histories = histories(kind, 50, tables.widths, tables.part_ptr)
        found.link = found.method.link()
    for epoch in range(1, 5):
        one, other = run_epoch(expected, epoch, ahead=False), run_epoch(found, epoch)
        assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))
