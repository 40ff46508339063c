"""Local Lipschitz regularisation: what it computes, what it does not change, and that it does what it is for."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from gas_cli.batch.builder import BatchBuilder
from gas_cli.config.compose import compose_config
from gas_cli.config.model import APPNPConfig, GCNConfig, GINConfig, ModelConfig
from gas_cli.config.training import LipschitzConfig
from gas_cli.errors import UserError
from gas_cli.method.method import Alone
from gas_cli.model.batch_norm import BatchNorm
from gas_cli.model.model import held_statistics, propagate
from gas_cli.model.registry import build_model
from gas_cli.ops.dropout import Noise
from gas_cli.ops.gaussian import gaussian
from gas_cli.passes.drivers import forward
from gas_cli.passes.lipschitz import SITE, LipschitzPenalty
from gas_cli.training.assemble import make_trainer
from gas_cli.training.trainer import Trainer
from tests.builders import MODEL_IDS, MODELS, make_config, make_graph, make_problem, random_adjacency

CPU = torch.device("cpu")
DEEP = [(model, name) for model, name in zip(MODELS, MODEL_IDS, strict=True) if model.num_layers > 2]
GIN = GINConfig(num_layers=4, hidden_channels=6, linear=True, dropout=0.0)


def penalized(model: ModelConfig, order: torch.Tensor | None = None, noise: float = 0.1):
    """(network, rows of every layer, penalty) of one full-batch step."""
    graph = make_graph(random_adjacency(30, 4, 0))
    problem = make_problem(graph, 1, model, order=order)
    batch = BatchBuilder(problem.graph, problem.adj, problem.partition, problem.graph.splits[0], model.num_layers).build([0])
    network = build_model(model, graph.num_features, graph.num_classes, seed=1).train()
    network.observe(problem.adj)
    seen = []

    class Watching(LipschitzPenalty):
        def layer(self, model, index, rows, block, state):
            seen.append((rows, block))
            return super().layer(model, index, rows, block, state)

    penalty = Watching(LipschitzConfig(weight=2.0, noise=noise), Noise(3, 4))
    scores = forward(network, batch, Alone(), Noise(3, 4), penalty)
    return network, seen, penalty, scores


def test_gin_perturbs_the_aggregated_input_of_its_perceptron():
    network, seen, penalty, _ = penalized(GIN)
    expected = []
    for index in (1, 2):
        rows, block = seen[index]
        conv = network.convs[index]
        z = propagate(rows, block) + (1 + conv.eps) * rows.target
        noisy = z + 0.1 * gaussian(Noise(3, 4), SITE + index, block.target_ids, z.shape[1])
        expected.append((conv(z) - conv(noisy)).norm(dim=1).mean())
    torch.testing.assert_close(penalty.onto(torch.tensor(1.0)), 1 + 2.0 * (expected[0] + expected[1]) / 3)


def test_other_models_perturb_the_inputs_of_the_layer():
    """APPNP's layer is linear, so the shift is only the layer of the noise."""
    _, seen, penalty, _ = penalized(APPNPConfig(num_layers=3, hidden_channels=4, alpha=0.25, dropout=0.0))
    rows, block = seen[1]
    noise = 0.1 * gaussian(Noise(3, 4), SITE + 1, block.target_ids, rows.target.shape[1])
    expected = 0.75 * (block.inner.to_dense() @ noise).norm(dim=1).mean()
    torch.testing.assert_close(penalty.onto(torch.tensor(0.0)), 2 * expected / 2, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("model", [m for m, _ in DEEP], ids=[name for _, name in DEEP])
def test_it_changes_no_output_and_no_statistics_and_does_not_depend_on_the_order_of_the_nodes(model):
    network, _, penalty, scores = penalized(model)
    shuffled = penalized(model, torch.randperm(30, generator=torch.Generator().manual_seed(5)))[2]
    torch.testing.assert_close(penalty.shifts, shuffled.shifts, rtol=1e-3, atol=1e-5)
    assert all(float(shift.detach()) > 0 for shift in penalty.shifts) and len(penalty.shifts) == model.num_layers - 2
    graph = make_graph(random_adjacency(30, 4, 0))
    problem = make_problem(graph, 1, model)
    batch = BatchBuilder(problem.graph, problem.adj, problem.partition, problem.graph.splits[0], network.num_layers).build([0])
    plain = build_model(model, graph.num_features, graph.num_classes, seed=1).train()
    plain.observe(problem.adj)
    torch.testing.assert_close(scores, forward(plain, batch, Alone(), Noise(3, 4)))
    for (name, one), other in zip(network.named_buffers(), plain.buffers(), strict=True):
        torch.testing.assert_close(one, other, msg=name)


@pytest.mark.parametrize("model", [m for m, _ in DEEP], ids=[name for _, name in DEEP])
def test_its_gradient_reaches_the_weights_and_is_finite(model):
    network, _, penalty, _ = penalized(model)
    penalty.onto(torch.tensor(0.0)).backward()
    assert any(p.grad is not None and bool(p.grad.any()) for p in network.parameters()) or isinstance(model, APPNPConfig)
    assert all(p.grad is None or bool(torch.isfinite(p.grad).all()) for p in network.parameters())


def run(folder: Path, model: ModelConfig, weight: float, num_parts: int = 1, **settings: object) -> Trainer:
    class Silent:
        def epoch(self, record):
            pass

    graph = make_graph(random_adjacency(60, 5, 0))
    config = make_config(model, num_parts=num_parts, **settings)
    config.trainer.lipschitz = LipschitzConfig(weight=weight)
    problem = make_problem(graph, 1 if config.method.name == "full_batch" else num_parts, model)
    trainer = make_trainer(config, problem, folder)
    trainer.fit(Silent())
    return trainer


def same_weights(one: Trainer, other: Trainer) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one.model.state_dict().values(), other.model.state_dict().values(), strict=True))


