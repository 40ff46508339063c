"""Activations that are made where a layer's output is read: the same numbers, bit for bit, as where they are made behind the layer."""

from __future__ import annotations

import pytest
import torch

from gas_cli.config.model import GCNConfig, GCNIIConfig, GINConfig, ModelConfig, PNAJKConfig, SAGEConfig
from gas_cli.diagnose.gradient import gradients, parameters
from gas_cli.method.method import Alone
from gas_cli.model.gcn import GCN
from gas_cli.model.registry import build_model
from gas_cli.ops.dropout import Noise
from gas_cli.ops.twins import slow_twins
from gas_cli.passes.drivers import forward, last_layer, layerwise
from tests.builders import MODELS, make_graph, random_adjacency, rows_of
from tests.passes.test_exactness import Lab

OF_SUMS: list[ModelConfig] = [
    kind(num_layers=depth, hidden_channels=6, dropout=0.4, activation=activation, linear=linear, residual=residual)
    for kind in (GCNConfig, SAGEConfig, GINConfig)
    for depth, activation, linear, residual in [
        (3, "elu", False, False),
        (3, "relu", True, True),
        (2, "elu", True, True),
        (1, "relu", True, False),
    ]
]
ALL = [*MODELS, *OF_SUMS, GCNIIConfig(num_layers=3, hidden_channels=6, residual=True, shared_weights=False)]
EACH = pytest.mark.parametrize("model", ALL, ids=lambda config: f"{config.name}-{config.num_layers}")


def labs(model: ModelConfig) -> tuple[Lab, Lab]:
    """The same model in both forms."""
    usual, moved = (Lab(make_graph(random_adjacency(40, 4.0, 3)), 3, model) for _ in range(2))
    moved.network.activates_inputs = moved.network.can_activate_inputs
    return usual, moved


def alone(lab: Lab) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """Scores of a training pass with dropout over the whole graph, and a gradient of theirs."""
    lab.network.train()
    scores = forward(lab.network, lab._builder(lab.whole).build([0]), Alone(), Noise(5, 7))
    weight = torch.linspace(-1, 1, scores.numel()).view_as(scores)
    return scores, gradients((scores * weight).sum(), list(parameters(lab.network).values()))


def same(model: ModelConfig, one: torch.Tensor, other: torch.Tensor) -> bool:
    """Bit for bit; with ELU to round-off, since torch's exp of a number depends on where in a tensor it is."""
    return torch.equal(one, other) if getattr(model, "activation", "relu") == "relu" else torch.allclose(one, other, rtol=1e-5, atol=1e-6)


@EACH
def test_an_exact_pass_has_the_same_bits(model: ModelConfig) -> None:
    usual, moved = labs(model)
    assert usual.network.state_dict().keys() == moved.network.state_dict().keys()
    scores = []
    for lab in (usual, moved):
        lab.network.eval()
        scores.append(layerwise(lab.network, lab.passes, 40, lab.device, lab.histories))
        scores.append(last_layer(lab.network, lab.passes, 40, lab.histories))
    assert all(same(model, one, other) for one, other in zip(scores[:2], scores[2:], strict=True))
    kept = [each.clone() for each in rows_of(moved.histories)]
    last_layer(moved.network, moved.passes, 40, moved.histories)
    layerwise(moved.network, moved.passes, 40, moved.device)
    assert all(map(torch.equal, kept, rows_of(moved.histories))), "what a table holds stays as it is"


@EACH
def test_what_a_layer_gives_is_what_follows_its_activation(model: ModelConfig) -> None:
    usual, moved = labs(model)
    for layer in range(1, model.num_layers + 1):
        one, other = (layerwise(lab.network.eval(), lab.passes, 40, lab.device, layer=layer) for lab in (usual, moved))
        assert same(model, one, other)


@EACH
def test_steps_of_training_have_the_same_bits(model: ModelConfig) -> None:
    """Of the slow twins: kernels that join the activation with what comes before it round otherwise."""
    usual, moved = labs(model)
    with slow_twins():
        for _ in range(3):
            (one, its), (other, others) = alone(usual), alone(moved)
            assert torch.equal(one, other) and all(map(torch.equal, its, others))
            for lab, found in ((usual, its), (moved, others)):
                for weight, gradient in zip(parameters(lab.network).values(), found, strict=True):
                    weight.data.sub_(gradient, alpha=0.01)


@EACH
def test_compiled_kernels_agree_to_round_off(model: ModelConfig) -> None:
    (one, its), (other, others) = map(alone, labs(model))
    torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(its, others, rtol=1e-3, atol=1e-4)


def test_between_layers_is_what_comes_before_the_activation() -> None:
    usual, moved = labs(OF_SUMS[1])
    for lab in (usual, moved):
        layerwise(lab.network.eval(), lab.passes, 40, lab.device, lab.histories)
    for behind, before in zip(rows_of(usual.histories), rows_of(moved.histories), strict=True):
        assert bool((before < 0).any()) and torch.equal(before.relu(), behind)


def test_who_overrides_a_layer_has_to_say_it_again() -> None:
    class Silent(GCN):
        def decode(self, h, block, state):
            return h

    class Same(GCN):
        """Nothing of it."""

    class Says(Silent):
        can_activate_inputs = True

    class Layer:
        def layer(self, index, rows, block, state):
            return rows.target

    class Mixed(Layer, GCN):
        """Overrides by another base class."""

    assert [kind.can_activate_inputs for kind in (GCN, Same, Silent, Says, Mixed)] == [True, True, False, True, False]
    assert not build_model(PNAJKConfig(), 5, 3, seed=0).can_activate_inputs
