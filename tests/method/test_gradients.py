"""Histories of gradients: what is exact in them, for every model that has sums, and what is not."""

from __future__ import annotations

import functools
import json
import logging
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gas_cli.batch.builder import BatchBuilder
from gas_cli.batch.side_stream import arrived
from gas_cli.config.compose import compose_config
from gas_cli.config.method import MEASURED, GASConfig, MethodConfig
from gas_cli.config.model import APPNPConfig, GCNConfig, GCNIIConfig, GINConfig, ModelConfig, SAGEConfig
from gas_cli.config.root import Config
from gas_cli.diagnose.gradient import add, gradients, parameters
from gas_cli.diagnose.monitor import Monitor
from gas_cli.errors import UserError
from gas_cli.graph.graph import Graph
from gas_cli.method.gradients import Trust
from gas_cli.method.method import Alone
from gas_cli.ops.dropout import Noise
from gas_cli.ops.twins import slow_twins
from gas_cli.passes.drivers import forward
from gas_cli.report.recorder import Recorders
from gas_cli.run import run
from gas_cli.tables.memory import MemoryTable
from gas_cli.tables.scaled import ScaledTable
from gas_cli.training.assemble import make_trainer
from gas_cli.training.checkpoint import load_checkpoint
from gas_cli.training.trainer import Trainer
from tests.builders import adjacencies, make_config, make_graph, make_problem, random_adjacency
from tests.tables.kinds import histories
from tests.training.stopping import stopped_and_resumed
from tests.training.test_trainer import assert_same

SUMS: dict[str, ModelConfig] = {
    "gcn": GCNConfig(num_layers=3, hidden_channels=8, dropout=0.0),  # the last layer multiplies first: 8 channels to 3 classes
    "gcn-wider": GCNConfig(num_layers=3, hidden_channels=3, dropout=0.0),  # and here it sums up first
    "gcn-linear-res": GCNConfig(num_layers=3, hidden_channels=6, dropout=0.0, linear=True, residual=True),
    "sage": SAGEConfig(num_layers=3, hidden_channels=6, dropout=0.0),
    "gin": GINConfig(num_layers=3, hidden_channels=6, dropout=0.0),
    "gin-linear": GINConfig(num_layers=2, hidden_channels=6, dropout=0.0, linear=True),
    "gcnii": GCNIIConfig(num_layers=4, hidden_channels=6, dropout=0.0),
    "gcnii-star-res": GCNIIConfig(num_layers=3, hidden_channels=6, dropout=0.0, shared_weights=False, residual=True),
    "appnp": APPNPConfig(num_layers=5, hidden_channels=6, dropout=0.0),
}
SMALL = [
    "dataset.num_nodes=240", "dataset.num_communities=6", "dataset.num_features=8", "partitioner=random", "partitioner.num_parts=6",
    "partitioner.cache=null", "trainer.batch_parts=2", "trainer.epochs=4", "model.num_layers=3", "model.hidden_channels=8", "device=cpu",
]  # fmt: skip
EACH = pytest.mark.parametrize("model", SUMS.values(), ids=SUMS)
EXACT = 2e-5
"""Of the largest gradient: sums in float32 that were made in two orders."""
WRONG = 1e-3
"""What is larger is not round-off."""
SLOW = settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def graph_of(directed: bool = False, nodes: int = 60, degree: float = 4.0) -> Graph:
    return make_graph(random_adjacency(nodes, degree, 3, directed), directed)


def trainer_of(folder: Path, graph: Graph, model: ModelConfig, parts: int = 4, gradients: str = "history", **others: Any) -> Trainer:
    """Frozen, in parts as they come: `others` are settings of the method, or `group__name`."""
    of_method = {name: others.pop(name) for name in ("trust",) if name in others}
    return trainer_by(GASConfig(gradients=gradients, **of_method), folder, graph, model, parts, **others)


def trainer_by(method: MethodConfig, folder: Path, graph: Graph, model: ModelConfig, parts: int = 4, **others: Any) -> Trainer:
    """The same for any method."""
    config = make_config(model, num_parts=parts, **{"optimizer__lr": 0.0, "optimizer__reg_weight_decay": 0.0, **others})
    config.method = method
    problem = make_problem(graph, parts, model)
    return make_trainer(config, problem, folder)


