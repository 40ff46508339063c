"""GraphFM: what it writes to the halo, what is exact in it, and what is not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from gas_cli.batch.builder import BatchBuilder
from gas_cli.batch.halo import with_halo
from gas_cli.config.method import FullBatchConfig, GASConfig, GraphFMConfig, MethodConfig
from gas_cli.config.model import APPNPConfig, GATConfig, GCNConfig, GCNIIConfig, ModelConfig, PNAConfig
from gas_cli.errors import UserError
from gas_cli.graph.graph import Graph
from gas_cli.ops.dropout import Noise
from gas_cli.report.recorder import Recorders
from gas_cli.run import run
from gas_cli.training.checkpoint import load_checkpoint
from gas_cli.training.trainer import Trainer
from tests.builders import adjacencies, make_graph, make_problem, rows_of
from tests.method.test_gradients import EACH, SLOW, config_of, epochs, graph_of, nth, trainer_by
from tests.tables.kinds import histories
from tests.training.stopping import stopped_and_resumed
from tests.training.test_trainer import assert_same

CLOSE = 1e-5
"""Sums in float32 that were made in two orders."""
FAR = 1e-2
"""What is larger is not round-off."""


def fitted(method: MethodConfig, folder: Path, model: ModelConfig, graph: Graph | None = None, **others: Any) -> Trainer:
    """After three epochs, in two batches each."""
    others = {"optimizer__lr": 0.01, "trainer__epochs": 3, "trainer__batch_parts": 2, **others}
    trainer = trainer_by(method, folder, graph or graph_of(), model, **others)
    trainer.fit(Recorders([]))
    return trainer


@EACH
@pytest.mark.parametrize("directed", [False, True], ids=["undirected", "directed"])
def test_without_momentum_it_is_gas_bit_for_bit(tmp_path: Path, model: ModelConfig, directed: bool) -> None:
    graph = graph_of(directed)
    gas = fitted(GASConfig(), tmp_path / "gas", model, graph)
    none, some = (fitted(GraphFMConfig(momentum=m), tmp_path / str(m), model, graph) for m in (0.0, 0.3))
    if model.name in ("gcnii", "appnp"):  # the others' layer 0 reads A x, which differs in the order of the sums
        assert_same(none.model.state_dict(), gas.model.state_dict())
        assert_same(none.method.state_dict(), gas.method.state_dict())
    for one, other in zip(none.model.parameters(), gas.model.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4)
    assert any(not torch.equal(a, b) for a, b in zip(some.model.parameters(), none.model.parameters(), strict=True))


def test_with_dropout_before_the_first_layer_too_every_model_is_gas_bit_for_bit(tmp_path: Path) -> None:
    model = GCNConfig(num_layers=3, hidden_channels=8, dropout=0.5, batch_norm=True)
    gas, none = (fitted(m, tmp_path / m.name, model) for m in (GASConfig(), GraphFMConfig(momentum=0.0)))
    assert_same(none.model.state_dict(), gas.model.state_dict())
    assert_same(none.method.state_dict(), gas.method.state_dict())


@EACH
def test_one_part_is_full_batch_bit_for_bit(tmp_path: Path, model: ModelConfig) -> None:
    """There is no halo. Dropout lets both read x in their first layer."""
    model = type(model)(**{**vars(model), "dropout": 0.5})
    one = fitted(GraphFMConfig(momentum=0.5), tmp_path / "one", model, parts=1, trainer__batch_parts=1)
    full = fitted(FullBatchConfig(), tmp_path / "full", model, parts=1, trainer__batch_parts=1)
    assert_same(one.model.state_dict(), full.model.state_dict())


@EACH
def test_with_frozen_weights_histories_do_not_become_exact(tmp_path: Path, model: ModelConfig) -> None:
    """Those of GAS do."""
    found = {}
    for method in (GASConfig(), GraphFMConfig(momentum=0.3)):
        trainer = trainer_by(method, tmp_path / method.name, graph_of(), model)
        nth(epochs(trainer), 12)
        found[method.name] = history_error(trainer)
    assert found["gas"] < CLOSE and found["graphfm"] > FAR


def history_error(trainer: Trainer) -> float:
    """The largest over layers of ‖h̄ - h‖ / ‖h‖."""
    trainer.model.eval()
    kept = [rows.clone() for rows in rows_of(trainer.method.histories)]
    trainer.evaluator.exact(refresh=trainer.method.histories)
    exact = rows_of(trainer.method.histories)
    return max(float((a - b).norm() / b.norm()) for a, b in zip(kept, exact, strict=True))


def _gcn(model: Any, index: int, a: Tensor, h: Tensor, first: Tensor) -> Tensor:
    out = a @ h @ model.convs[index].weight + model.convs[index].bias
    return out if index == model.num_layers - 1 else out.relu()


def _appnp(model: Any, index: int, a: Tensor, h: Tensor, first: Tensor) -> Tensor:
    return (1 - model.alpha) * (a @ h) + model.alpha * first


def _gcnii(model: Any, index: int, a: Tensor, h: Tensor, first: Tensor) -> Tensor:
    s, beta = (1 - model.alpha) * (a @ h) + model.alpha * first, model.betas[index]
    return ((1 - beta) * s + beta * s @ model.weights[index]).relu()


TWINS: dict[str, tuple[ModelConfig, Callable[..., Tensor]]] = {
    "gcn": (GCNConfig(num_layers=3, hidden_channels=8, dropout=0.0), _gcn),
    "appnp": (APPNPConfig(num_layers=4, hidden_channels=6, dropout=0.0), _appnp),
    "gcnii": (GCNIIConfig(num_layers=4, hidden_channels=6, dropout=0.0), _gcnii),
}


@pytest.mark.parametrize("name", TWINS)
@pytest.mark.parametrize("directed", [False, True], ids=["undirected", "directed"])
@torch.no_grad()
def test_rows_are_those_of_a_twin_on_whole_tensors(tmp_path: Path, name: str, directed: bool) -> None:
    """Two epochs of frozen weights, batch by batch, on the dense adjacency with masks."""
    config, layer = TWINS[name]
    trainer = trainer_by(GraphFMConfig(momentum=0.3), tmp_path, graph_of(directed), config)
    model, problem = trainer.model, trainer.problem
    a, h0 = problem.adj.to_dense(), model.encode(problem.graph.x, problem.partition.node_perm, Noise.off())
    trainer._fill()
    tables = [rows.clone() for rows in rows_of(trainer.method.histories)]
    for _ in range(2):
        for (part,) in trainer.epochs.all_groups(1):
            inside = torch.zeros(a.shape[0], dtype=torch.bool)
            inside[slice(*problem.partition.part_ptr[part : part + 2].tolist())] = True
            halo = (a[inside] != 0).any(0) & ~inside
            reached = halo & (a[:, inside] != 0).any(1)
            h = h0.clone()
            for index in range(model.num_layers - 1):
                partial = layer(model, index, a[:, inside], h[inside], h0)
                complete = layer(model, index, a, h, h0)
                table = tables[index]
                table[reached] = 0.7 * table[reached] + 0.3 * partial[reached]
                table[inside] = complete[inside]
                h = table.clone()
    with torch.enable_grad():
        nth(epochs(trainer), 2)
    for found, expected in zip(rows_of(trainer.method.histories), tables, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


@EACH
@pytest.mark.parametrize("kind", ["late", "streamed, late", "late, streamed late", "dict"])
def test_tables_of_every_kind_give_the_same_bits(tmp_path: Path, model: ModelConfig, kind: str) -> None:
    """Rows of the next step are asked for before it moves them."""
    trainers = [trainer_by(GraphFMConfig(momentum=0.3), tmp_path, graph_of(), model, optimizer__lr=0.01) for _ in range(2)]
    other = trainers[1]
    other.method.histories = histories(kind, 60, other.method.histories.widths, other.problem.seen_ptr)
    other.link = other.method.link(other.clock.phase)
    for trainer in trainers:
        trainer._fill()
        for epoch in (1, 2):
            trainer.progress.epoch, trainer.progress.batch = epoch, 0
            trainer.train_epoch()
    assert_same(*(trainer.method.state_dict() for trainer in trainers))
    assert_same(*(trainer.model.state_dict() for trainer in trainers))


@SLOW
@given(drawn=adjacencies(), data=st.data(), among=st.booleans())
def test_what_the_halo_receives_is_cut_out_of_the_adjacency(drawn, data, among) -> None:
    graph = make_graph(*drawn)
    parts = data.draw(st.integers(1, min(4, graph.num_nodes)))
    problem = make_problem(graph, parts, GCNConfig(num_layers=2))
    split = problem.graph.splits[0]
    builder = BatchBuilder(problem.graph, problem.adj, problem.partition, split, 2)
    a, complete = problem.adj.to_dense(), with_halo(problem, split, torch.device("cpu"), among)
    for group in ([0], list(range(0, parts, 2))):
        batch = complete(builder.build(group))
        inside = torch.cat([torch.arange(*bounds) for bounds in batch.ranges])
        nodes, halo = batch.blocks[-1].halo, batch.halo
        assert halo is not None
        inner = a[nodes][:, nodes] * among
        assert torch.equal(halo.block.outer.to_dense(), a[nodes][:, inside]) and torch.equal(halo.block.inner.to_dense(), inner)
        assert torch.equal(halo.block.inner.transpose().to_dense(), inner.t())
        assert torch.equal(halo.block.halo, inside) and torch.equal(halo.y, problem.graph.y[nodes])
        assert torch.equal(halo.train_rows, split.train[nodes].nonzero().flatten())
        received = (a[nodes][:, inside] != 0).sum(1) + (inner != 0).sum(1)
        torch.testing.assert_close(halo.share, received / (a[nodes] != 0).sum(1))


@pytest.mark.parametrize(
    "settings",
    [
        [],
        ["model=appnp"],
        ["model=sage", "model.batch_norm=true"],
        ["history.dtype=float16", "history.waves=1"],
        ["trainer.edge_dropout=0.2"],
    ],
)
def test_stopped_anywhere_it_resumes_bit_for_bit(tmp_path: Path, settings: list[str]) -> None:
    settings = ["method=graphfm", "method.momentum=0.3", "trainer.batch_parts=1", *settings]
    run(config_of(*settings), tmp_path / "whole")
    whole = load_checkpoint(tmp_path / "whole" / "checkpoints" / "last.pt")
    stopped = stopped_and_resumed(config_of(*settings), tmp_path / "stopped", 7)
    assert_same(*({name: state[name] for name in ("model", "optimizer", "method")} for state in (whole, stopped)))


def test_the_monitor_measures_a_step_and_changes_nothing(tmp_path: Path) -> None:
    run(config_of("method=graphfm", "evaluation.monitor=2", "evaluation.mode=history"), tmp_path / "one")
    run(config_of("method=graphfm", "evaluation.mode=history"), tmp_path / "other")
    one, other = (load_checkpoint(tmp_path / name / "checkpoints" / "last.pt") for name in ("one", "other"))
    assert_same(one["method"], other["method"])
    assert_same(one["model"], other["model"])


def test_running_statistics_count_the_targets_only(tmp_path: Path) -> None:
    """Rows of the halo are normalised by them, as in evaluation, and the modules go on in training mode."""
    model = GCNConfig(num_layers=3, hidden_channels=8, batch_norm=True)
    trainer = fitted(GraphFMConfig(momentum=0.3), tmp_path, model)
    assert all(int(norm.num_batches_tracked) == 3 * 2 for norm in trainer.model.norms)
    assert all(part.training for part in trainer.model.modules())


@pytest.mark.parametrize("model", [GATConfig(num_layers=2), PNAConfig(num_layers=2)], ids=["gat", "pna"])
def test_models_without_sums_are_refused(tmp_path: Path, model: ModelConfig) -> None:
    with pytest.raises(UserError, match=rf"method=graphfm is not valid with model={model.name}, .* Use method=gas, or one of model=gcn"):
        trainer_by(GraphFMConfig(), tmp_path, graph_of(), model)


@pytest.mark.parametrize("momentum", ["-0.1", "1.5", "nan"])
def test_a_momentum_that_is_no_share_is_refused(momentum: str) -> None:
    with pytest.raises(UserError, match=rf"method\.momentum={momentum} is not valid: expected between 0 and 1"):
        config_of("method=graphfm", f"method.momentum={momentum}")
