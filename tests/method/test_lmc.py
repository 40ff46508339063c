"""LMC: what is exact in it, and what is not."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from gas_cli.batch.batch import Batch
from gas_cli.batch.builder import BatchBuilder
from gas_cli.config.method import SCORES, FullBatchConfig, LMCConfig
from gas_cli.config.model import APPNPConfig, GATConfig, GCNConfig, GCNIIConfig, GINConfig, ModelConfig, PNAConfig, SAGEConfig
from gas_cli.diagnose.gradient import gradients, parameters
from gas_cli.errors import UserError
from gas_cli.graph.graph import Graph
from gas_cli.method.lmc import LMC
from gas_cli.method.method import Alone
from gas_cli.model.model import State
from gas_cli.ops.dropout import Noise
from gas_cli.ops.twins import slow_twins
from gas_cli.passes.drivers import forward, start
from gas_cli.prediction import embed, predict
from gas_cli.report.recorder import Recorders
from gas_cli.run import prepare, run
from gas_cli.training.assemble import make_trainer
from gas_cli.training.checkpoint import load_checkpoint
from gas_cli.training.trainer import Trainer
from tests.builders import make_problem, rows_of
from tests.method.test_gradients import EACH, EXACT, config_of, epochs, error, full_batch, graph_of, nth, trainer_by
from tests.tables.kinds import histories
from tests.training.stopping import stopped_and_resumed
from tests.training.test_trainer import assert_same

SUMS: dict[str, ModelConfig] = {
    "gcn2": GCNConfig(num_layers=2, hidden_channels=8, dropout=0.0),
    "gcn2-wider": GCNConfig(num_layers=2, hidden_channels=3, dropout=0.0),
    "gcn": GCNConfig(num_layers=3, hidden_channels=8, dropout=0.0),
    "gcn-elu-linear-res": GCNConfig(num_layers=3, hidden_channels=6, dropout=0.0, activation="elu", linear=True, residual=True),
    "sage": SAGEConfig(num_layers=3, hidden_channels=6, dropout=0.0),
    "gcnii": GCNIIConfig(num_layers=4, hidden_channels=6, dropout=0.0),
    "gcnii-star-res": GCNIIConfig(num_layers=3, hidden_channels=6, dropout=0.0, shared_weights=False, residual=True),
    "appnp": APPNPConfig(num_layers=5, hidden_channels=6, dropout=0.0),
}
"""Models in which nothing but the activation is between two sums and not linear."""
GIN = GINConfig(num_layers=3, hidden_channels=6, dropout=0.0)
EVERY = pytest.mark.parametrize("model", SUMS.values(), ids=SUMS)
WRONG = 1e-3
"""What is larger is not round-off."""


def lmc(
    folder: Path, model: ModelConfig, graph: Graph | None = None, alpha: float = 0.0, score: str = "constant", **others: Any
) -> Trainer:
    return trainer_by(LMCConfig(alpha=alpha, score=score), folder, graph or graph_of(), model, **others)


@EVERY
@pytest.mark.parametrize("filled", [False, True], ids=["from-zeros", "filled"])
def test_with_frozen_weights_the_gradient_of_each_batch_becomes_exact(tmp_path: Path, model: ModelConfig, filled: bool) -> None:
    """β = 0: that of the weights of layer l (from 1) from epoch 2L-l on, and L-1 epochs before where histories start exact."""
    graph = graph_of()
    trainer = lmc(tmp_path, model, graph)
    names, layers = list(parameters(trainer.model)), model.num_layers
    shares, found = Shares(trainer, graph), [[0.0]]  # by epoch, from 1
    if filled:
        trainer._fill()
    for _ in range(2 * layers + 1):
        errors = [[apart(*pair) for pair in zip(one, shares.of(batch), strict=True)] for batch, one in batch_gradients(trainer)]
        found.append([max(column) for column in zip(*errors, strict=True)])
    for index, name in enumerate(names):
        layer = layer_of(name, model)
        since = 2 * layers - layer - (layers - 1 if filled else 0)
        assert all(each[index] < EXACT for each in found[since:]), name
        assert found[1][index] > WRONG or (filled and layer == layers), name


def layer_of(name: str, model: ModelConfig) -> int:
    """Whose weight it is: a layer's from 1, with what comes behind the last one; 0 for what encodes the features."""
    number = re.search(r"\.(\d+)", name)
    if number:
        return int(number[1]) + 1
    return model.num_layers if name.startswith("lin_out") and not isinstance(model, APPNPConfig) else 0