def epochs(trainer: Trainer, noise: Callable[[int], Noise] = lambda step: Noise.off()) -> Iterator[list[torch.Tensor]]:
    """The gradient of each epoch, added up over its batches and divided by their number; histories go on."""
    weights, loader, step = list(parameters(trainer.model).values()), trainer.epochs.loader, 0
    trainer._fill()
    trainer.model.train()
    while True:
        groups = trainer.epochs.all_groups(1)
        total = [torch.zeros_like(weight) for weight in weights]
        for batch in (arrived(batch.to(trainer.device)) for batch in loader.batches(groups, keep=False)):
            trainer.link.begin(batch, None)
            with torch.set_grad_enabled(trainer.method.learns_from(batch)):
                scores = forward(trainer.model, batch, trainer.link, noise(step))
                if scores.requires_grad:
                    add(
                        total,
                        [each / len(groups) for each in gradients(trainer.link.loss(trainer.loss, scores, batch, len(groups)), weights)],
                    )
            trainer.link.end(step)
            step += 1
        yield total


def full_batch(trainer: Trainer, graph: Graph, noise: Noise = Noise.off()) -> list[torch.Tensor]:  # noqa: B008  # frozen
    """The gradient of the whole graph."""
    whole = make_problem(graph, 1, trainer.config.model)
    batch = BatchBuilder(whole.graph, whole.adj, whole.partition, whole.graph.splits[0], trainer.model.num_layers).build([0])
    scores = forward(trainer.model, batch, Alone(), noise)
    return gradients(trainer.loss(scores, batch, 1), list(parameters(trainer.model).values()))


def error(found: list[torch.Tensor], expected: list[torch.Tensor]) -> float:
    """Of the largest entry."""
    largest = max(float(one.abs().max()) for one in expected)
    return max(float((a - b).abs().max()) for a, b in zip(found, expected, strict=True)) / max(largest, 1e-12)


def nth(source: Iterator[list[torch.Tensor]], number: int) -> list[torch.Tensor]:
    """The `number`th epoch's, from 1."""
    for _ in range(number - 1):
        next(source)
    return next(source)


@EACH
@pytest.mark.parametrize("directed", [False, True], ids=["undirected", "directed"])
def test_with_frozen_weights_an_epoch_has_the_gradient_of_full_batch(tmp_path: Path, model: ModelConfig, directed: bool) -> None:
    """After 2L epochs; on a directed graph those who read the targets are others than those whom the targets read."""
    graph = graph_of(directed)
    trainer = trainer_of(tmp_path, graph, model)
    assert error(nth(epochs(trainer), 2 * model.num_layers), full_batch(trainer, graph)) < EXACT


@EACH
def test_a_cut_gradient_stays_wrong(tmp_path: Path, model: ModelConfig) -> None:
    graph = graph_of()
    trainer = trainer_of(tmp_path, graph, model, gradients="cut")
    assert error(nth(epochs(trainer), 2 * model.num_layers), full_batch(trainer, graph)) > WRONG


@EACH
@SLOW
@given(drawn=adjacencies(), data=st.data())
def test_so_it_is_on_odd_graphs(tmp_path_factory, drawn, data, model) -> None:
    """Stars, isolated nodes, no edges, weights, parts without training nodes."""
    graph = make_graph(*drawn, sparse_features=data.draw(st.booleans()))
    trainer = trainer_of(tmp_path_factory.mktemp("run"), graph, model, parts=data.draw(st.integers(1, min(5, graph.num_nodes))))
    expected = full_batch(trainer, graph)
    found = nth(epochs(trainer), 2 * model.num_layers)
    largest = max(1e-3, *(float(one.abs().max()) for one in expected))
    assert max(float((a - b).abs().max()) for a, b in zip(found, expected, strict=True)) < 10 * EXACT * largest


@EACH
def test_the_slow_twin_gives_the_same(tmp_path: Path, model: ModelConfig) -> None:
    fast = nth(epochs(trainer_of(tmp_path, graph_of(), model)), 3)
    with slow_twins():
        slow = nth(epochs(trainer_of(tmp_path, graph_of(), model)), 3)
    assert error(slow, fast) < EXACT


