"""The switch to the slow twins: off unless asked for, the same results, and no compiled pass where it is on."""

from __future__ import annotations

import pytest
import torch

from gas_cli.config.compose import compose_config
from gas_cli.ops import aggregate, dropout, gaussian, graph_attention, identity_map, norm_relu, reduce, spmm
from gas_cli.ops.twins import TWINS, slow_twins
from gas_cli.run import prepare
from gas_cli.training.assemble import make_trainer

GRAPH = ("dataset=generated", "dataset.num_nodes=120", "dataset.num_features=32", "dataset.average_degree=6", "~tuned", "device=cpu")
GAS = ("partitioner=range", "partitioner.num_parts=3", "trainer.batch_parts=1", "trainer.prefetch=0")
MODELS = {
    "gcn": ("model=gcn", "model.num_layers=3", "model.hidden_channels=32", "model.batch_norm=true", "model.dropout=0.5"),
    "gcnii": ("model=gcnii", "model.num_layers=4", "model.hidden_channels=32", "model.dropout=0.5"),
    "gat": ("model=gat", "model.num_layers=2", "model.hidden_channels=8", "model.heads=4", "model.dropout=0.5"),
    "pna": ("model=pna", "model.num_layers=2", "model.hidden_channels=16", "model.dropout=0.5"),
}
COMPILED = {
    "gcn": ((aggregate, "_Aggregate"), (spmm, "_row_sums_compiled"), (norm_relu, "_NormReLU")),
    "gcnii": ((aggregate, "_Aggregate"), (spmm, "_row_sums_compiled"), (identity_map, "_IdentityMapReLU")),
    "gat": ((graph_attention, "_GraphAttention"),),
    "pna": ((reduce, "by_kernel"), (reduce, "back_by_kernel")),
}
"""What holds the compiled passes of a model."""


def trained(model: str, tmp_path) -> tuple[list[float], list[torch.Tensor]]:
    """The losses of two epochs, each summed over its steps, and the parameters after them."""
    config = compose_config([*GRAPH, *GAS, *MODELS[model], "seed=1"])
    trainer = make_trainer(config, prepare(config), tmp_path, seed=1)
    losses = []
    for _ in range(2):
        trainer.train_epoch()
        losses.append(trainer.progress.loss_sum)
        trainer.progress.next_epoch()
    return losses, [parameter.detach().clone() for parameter in trainer.model.parameters()]


class Called(Exception):
    pass


def forbid(monkeypatch: pytest.MonkeyPatch, module, name: str) -> None:
    def refused(*_: object, **__: object) -> None:
        raise Called(name)

    holder = getattr(module, name)
    if isinstance(holder, type):  # an autograd function
        monkeypatch.setattr(holder, "apply", refused)
    else:
        monkeypatch.setattr(module, name, refused)


@pytest.mark.parametrize("model", MODELS)
def test_a_training_with_the_twins_has_the_losses_of_the_compiled_one(model, tmp_path):
    """The second one is that of changed parameters: gradients are equal too. Afterwards, compiled again, every bit is as before."""
    losses, parameters = trained(model, tmp_path)
    with slow_twins():
        slow, _ = trained(model, tmp_path)
    assert slow == pytest.approx(losses, rel=1e-4) and losses[1] != pytest.approx(losses[0], rel=1e-2)
    again, same = trained(model, tmp_path)
    assert again == losses and all(torch.equal(one, other) for one, other in zip(same, parameters, strict=True))


@pytest.mark.parametrize(("model", "module", "name"), [(model, *one) for model, many in COMPILED.items() for one in many])
def test_no_compiled_pass_runs_where_the_switch_is_on(model, module, name, tmp_path, monkeypatch):
    forbid(monkeypatch, module, name)
    with slow_twins():
        trained(model, tmp_path)
    with pytest.raises(Called, match=name):
        trained(model, tmp_path)


def test_features_keep_their_zeros_and_noise_is_drawn_by_tensors(monkeypatch):
    from gas_cli.ops.csr import CSR
    from tests.builders import random_adjacency

    a = CSR.from_scipy(random_adjacency(30, 5, 0))
    noise, ids = dropout.Noise(1, 2), torch.arange(30)
    mask = dropout.make_mask(0.5, noise, 0, ids)
    assert mask is not None
    short, drawn = dropout.drop_entries(a, mask), gaussian.gaussian(noise, 0, ids, 5)
    forbid(monkeypatch, gaussian, "over_equal_rows")
    with slow_twins():
        whole = dropout.drop_entries(a, mask)
        torch.testing.assert_close(gaussian.gaussian(noise, 0, ids, 5), drawn, rtol=1e-6, atol=1e-6)
    assert short.nnz < whole.nnz == a.nnz and torch.equal(short.to_dense(), whole.to_dense())
    with pytest.raises(Called):
        gaussian.gaussian(noise, 0, ids, 5)


def test_the_switch_is_off_and_goes_back_to_what_it_was():
    def interrupted() -> None:
        with slow_twins():
            with slow_twins():
                assert TWINS.slow
            assert TWINS.slow
            raise ValueError("x")

    assert not TWINS.slow
    with pytest.raises(ValueError, match="x"):
        interrupted()
    assert not TWINS.slow
