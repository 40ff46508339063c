"""GraphFM-IB: sampling without momentum, the momentum's formula, an error that falls by α per visit, and not exact with few neighbours."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gas_cli.batch.batch import Batch, Block
from gas_cli.config.compose import compose_config
from gas_cli.config.method import GraphFMIBConfig, MethodConfig, SamplingConfig
from gas_cli.config.model import APPNPConfig, GATConfig, ModelConfig, SAGEConfig
from gas_cli.config.root import Config
from gas_cli.errors import UserError
from gas_cli.method.graphfm_ib import GraphFMIB
from gas_cli.ops.dropout import Noise
from gas_cli.ops.twins import slow_twins
from gas_cli.passes.drivers import forward
from gas_cli.prediction import predict
from gas_cli.run import run
from gas_cli.tables.ages import NEVER
from gas_cli.training.assemble import make_trainer
from gas_cli.training.trainer import Trainer
from tests.builders import make_config, make_graph, make_problem, random_adjacency, rows_of
from tests.method.test_gradients import SUMS
from tests.tables.kinds import histories
from tests.training.stopping import stopped_and_resumed, trained
from tests.training.test_trainer import assert_same

EACH = pytest.mark.parametrize("model", SUMS.values(), ids=SUMS)
NODES = 50
TWO_LAYERS = SAGEConfig(num_layers=2, hidden_channels=6, dropout=0)
SMALL = [
    "dataset.num_nodes=240", "dataset.num_communities=6", "dataset.num_features=8", "dataset.train_fraction=0.6",
    "partitioner.cache=null", "trainer.epochs=4",
    "model.num_layers=3", "model.hidden_channels=8", "device=cpu", "method=graphfm_ib", "method.batch_size=50",
]  # fmt: skip
"""144 training nodes: 3 steps."""


def trainer_of(model: ModelConfig, method: MethodConfig, everywhere: bool = True, directed: bool = False) -> Trainer:
    """With `everywhere` all nodes train."""
    graph = make_graph(random_adjacency(NODES, 5.0, 3, directed), directed)
    if everywhere:
        everybody = torch.ones(NODES, dtype=torch.bool)
        graph = replace(graph, splits=(replace(graph.splits[0], train=everybody, val=~everybody, test=~everybody),))
    config = make_config(model, num_parts=1)
    config.method = method
    trainer = make_trainer(config, make_problem(graph, 1, model), Path())
    trainer.model.train()
    return trainer


def of(trainer: Trainer) -> GraphFMIB:
    assert isinstance(trainer.method, GraphFMIB)
    return trainer.method


def batches_of(trainer: Trainer, epoch: int = 1) -> list[Batch]:
    return [trainer.epochs.loader.get(group, keep=False) for group in trainer.epochs.groups(epoch)]


def fill(trainer: Trainer) -> None:
    """Random numbers for the old sums."""
    generator = torch.Generator().manual_seed(7)
    for table in of(trainer).sums:
        table.load(torch.randn(table.num_rows, table.width, generator=generator))


def run_epoch(trainer: Trainer, epoch: int, ahead: bool = True) -> list[torch.Tensor]:
    """Scores by batch, with weights as they are; `ahead`: the pulls of a step are issued in the step before."""
    batches, scores = batches_of(trainer, epoch), []
    for step, batch in enumerate(batches):
        upcoming = batches[step + 1] if ahead and step + 1 < len(batches) else None
        trainer.link.begin(batch, upcoming)
        scores.append(forward(trainer.model, batch, trainer.link, Noise(epoch, step)).detach())
        trainer.link.end(step)
    trainer.link.flush()
    return scores


def outcome(trainer: Trainer, batch: Batch, noise: Noise) -> list[torch.Tensor]:
    """Of a step, which does not end."""
    trainer.link.begin(batch, None)
    return with_gradients(trainer, forward(trainer.model, batch, trainer.link, noise))


def with_gradients(trainer: Trainer, scores: torch.Tensor) -> list[torch.Tensor]:
    """Scores, then the gradients of a function of them."""
    weights = [weight for weight in trainer.model.parameters() if weight.requires_grad]
    return [scores.detach(), *torch.autograd.grad(scores.square().sum(), weights, allow_unused=True, materialize_grads=True)]


@EACH
@pytest.mark.parametrize("neighbours", [1, 3, [2, 1]])
def test_without_momentum_it_is_sampling_bit_for_bit(model: ModelConfig, neighbours: Any) -> None:
    """With all neighbours in the first layer; the draws are the same, too."""
    model = replace(model, num_layers=3, dropout=0.3)
    fan_outs = [*(neighbours if isinstance(neighbours, list) else [neighbours] * 2), -1]
    plain = trainer_of(model, SamplingConfig(neighbours=fan_outs, batch_size=9))
    mine = trainer_of(model, GraphFMIBConfig(neighbours=neighbours, batch_size=9, momentum=0))
    fill(mine)
    for step, (one, other) in enumerate(zip(batches_of(plain), batches_of(mine), strict=True)):
        found, expected = outcome(mine, other, Noise(3, step)), outcome(plain, one, Noise(3, step))
        assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


def test_without_momentum_a_run_is_that_of_sampling_bit_for_bit(tmp_path: Path) -> None:
    mine = trained(config_of("method.momentum=0", "method.neighbours=3"), tmp_path / "mine")
    plain = trained(config_of("method=sampling", "method.neighbours=[3,3,-1]"), tmp_path / "plain")
    assert_same({name: mine[name] for name in ("model", "optimizer")}, {name: plain[name] for name in ("model", "optimizer")})


def test_with_all_neighbours_and_frozen_weights_the_error_falls_by_alpha_per_visit() -> None:
    """That of the sums of the second layer, whose inputs are exact."""
    alpha = 0.3
    trainer = trainer_of(TWO_LAYERS, GraphFMIBConfig(neighbours=-1, batch_size=9, momentum=alpha))
    fill(trainer)
    exact = exact_sums(trainer)
    errors = [rows_of(of(trainer).sums)[0] - exact]
    assert float(errors[0].abs().min()) > 1e-4
    for epoch in range(1, 5):  # each node trains, and is visited, once per epoch
        run_epoch(trainer, epoch)
        errors.append(rows_of(of(trainer).sums)[0] - exact)
        torch.testing.assert_close(errors[-1], alpha * errors[-2], rtol=1e-5, atol=2e-6)


@pytest.mark.parametrize("alpha", [0.1, 0.5])
def test_with_few_neighbours_sums_do_not_become_exact(alpha: float) -> None:
    """Even where weights do not change: a part of every sample stays. More momentum leaves less of it."""
    trainer = trainer_of(TWO_LAYERS, GraphFMIBConfig(neighbours=1, batch_size=9, momentum=alpha))
    exact, errors = exact_sums(trainer), []
    for epoch in range(1, 60):
        run_epoch(trainer, epoch)
        errors.append(float((rows_of(of(trainer).sums)[0] - exact).square().mean().sqrt()))
    late, plain = np.mean(np.square(errors[20:])), variance_of_a_sample(trainer)
    expected = plain * (1 - alpha) / (1 + alpha)  # of the stationary mean of independent samples
    assert 0.8 * expected < late < 1.25 * expected


def exact_sums(trainer: Trainer) -> torch.Tensor:
    """Those of the second layer under the weights of now [N, C]."""
    return trainer.problem.adj.to_dense() @ trainer.evaluator.embeddings(1)


def variance_of_a_sample(trainer: Trainer) -> float:
    """The mean square error of a mean over one neighbour."""
    h, errors = trainer.evaluator.embeddings(1), []
    for row in trainer.problem.adj.to_dense():
        near = row.nonzero().flatten()
        drawn = row[near].sum() * h[near] if near.numel() else torch.zeros(1, h.shape[1])  # with the weight of all
        errors.append((drawn - row @ h).square().mean(0))
    return float(torch.stack(errors).mean())


@pytest.mark.parametrize("directed", [False, True])
@pytest.mark.parametrize("slow", [False, True])
def test_a_step_is_that_of_a_twin_on_whole_tensors(slow: bool, directed: bool) -> None:
    """Scores and gradients, and the sums that it writes, in float64. The layers of APPNP are sums, on rows after dropout."""
    model, alpha = APPNPConfig(num_layers=3, hidden_channels=6, dropout=0.5), 0.4
    trainer = trainer_of(model, GraphFMIBConfig(neighbours=2, batch_size=9, momentum=alpha), False, directed)
    fill(trainer)
    batch, noise, keep = batches_of(trainer)[0], Noise(2, 3), 1 - model.alpha
    old = [rows.double() for rows in rows_of(of(trainer).sums)]
    targets = of(trainer).targets(batch)
    assert torch.equal(trainer.problem.partition.node_perm[targets], batch.blocks[1].target_ids)
    computed = [targets, targets, targets[: batch.num_train]]
    reads = [torch.cat([where, block.halo]) for where, block in zip(computed, batch.blocks, strict=True)]
    reads[0] = torch.cat([reads[1], batch.blocks[0].halo])
    start = trainer.model.encode_rows(batch.x, batch.blocks[0], noise)
    assert isinstance(start.target, torch.Tensor) and isinstance(start.halo, torch.Tensor)
    initial = everywhere(reads[0], torch.cat([start.target, start.halo]).double())
    h, new = initial, []
    for layer, block in enumerate(batch.blocks):
        mine = reads[layer][: block.num_targets]
        sums = dense(block) @ h[reads[layer]]
        if layer > 0:
            sums = (1 - alpha) * sums + alpha * old[layer - 1][mine]
            new.append((mine, sums.detach()))
        h = everywhere(mine, keep * sums + (1 - keep) * initial[mine])
    expected = with_gradients(trainer, h[mine])
    trainer.link.begin(batch, None)
    with slow_twins() if slow else nullcontext():
        found = with_gradients(trainer, forward(trainer.model, batch, trainer.link, noise))
    trainer.link.end(4)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one.double(), other.double(), rtol=1e-4, atol=1e-5)
    for before, after, (where, rows) in zip(old, rows_of(of(trainer).sums), new, strict=True):
        assert where.numel() < NODES
        torch.testing.assert_close(after.double(), before.index_copy(0, where, rows), rtol=1e-5, atol=1e-6)
    assert torch.equal(of(trainer).sums.ages.written_at, torch.full((NODES,), NEVER).index_fill_(0, targets, 4))


def everywhere(where: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    """[N, C]: these rows, and zeros."""
    return torch.zeros(NODES, rows.shape[1], dtype=rows.dtype).index_copy(0, where, rows)


def dense(block: Block) -> torch.Tensor:
    """[T, T + H]."""
    return torch.cat([block.inner.to_dense(), block.outer.to_dense()], dim=1).double()


@pytest.mark.parametrize("kind", ["memory", "late", "streamed, late", "late, streamed late", "dict"])
def test_tables_of_every_kind_give_the_same_bits(kind: str) -> None:
    """Reads as late as they may be, writes too, and reads ahead of the next step."""
    model = SAGEConfig(num_layers=3, hidden_channels=6)
    expected, found = (trainer_of(model, GraphFMIBConfig(batch_size=9)) for _ in range(2))
    sums = of(found).sums
    if kind != "memory":
        of(found).sums = histories(kind, NODES, sums.widths, sums.part_ptr)
        found.link = found.method.link()
    for epoch in range(1, 5):
        one, other = run_epoch(expected, epoch, ahead=False), run_epoch(found, epoch)
        assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


# -- runs ------------------------------------------------------------------------------------------------------------------------------


def config_of(*settings: str) -> Config:
    return compose_config([*SMALL, *settings])


@pytest.mark.parametrize(
    "settings",
    [[], ["model=appnp"], ["history.dtype=float16"], ["trainer.edge_dropout=0.2"], ["model=sage", "model.batch_norm=true"]],
)
def test_stopped_anywhere_it_resumes_bit_for_bit(tmp_path: Path, settings: list[str]) -> None:
    whole = trained(config_of(*settings, "trainer.prefetch=0"), tmp_path / "whole")
    for step in (1, 4):
        stopped = stopped_and_resumed(config_of(*settings), tmp_path / f"stopped-{step}", step)
        assert_same({name: stopped[name] for name in whole}, whole)
    saved = whole["method"]["sums"]
    assert saved["written_at"].numel() == 240 and all(rows.any() for rows in saved["tables"])


@pytest.mark.parametrize("model", ["gcn", "sage", "gin", "gcnii", "appnp"])
def test_every_model_of_sums_trains_and_predicts(tmp_path: Path, model: str) -> None:
    state = trained(config_of(f"model={model}", "trainer.epochs=1", "history.dtype=bfloat16"), tmp_path / "run")
    assert all(bool(torch.isfinite(weight).all()) for weight in state["model"].values())
    found = predict(tmp_path / "run", checkpoint="last", device="cpu")
    assert found.probabilities.shape[0] == 240 and np.isfinite(found.probabilities).all()
    with pytest.raises(UserError, match=r"mode=history is not valid with method=graphfm_ib, which keeps no histories"):
        predict(tmp_path / "run", checkpoint="last", device="cpu", mode="history")


def test_one_layer_needs_no_sums(tmp_path: Path) -> None:
    assert trained(config_of("model.num_layers=1"), tmp_path / "run")["method"]["sums"]["tables"] == []


def test_it_learns(tmp_path: Path) -> None:
    """What it has learned is worth something on the whole graph."""
    found = run(config_of("trainer.epochs=30", "model=sage", "model.hidden_channels=32"), tmp_path / "run")
    assert found["test"] > 0.5


def test_models_without_sums_are_refused() -> None:
    with pytest.raises(
        UserError, match=r"method=graphfm_ib is not valid with model=gat, .* Use method=sampling, or one of model=gcn, sage"
    ):
        trainer_of(GATConfig(num_layers=2), GraphFMIBConfig())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["method.neighbours=0"], r"method\.neighbours=0 is not valid: expected -1 \(all\) or a whole number from 1"),
        (["method.neighbours=[4,3,2]"], r"expected one number for all layers, or 2 \(all layers but the first\) with model\.num_layers=3"),
        (["method.momentum=1"], r"method\.momentum=1\.0 is not valid: expected at least 0 and less than 1"),
        (["method.momentum=-0.1"], r"method\.momentum=-0\.1 is not valid"),
        (["method.momentum=nan"], r"method\.momentum=nan is not valid"),
        (["method.batch_size=0"], r"method\.batch_size=0 is not valid"),
        (["evaluation.mode=history"], r"evaluation\.mode=history is not valid with method=graphfm_ib, which keeps no histories"),
        (["history.waves=2"], r"history\.waves=2 is not valid with method=graphfm_ib"),
        (["trainer.lipschitz.weight=0.1"], r"trainer\.lipschitz\.weight=0\.1 is not valid: expected 0 with method=graphfm_ib"),
    ],
)
def test_bad_settings_are_refused(settings: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        config_of(*settings)