@EACH
def test_dropout_masks_what_comes_back(tmp_path: Path, model: ModelConfig) -> None:
    """With one mask for all epochs, which no partition changes, the gradient is exact too."""
    graph = graph_of()
    trainer = trainer_of(tmp_path, graph, replace(model, dropout=0.4))
    noise = Noise(3, 4)
    found = nth(epochs(trainer, lambda step: noise), 2 * model.num_layers)
    assert error(found, full_batch(trainer, graph, noise)) < EXACT


@functools.cache
def in_memory(name: str) -> tuple[list[list[torch.Tensor]], torch.Tensor]:
    """The gradients of four epochs and what trust was measured by, once for all kinds of tables: not to be changed."""
    with tempfile.TemporaryDirectory() as folder:
        trainer = trainer_of(Path(folder), graph_of(), SUMS[name], trust=MEASURED)
        found = [each for _, each in zip(range(4), epochs(trainer), strict=False)]
        return found, trainer.method.backward.trust.moments


@pytest.mark.parametrize("name", SUMS)
@pytest.mark.parametrize("kind", ["late", "streamed, late", "late, streamed late", "dict"])
def test_tables_of_every_kind_give_the_same_bits(tmp_path: Path, name: str, kind: str) -> None:
    """Reads as late as they may be, writes too."""
    (expected, moments), found = in_memory(name), trainer_of(tmp_path, graph_of(), SUMS[name], trust=MEASURED)
    others = found.method.backward
    others.tables = histories(kind, 60, others.tables.widths, found.problem.seen_ptr)
    found.link = found.method.link()
    for one, other in zip(expected, epochs(found), strict=False):
        assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))
    assert torch.equal(others.trust.moments, moments)


@EACH
def test_one_part_is_full_batch_bit_for_bit(tmp_path: Path, model: ModelConfig) -> None:
    whole = fitted(tmp_path / "whole", model, gradients="history", parts=1)
    cut = fitted(tmp_path / "cut", model, gradients="cut", parts=1)
    assert_same(whole.model.state_dict(), cut.model.state_dict())
    assert not any(table.state().any() for table in whole.method.tables["gradients"]), "nobody would read them"


@EACH
def test_without_trust_it_is_a_cut_gradient_bit_for_bit(tmp_path: Path, model: ModelConfig) -> None:
    none = fitted(tmp_path / "none", model, gradients="history", trust=0)
    cut = fitted(tmp_path / "cut", model, gradients="cut")
    full = fitted(tmp_path / "full", model, gradients="history", trust=1)
    assert_same(none.model.state_dict(), cut.model.state_dict())
    assert any(not torch.equal(a, b) for a, b in zip(full.model.parameters(), cut.model.parameters(), strict=True))


def fitted(folder: Path, model: ModelConfig, **others: Any) -> Trainer:
    """After three epochs of training in fixed batches, each of which has training nodes."""
    trainer = trainer_of(folder, graph_of(), model, **others, optimizer__lr=0.01, trainer__epochs=3, evaluation__every=None)
    trainer.fit(Recorders([]))
    return trainer


@functools.cache
def grown(name: str) -> Trainer:
    """With frozen weights and measured trust after 30 epochs: not to be changed."""
    with tempfile.TemporaryDirectory() as folder:
        trainer = trainer_of(Path(folder), graph_of(), SUMS[name], trust=MEASURED)
        assert bool((trainer.method.backward.trust.values() == 1).all()), "nothing was measured"
        nth(epochs(trainer), 30)
        return trainer


@pytest.mark.parametrize("name", SUMS)
def test_measured_trust_grows_to_one_with_frozen_weights(name: str) -> None:
    assert float((grown(name).method.backward.trust.values() - 1).abs().max()) < 1e-3


def test_measured_trust_is_the_best_factor(tmp_path: Path) -> None:
    """Old rows that have nothing to do with the new ones get none, those that are twice as large half."""
    trust = Trust(None, torch.zeros(2, 2))
    new = torch.randn(30, 4, generator=torch.Generator().manual_seed(0))
    for _ in range(5):
        trust.note([((old * new).sum(), old.square().sum()) for old in (2 * new, -new)])
    torch.testing.assert_close(trust.values(), torch.tensor([0.5, 0.0]))