@pytest.mark.parametrize("model", [GIN, replace(GIN, mlp_batch_norm=True, residual=True), GCNConfig(num_layers=3, hidden_channels=8)])
def test_one_part_equals_full_batch_bit_for_bit(tmp_path, model):
    gas, full = run(tmp_path / "a", model, 1.0), run(tmp_path / "b", model, 1.0, method="full_batch")
    assert same_weights(gas, full)
    assert not same_weights(gas, run(tmp_path / "c", model, 0.0))


def test_trained_layers_answer_less_to_a_move_of_their_inputs(tmp_path):
    """What it is for: an error of the histories is amplified less."""
    shifts = []
    for weight in (0.0, 5.0):
        trained = run(tmp_path / str(weight), GIN, weight, num_parts=6, epochs=20)
        whole, network = trained.loader.builder.build(list(range(6))), trained.model.eval()
        penalty = LipschitzPenalty(LipschitzConfig(weight=1.0), Noise(9, 9))
        forward(network, whole, Alone(), Noise.off(), penalty)
        shifts.append(penalty.onto(torch.tensor(0.0)).item())
    assert 0 < shifts[1] < 0.2 * shifts[0]


def test_a_model_without_such_a_layer_is_refused():
    with pytest.raises(UserError, match=r"trainer\.lipschitz\.weight=1\.0 is not valid: expected 0 with model\.num_layers=2"):
        compose_config(["model.num_layers=2", "trainer.lipschitz.weight=1"])
    with pytest.raises(UserError, match=r"trainer\.lipschitz\.noise"):
        compose_config(["trainer.lipschitz.noise=0"])


def test_norms_without_running_statistics_use_those_of_the_batch_in_evaluation_too():
    norm = BatchNorm(3, track_running_stats=False).eval()
    torch.nn.init.normal_(norm.bias)
    x = torch.randn(8, 3)
    torch.testing.assert_close(norm(x), (x - x.mean(0)) / (x.var(0, unbiased=False) + norm.eps).sqrt() + norm.bias)
    for mode in (True, False):
        torch.testing.assert_close(norm.train(mode)(x[:1]), norm.bias.detach()[None])
    assert not list(norm.buffers())


def test_held_statistics_stay_and_count_again_afterwards():
    norm = BatchNorm(3)
    before = copy.deepcopy(norm.state_dict())
    with held_statistics(norm):
        held = norm(torch.ones(4, 3) * torch.arange(4)[:, None])
    assert all(torch.equal(a, b) for a, b in zip(before.values(), norm.state_dict().values(), strict=True))
    torch.testing.assert_close(held, norm(torch.ones(4, 3) * torch.arange(4)[:, None]))
    assert int(norm.num_batches_tracked) == 1