def batch_gradients(trainer: Trainer) -> Iterator[tuple[Batch, list[torch.Tensor]]]:
    """One epoch's batches, each with its gradient divided by their number."""
    weights, groups = list(parameters(trainer.model).values()), trainer.epochs.all_groups(1)
    trainer.model.train()
    for batch in trainer.epochs.loader.batches(groups, keep=False):
        trainer.link.begin(batch, None)
        scores = forward(trainer.model, batch, trainer.link, Noise.off())
        found = gradients(trainer.link.loss(trainer.loss, scores, batch, len(groups)), weights)
        trainer.link.end(0)
        yield batch, [each / len(groups) for each in found]


def apart(found: torch.Tensor, expected: torch.Tensor) -> float:
    """Of the largest entry, or of a thousandth where there is none: the rows of a batch may give nothing to a weight."""
    return float((found - expected).abs().max()) / max(float(expected.abs().max()), 1e-3)


class Shares:
    """What the targets of a batch give to the gradient of the whole graph: layer by layer from exact inputs and exact ∂loss/∂z."""

    def __init__(self, trainer: Trainer, graph: Graph) -> None:
        self.model, config = trainer.model, trainer.config.model
        whole = make_problem(graph, 1, config)
        builder = BatchBuilder(whole.graph, whole.adj, whole.partition, whole.graph.splits[0], self.model.num_layers)
        self.batch = builder.build([0])
        rows, state = start(self.model, self.batch, Noise.off())
        first = rows.target.detach().requires_grad_()
        self.state, outputs = State(state.noise, first), [first]
        for index in range(self.model.num_layers):
            outputs.append(self._layer(index, outputs[-1], self.state))
        scores = self.model.decode(outputs[-1], self.batch.blocks[-1], self.state)
        self.by = torch.autograd.grad(trainer.loss(scores, self.batch, 1), [*outputs, scores])
        self.outputs = [each.detach() for each in outputs]

    def of(self, batch: Batch) -> list[torch.Tensor]:
        here = torch.isin(self.batch.blocks[0].target_ids, batch.blocks[0].target_ids).unsqueeze(1)
        state = State(self.state.noise, self.outputs[0])
        given = [start(self.model, self.batch, Noise.off())[0].target]
        given += [self._layer(index, self.outputs[index], state) for index in range(self.model.num_layers)]
        given.append(self.model.decode(self.outputs[-1], self.batch.blocks[-1], state))
        total = sum((each * by * here).sum() for each, by in zip(given, self.by, strict=True))
        return gradients(total, list(parameters(self.model).values()))

    def _layer(self, index: int, h: torch.Tensor, state: State) -> torch.Tensor:
        return self.model.layer(index, Alone().between(index, h), self.batch.blocks[index], state)


@pytest.mark.parametrize("model", [SUMS[name] for name in ("gcn", "gcn-elu-linear-res", "sage", "gcnii", "gcnii-star-res")])
def test_with_histories_behind_the_activation_it_stays_wrong(tmp_path: Path, model: ModelConfig, monkeypatch: Any) -> None:
    monkeypatch.setattr(LMC, "before_activation", False)
    graph = graph_of()
    trainer = lmc(tmp_path, model, graph)
    assert not trainer.model.activates_inputs
    assert WRONG < error(nth(epochs(trainer), 3 * model.num_layers), full_batch(trainer, graph)) < 0.5


def test_so_it_does_with_a_perceptron_in_the_layer(tmp_path: Path) -> None:
    """Between the sum and the activation: its own activation reads what the halo has not seen all of."""
    graph = graph_of()
    trainer = lmc(tmp_path, GIN, graph)
    assert trainer.model.activates_inputs
    assert WRONG < error(nth(epochs(trainer), 3 * GIN.num_layers), full_batch(trainer, graph)) < 0.5


@EVERY
def test_with_what_the_step_finds_it_stays_wrong(tmp_path: Path, model: ModelConfig) -> None:
    """The more of it, the more."""
    graph = graph_of()
    found = []
    for alpha in (0.2, 1.0):
        trainer = lmc(tmp_path, model, graph, alpha)
        found.append(error(nth(epochs(trainer), 3 * model.num_layers), full_batch(trainer, graph)))
    assert WRONG < found[0] < found[1] < 1