@pytest.mark.parametrize(
    "settings", [[], ["model=appnp"], ["method.trust=measured"], ["history.dtype=float16"], ["dataset.train_fraction=0.02"]]
)
def test_stopped_anywhere_it_resumes_bit_for_bit(tmp_path: Path, settings: list[str]) -> None:
    settings = ["method.gradients=history", "trainer.batch_parts=1", "trainer.epochs=2", *settings]
    run(config_of(*settings), tmp_path / "whole")
    whole = load_checkpoint(tmp_path / "whole" / "checkpoints" / "last.pt")
    for step in (1, 7):
        stopped = stopped_and_resumed(config_of(*settings), tmp_path / f"stopped-{step}", step)
        assert_same(*({name: state[name] for name in ("model", "optimizer", "method")} for state in (whole, stopped)))
    assert all(rows.any() for rows in whole["method"]["gradients"]["tables"])


def test_each_batch_is_an_update(tmp_path: Path) -> None:
    """One without training nodes sends on what others told it."""
    run(config_of("method.gradients=history", "dataset.train_fraction=0.02", "trainer.batch_parts=1"), tmp_path)
    state = load_checkpoint(tmp_path / "checkpoints" / "last.pt")
    assert {int(moments["step"]) for moments in state["optimizer"]["adam"]["state"].values()} == {4 * 6}


def config_of(*settings: str) -> Config:
    return compose_config([*SMALL, *settings])


def test_the_loss_has_one_scale_whatever_is_published(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        assert config_of("method.gradients=history", "trainer.loss_weighting=batch_mean").trainer.loss_weighting == "full_batch"
    assert "Using trainer.loss_weighting=full_batch" in caplog.text
    assert config_of("trainer.loss_weighting=batch_mean").trainer.loss_weighting == "batch_mean"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["trainer.edge_dropout=0.2"], r"trainer\.edge_dropout=0\.2 is not valid: expected 0 with method\.gradients=history"),
        (["trainer.lipschitz.weight=0.1", "model.num_layers=3"], r"trainer\.lipschitz\.weight=0\.1 is not valid: expected 0 with method"),
        (["method.trust=2"], r"method\.trust=2 is not valid: expected measured or a number from 0 to 1"),
        (["method.trust=-0.5"], r"method\.trust=-0\.5 is not valid"),
        (["method.trust=true"], r"method\.trust=true is not valid"),
        (["method.trust=full"], r"method\.trust=full is not valid"),
        (["method.gradients=cut", "method.trust=measured"], r"method\.trust=measured is not valid: expected 1 with method\.gradients=cut"),
        (["method.gradients=histories"], r"method\.gradients=histories is not valid: expected one of cut, history"),
    ],
)
def test_settings_that_contradict_it_are_refused(settings: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        config_of("method.gradients=history", *settings)


@pytest.mark.parametrize("model", [["model=gat"], ["model=pna"]], ids=str)
def test_a_model_that_does_more_than_sums_is_refused(tmp_path: Path, model: list[str]) -> None:
    with pytest.raises(UserError, match=r"method\.gradients=history is not valid with model=\w+, .* Use method\.gradients=cut, or one of"):
        run(config_of(*model, "method.gradients=history"), tmp_path)


def test_small_gradients_survive_float16(tmp_path: Path) -> None:
    """With 4,000 nodes they would lose their digits: the largest is 1e-3, and 6e-8 the smallest that float16 tells."""
    graph, model = graph_of(nodes=4000), SUMS["appnp"]
    expected = nth(epochs(trainer_of(tmp_path, graph, model)), 10)
    narrow = trainer_of(tmp_path, graph, model, history__dtype="float16", history__fill=False)
    narrow.method.histories = trainer_of(tmp_path, graph, model).method.histories  # its gradients only
    narrow.link = narrow.method.link()
    assert error(nth(epochs(narrow), 10), expected) < 1e-3
    raw = narrow.method.backward
    assert raw.tables[1].scale > 1 and not raw.tables.overflowed()


def test_a_scaled_table_gives_back_what_it_got() -> None:
    table = ScaledTable(MemoryTable(torch.zeros(5, 3, dtype=torch.float16), torch.device("cpu")), 2.0**10)
    rows = torch.tensor([[1e-7, -3e-6, 0.5]])
    table.write(torch.tensor([2]), rows)
    torch.testing.assert_close(table.read([(2, 3)]).wait(), rows, rtol=1e-3, atol=0)
    table.write([(0, 1)], torch.full((1, 3), 100.0))
    assert bool(table.state().isinf().any())  # and is found by those who look for overflows
    other = ScaledTable(MemoryTable(torch.zeros(5, 3, dtype=torch.float16), torch.device("cpu")), 2.0**10)
    other.load(table.state())
    assert torch.equal(other.state(), table.state())


@pytest.mark.parametrize("name", SUMS)
def test_the_monitor_finds_no_bias_where_there_is_none_and_changes_nothing(tmp_path: Path, name: str) -> None:
    cut = trainer_of(tmp_path, graph_of(), SUMS[name], gradients="cut")
    nth(epochs(cut), 3)
    found = {}
    for kind, trainer in (("cut", cut), ("history", grown(name))):
        before = trainer.method.state_dict()
        groups = trainer.epochs.all_groups(1)
        found[kind] = Monitor(trainer.evaluator, trainer.method, trainer.loss).measure(30 * len(groups), groups)["gradient"]["total"]
        assert_same(trainer.method.state_dict(), before)
    assert found["history"] < 2e-3 < found["cut"]


@pytest.mark.parametrize("trust", ["0.25", MEASURED])
def test_a_record_of_the_monitor_has_the_trust_of_each_layer(tmp_path: Path, trust: str) -> None:
    run(config_of("method.gradients=history", f"method.trust={trust}", "evaluation.monitor=2"), tmp_path)
    records = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    measured, last = (record["monitor"]["gradient"]["trust"] for record in records if "monitor" in record)
    assert len(measured) == len(last) == 2 and all(0 <= value <= 1 for value in (*measured, *last))
    assert measured == last == [0.25, 0.25] if trust != MEASURED else measured != last
    saved = torch.load(tmp_path / "checkpoints" / "last.pt", weights_only=True)["method"]["trust"]
    constant = None if trust == MEASURED else float(trust)
    assert last == Trust(constant, saved).values().tolist()


def test_measuring_with_dropout_changes_nothing_and_can_be_repeated(tmp_path: Path) -> None:
    trainer = trainer_of(tmp_path, graph_of(), replace(SUMS["gcn"], dropout=0.5), gradients="history", trust=MEASURED)
    nth(epochs(trainer), 3)
    before, generator = trainer.state_dict(), torch.get_rng_state()
    groups, monitor = trainer.epochs.all_groups(1), Monitor(trainer.evaluator, trainer.method, trainer.loss)
    found = monitor.measure(30, groups)["gradient"]
    assert found["training"]["total"] > 0.01 and found == monitor.measure(30, groups)["gradient"]
    assert found["training"] != monitor.measure(31, groups)["gradient"]["training"]
    assert_same(trainer.state_dict(), before)
    assert torch.equal(generator, torch.get_rng_state())


def test_a_record_without_histories_of_gradients_has_no_trust(tmp_path: Path) -> None:
    run(config_of("evaluation.monitor=4"), tmp_path)
    assert "trust" not in json.loads((tmp_path / "metrics.jsonl").read_text().splitlines()[-1])["monitor"]["gradient"]


def test_the_summary_has_the_memory_of_both_halves(tmp_path: Path) -> None:
    data = run(config_of("method.gradients=history"), tmp_path)["memory"]["data"]
    assert data["gradients"] == 240 * (8 + 6) * 4 and data["histories"] == 240 * (8 + 8) * 4


@pytest.mark.gpu
@EACH
@pytest.mark.parametrize("placement", ["device", "pinned"])
@pytest.mark.parametrize("directed", [False, True], ids=["undirected", "directed"])
def test_a_gpu_finds_the_same(tmp_path: Path, model: ModelConfig, placement: str, directed: bool) -> None:
    graph = graph_of(directed)
    expected = nth(epochs(trainer_of(tmp_path, graph, model, trust=MEASURED)), 4)
    found = nth(epochs(trainer_of(tmp_path, graph, model, trust=MEASURED, device="cuda", history__placement=placement)), 4)
    assert error([one.cpu() for one in found], expected) < 10 * EXACT