@pytest.mark.parametrize("name", ["gcn2", "gcn-elu-linear-res"])
def test_dropout_masks_both_ways(tmp_path: Path, name: str) -> None:
    """With one mask for all epochs, which no partition changes, the gradient is exact too."""
    graph, model, noise = graph_of(), replace(SUMS[name], dropout=0.4), Noise(3, 4)
    trainer = lmc(tmp_path, model, graph)
    assert error(nth(epochs(trainer, lambda step: noise), 2 * model.num_layers), full_batch(trainer, graph, noise)) < EXACT


@EACH
def test_the_slow_twin_gives_the_same(tmp_path: Path, model: ModelConfig) -> None:
    fast = nth(epochs(lmc(tmp_path, model, alpha=0.5)), 3)
    with slow_twins():
        slow = nth(epochs(lmc(tmp_path, model, alpha=0.5)), 3)
    assert error(slow, fast) < EXACT


@pytest.mark.parametrize("score", SCORES)
def test_a_step_is_that_of_a_twin_on_whole_tensors(tmp_path: Path, score: str) -> None:
    """GCN of three layers, by hand on the dense adjacency, its backward pass too: each batch's gradient, epoch after epoch."""
    trainer = lmc(tmp_path, SUMS["gcn"], alpha=0.7, score=score, trainer__batch_parts=1)
    twin = Twin(trainer, 0.7)
    trainer._fill()
    twin.h = [None, *(rows.clone() for rows in rows_of(trainer.method.histories))]
    weights = list(parameters(trainer.model).values())
    trainer.model.train()
    for _ in range(3):
        for group in trainer.epochs.all_groups(1):
            batch = trainer.epochs.loader.get(group, keep=False)
            trainer.link.begin(batch, None)
            scores = forward(trainer.model, batch, trainer.link, Noise.off())
            found = gradients(trainer.link.loss(trainer.loss, scores, batch, 4), weights)
            trainer.link.end(0)
            assert error(found, twin.step(group[0])) < 10 * EXACT
    for one, other in zip(rows_of(trainer.method.gradients), twin.v[1:], strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


class Twin:
    """z̄, V̄ = ∂loss/∂z and the scores of all nodes, and one step in which every sum is written down."""

    def __init__(self, trainer: Trainer, alpha: float) -> None:
        assert isinstance(trainer.method, LMC)
        self.problem, self.model, self.loss, self.alpha, self.score = (
            trainer.problem,
            trainer.model,
            trainer.loss,
            alpha,
            trainer.method.score,
        )
        self.a = self.problem.adj.to_dense()
        n = self.a.shape[0]
        self.h: list[Any] = []
        self.v = [torch.zeros(n, width) for width in (1, *self.model.widths[1:])]
        self.scores = torch.zeros(n, self.problem.graph.num_classes)

    @torch.no_grad()
    def step(self, part: int) -> list[torch.Tensor]:
        """[∂W_0, ∂b_0, ...] of the batch that is one part."""
        n, (start, stop) = self.a.shape[0], self.problem.partition.part_ptr[part : part + 2].tolist()
        inside = torch.zeros(n, dtype=torch.bool)
        inside[start:stop] = True
        halo = (self.a[inside] != 0).any(0) & ~inside
        block = inside | halo
        share = (self.a[:, block] != 0).sum(1) / (self.a != 0).sum(1)
        beta = (self.alpha * self.score(share)).unsqueeze(1)
        a = self.a * block * block.unsqueeze(1)
        ws, bs = [conv.weight for conv in self.model.convs], [conv.bias for conv in self.model.convs]
        inputs, masks, z = [], [], self.problem.graph.x * block.unsqueeze(1)
        for layer, (w, b) in enumerate(zip(ws, bs, strict=True)):
            masks.append(z > 0 if layer else torch.ones_like(z, dtype=torch.bool))
            inputs.append(z * masks[-1])
            out = a @ inputs[-1] @ w + b
            old = self.scores if layer == 2 else self.h[layer + 1]
            z = torch.where(inside.unsqueeze(1), out, (1 - beta) * old + beta * out) * block.unsqueeze(1)
            old[inside] = out[inside]
        split = self.problem.graph.splits[0]
        train = split.train & block
        v = torch.zeros_like(z)
        v[train] = (z[train].softmax(1) - torch.nn.functional.one_hot(self.problem.graph.y[train], z.shape[1])) * 4 / split.train.sum()
        result: list[torch.Tensor] = []
        for layer in (2, 1, 0):
            into = v * block.unsqueeze(1)
            own = into * inside.unsqueeze(1)
            result = [(a @ inputs[layer]).t() @ own, own.sum(0), *result]
            if layer > 0:
                g = a.t() @ (into @ ws[layer].t()) * masks[layer]
                v = torch.where(inside.unsqueeze(1), g, (1 - beta) * self.v[layer] + beta * g)
                self.v[layer][inside] = g[inside]
        return result


@EACH
def test_one_part_is_full_batch_bit_for_bit(tmp_path: Path, model: ModelConfig) -> None:
    """Dropout lets both read x in their first layer."""
    model, settings = replace(model, dropout=0.5), {"parts": 1, "optimizer__lr": 0.01, "trainer__epochs": 3}
    one = trainer_by(LMCConfig(), tmp_path / "one", graph_of(), model, **settings)
    full = trainer_by(FullBatchConfig(), tmp_path / "full", graph_of(), model, **settings)
    for trainer in (one, full):
        trainer.fit(Recorders([]))
    assert_same(one.model.state_dict(), full.model.state_dict())
    assert not any(table.any() for table in rows_of(one.method.gradients)), "nobody would read them"


@pytest.mark.parametrize("model", [SUMS["appnp"], GCNConfig(num_layers=2, hidden_channels=6, linear=True)], ids=["appnp", "gcn-linear"])
def test_weights_take_no_gradient_from_the_halo(tmp_path: Path, model: ModelConfig) -> None:
    """Features of the halo that blow up change no gradient of a step whose messages all have the weight 0, biases' included."""
    found = []
    for factor in (1, 100):
        trainer = lmc(tmp_path / str(factor), model, alpha=0.5)
        weights = list(parameters(trainer.model).values())
        batch = trainer.epochs.loader.get([0], keep=False)
        block, halo = batch.blocks[-1], batch.halo
        cut = replace(block, outer=block.outer.with_values(torch.zeros_like(block.outer.value)))
        received = replace(halo.block, outer=halo.block.outer.with_values(torch.zeros_like(halo.block.outer.value)))
        x = replace(batch.x, halo=batch.x.halo * factor)
        batch = replace(batch, blocks=(cut,) * model.num_layers, halo=replace(halo, block=received), x=x)
        trainer.link.begin(batch, None)
        scores = forward(trainer.model, batch, trainer.link, Noise.off())
        found.append(gradients(trainer.link.loss(trainer.loss, scores, batch, 4), weights))
        trainer.link.end(0)
    assert halo.train_rows.numel() > 0 and any(bool(one.any()) for one in found[0])
    assert all(torch.equal(one, other) for one, other in zip(*found, strict=True))


@EACH
@pytest.mark.parametrize("kind", ["late", "streamed, late", "late, streamed late", "dict"])
def test_tables_of_every_kind_give_the_same_bits(tmp_path: Path, model: ModelConfig, kind: str) -> None:
    trainers = [lmc(tmp_path, model, alpha=0.5, optimizer__lr=0.01) for _ in range(2)]
    other = trainers[1]
    for name, tables in other.method.tables.items():
        setattr(other.method, name, histories(kind, 60, tables.widths, other.problem.seen_ptr))
    other.link = other.method.link(other.clock.phase)
    for trainer in trainers:
        trainer._fill()
        for epoch in (1, 2):
            trainer.progress.epoch, trainer.progress.batch = epoch, 0
            trainer.train_epoch()
    assert_same(*(trainer.method.state_dict() for trainer in trainers))
    assert_same(*(trainer.model.state_dict() for trainer in trainers))


@pytest.mark.parametrize("settings", [[], ["model=appnp"], ["history.dtype=float16", "history.waves=1"], ["dataset.train_fraction=0.02"]])
def test_stopped_anywhere_it_resumes_bit_for_bit(tmp_path: Path, settings: list[str]) -> None:
    settings = ["method=lmc", "trainer.batch_parts=1", *settings]
    run(config_of(*settings), tmp_path / "whole")
    whole = load_checkpoint(tmp_path / "whole" / "checkpoints" / "last.pt")
    stopped = stopped_and_resumed(config_of(*settings), tmp_path / "stopped", 7)
    assert_same(*({name: state[name] for name in ("model", "optimizer", "method")} for state in (whole, stopped)))
    assert all(rows.any() for kind in ("histories", "gradients", "outputs") for rows in whole["method"][kind]["tables"])


def test_predictions_by_histories_read_them_before_the_activation(tmp_path: Path) -> None:
    """They are those of the run's own evaluation, and embeddings those of the same weights under another method."""
    settings = ["method=lmc", "evaluation.mode=history", "model.linear=true"]
    run(config_of(*settings), tmp_path / "run")
    state = load_checkpoint(tmp_path / "run" / "checkpoints" / "last.pt")
    assert any(bool((rows < 0).any()) for rows in state["method"]["histories"]["tables"])
    config = config_of(*settings)
    trainer = make_trainer(config, prepare(config), tmp_path / "again")
    trainer.restore(state)
    position = trainer.problem.partition.node_perm.argsort()
    scores = trainer.evaluator.from_history(trainer.method.histories)[position]
    found = predict(tmp_path / "run", mode="history", checkpoint="last").probabilities
    torch.testing.assert_close(torch.from_numpy(found), scores.softmax(1), rtol=0, atol=1e-7)
    gas = config_of("method=gas", "model.linear=true")
    other = make_trainer(gas, prepare(gas), tmp_path / "gas")
    other.model.load_state_dict(state["model"])
    for layer in (1, 2, 3):
        mine = torch.from_numpy(embed(tmp_path / "run", layer=layer, checkpoint="last").values)
        assert torch.equal(trainer.evaluator.embeddings(layer)[position], mine)
        assert torch.equal(other.evaluator.embeddings(layer)[position], mine)


def test_the_monitor_changes_nothing(tmp_path: Path) -> None:
    run(config_of("method=lmc", "evaluation.monitor=2", "evaluation.mode=history"), tmp_path / "one")
    data = run(config_of("method=lmc", "evaluation.mode=history"), tmp_path / "other")["memory"]["data"]
    one, other = (load_checkpoint(tmp_path / name / "checkpoints" / "last.pt") for name in ("one", "other"))
    assert_same(one["method"], other["method"])
    assert_same(one["model"], other["model"])
    assert data["histories"] == data["gradients"] == 240 * (8 + 8) * 4 and data["outputs"] == 240 * 6 * 4


@pytest.mark.parametrize(
    ("model", "directed", "message"),
    [
        (GATConfig(num_layers=2), False, r"method=lmc is not valid with model=gat, .* Use method=gas, or one of model=gcn"),
        (PNAConfig(num_layers=2), False, r"method=lmc is not valid with model=pna"),
        (GCNConfig(num_layers=2, batch_norm=True), False, r"not valid with the batch norms of model=gcn: .* Use model\.batch_norm=false"),
        (GINConfig(num_layers=2, mlp_batch_norm=True), False, r"and model\.mlp_batch_norm=false for gin"),
        (GCNConfig(num_layers=2), True, r"whose edges are directed: .* Use dataset\.undirected=true"),
    ],
    ids=["gat", "pna", "norm", "norm-inside", "directed"],
)
def test_what_it_is_not_right_for_is_refused(tmp_path: Path, model: ModelConfig, directed: bool, message: str) -> None:
    with pytest.raises(UserError, match=message):
        lmc(tmp_path, model, graph_of(directed))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["method.alpha=1.5"], r"method\.alpha=1\.5 is not valid: expected between 0 and 1"),
        (["method.alpha=nan"], r"method\.alpha=nan is not valid"),
        (["method.score=cubic"], r"method\.score=cubic is not valid: expected one of constant, linear, square, concave, sine"),
        (["trainer.edge_dropout=0.2"], r"trainer\.edge_dropout=0\.2 is not valid: expected 0 with method=lmc"),
        (["trainer.lipschitz.weight=0.1"], r"trainer\.lipschitz\.weight=0\.1 is not valid: expected 0 with method=lmc"),
    ],
)
def test_settings_that_contradict_it_are_refused(settings: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        config_of("method=lmc", *settings)


def test_the_loss_has_one_scale_whatever_is_published() -> None:
    assert config_of("method=lmc", "trainer.loss_weighting=batch_mean").trainer.loss_weighting == "full_batch"
