"""Loss, metrics, optimizer, clock and stop requests."""

import copy
import math
import os
import signal
import time
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, f1_score, roc_auc_score

from gas_cli.config.metrics import METRICS
from gas_cli.config.model import APPNPConfig, GCNConfig, GCNIIConfig
from gas_cli.config.training import OptimizerConfig
from gas_cli.errors import Interrupted, UserError
from gas_cli.measure.clock import PHASES, Clock
from gas_cli.model.registry import build_model
from gas_cli.passes.loss import Loss, probabilities
from gas_cli.passes.metrics import accuracy, make_metric, micro_f1, roc_auc
from gas_cli.training.optimizer import Optimizer
from gas_cli.training.progress import Progress
from gas_cli.training.stop import StopRequest


@given(st.integers(1, 50), st.integers(2, 6), st.integers(0, 9))
def test_metrics_equal_scikit_learn(n, classes, seed):
    rng = np.random.default_rng(seed)
    scores, y = torch.from_numpy(rng.standard_normal((n, classes))), rng.integers(0, classes, n)
    assert accuracy(scores, torch.from_numpy(y)) == pytest.approx(accuracy_score(y, scores.argmax(1)))
    labels = rng.integers(0, 2, (n, classes))
    expected = f1_score(labels, (scores > 0).numpy(), average="micro", zero_division=0)
    assert micro_f1(scores, torch.from_numpy(labels).float()) == pytest.approx(expected)


@given(st.integers(2, 40), st.integers(1, 5), st.integers(0, 99))
def test_roc_auc_equals_scikit_learn_ties_included(n, labels, seed):
    rng = np.random.default_rng(seed)
    scores, y = rng.integers(0, 6, (n, labels)) / 4, rng.integers(0, 2, (n, labels))  # quarters: exact, and many equal
    y[:2] = [[0], [1]]
    expected = roc_auc_score(y, scores, average="macro")
    assert roc_auc(torch.from_numpy(scores), torch.from_numpy(y).float()) == pytest.approx(expected)
    two = torch.from_numpy(np.stack([-scores[:, 0], scores[:, 0]], 1))
    assert make_metric("roc_auc")(two, torch.from_numpy(y[:, 0])) == pytest.approx(roc_auc_score(y[:, 0], scores[:, 0]))


def test_roc_auc_equals_ogb_and_leaves_out_labels_of_one_kind():
    from gas_cli.graph.sources.ogb_library import ogb_evaluator

    scores, y = torch.randn(50, 112), torch.randint(0, 2, (50, 112))
    y[:, 3] = 1
    expected = ogb_evaluator("ogbn-proteins").eval({"y_true": y.numpy(), "y_pred": scores.numpy()})["rocauc"]
    assert roc_auc(scores, y.float()) == pytest.approx(expected)
    assert math.isnan(roc_auc(scores[:, 3:4], y[:, 3:4].float())) and math.isnan(roc_auc(scores[:0, :2], y[:0, 0]))
    assert math.isnan(roc_auc(torch.full((2, 2), math.nan), torch.tensor([0, 1])))


def test_metrics_of_nothing_are_nan_and_unknown_ones_are_refused():
    assert math.isnan(accuracy(torch.zeros(0, 3), torch.zeros(0)))
    assert math.isnan(micro_f1(torch.zeros(0, 3), torch.zeros(0, 3)))
    with pytest.raises(UserError, match="micro_f1"):
        make_metric("f2")


def test_ogb_metric_equals_accuracy():
    scores, y = torch.randn(30, 40), torch.randint(0, 40, (30,))
    assert make_metric("ogb:ogbn-arxiv")(scores, y) == pytest.approx(accuracy(scores, y))
    assert math.isnan(make_metric("ogb:ogbn-arxiv")(scores[:0], y[:0]))


def fake_batch(train: list[bool], y: list[int]) -> SimpleNamespace:
    return SimpleNamespace(train_rows=torch.tensor(train).nonzero().flatten(), y=torch.tensor(y), num_train=sum(train))


def test_full_batch_weighting_is_unbiased_where_batches_are_uneven_and_batch_mean_is_not():
    scores, y = torch.randn(6, 3), [0, 1, 2, 0, 1, 2]
    train = [True, True, True, True, False, True]
    batches = [slice(0, 4), slice(4, 6)]
    whole = torch.nn.functional.cross_entropy(scores[train], torch.tensor(y)[train])

    def mean(weighting: str) -> torch.Tensor:
        loss = Loss(weighting, num_train=5)
        return torch.stack([loss(scores[part], fake_batch(train[part], y[part]), 2) for part in batches]).mean()

    torch.testing.assert_close(mean("full_batch"), whole)
    assert not torch.isclose(mean("batch_mean"), whole)


def test_multilabel_loss_and_probabilities():
    scores = torch.randn(4, 3)
    batch = SimpleNamespace(train_rows=torch.arange(4), y=torch.ones(4, 3), num_train=4)
    expected = -torch.log(torch.sigmoid(scores)).mean()
    torch.testing.assert_close(Loss("batch_mean", 4)(scores, batch, 1), expected)
    torch.testing.assert_close(probabilities(scores, multilabel=True), torch.sigmoid(scores))
    torch.testing.assert_close(probabilities(scores, multilabel=False).sum(1), torch.ones(4))


@pytest.mark.parametrize(
    "config", [GCNConfig(), GCNConfig(linear=True, batch_norm=True), GCNIIConfig(num_layers=2, shared_weights=False), APPNPConfig()]
)
def test_the_two_groups_hold_every_parameter_once_with_its_decay(config):
    model = build_model(config, 5, 3, seed=0)
    optimizer = Optimizer(model, OptimizerConfig(reg_weight_decay=0.3, weight_decay=0.2), epochs=9)
    groups = optimizer.adam.param_groups
    ids = [id(p) for group in groups for p in group["params"]]
    assert sorted(ids) == sorted(id(p) for p in model.parameters())
    assert {group["weight_decay"] for group in groups} == {0.3, 0.2}
    regularized = {id(p) for p in model.regularized()}
    assert {id(p) for p in groups[0]["params"]} == regularized
    free = {
        "gcn": "lin_out.weight" if getattr(config, "linear", False) else "convs.1.weight",
        "gcnii": "lin_in.weight",
        "appnp": "lin_out.weight",
    }
    assert id(dict(model.named_parameters())[free[config.name]]) not in regularized


def test_clipping_bounds_the_gradient():
    model = build_model(GCNConfig(), 5, 3, seed=0)
    optimizer = Optimizer(model, OptimizerConfig(grad_norm=0.5), epochs=9)
    optimizer.add(sum(10 * p.sum() for p in model.parameters()))
    optimizer.update()
    assert torch.cat([p.grad.flatten() for p in model.parameters()]).norm() == pytest.approx(0.5, rel=1e-4)


def test_the_updates_are_those_of_torch():
    models = [build_model(GCNIIConfig(), 5, 3, seed=0) for _ in range(2)]
    ours = Optimizer(models[0], OptimizerConfig(lr=0.1, reg_weight_decay=0.3, weight_decay=0.2), epochs=9)
    regularized = {id(p) for p in models[1].regularized()}
    groups = [
        {"params": [p for p in models[1].parameters() if (id(p) in regularized) == inside], "weight_decay": decay}
        for inside, decay in ((True, 0.3), (False, 0.2))
    ]
    torchs = torch.optim.Adam(groups, lr=0.1, fused=True)
    for _ in range(3):
        for one, other in zip(models[0].parameters(), models[1].parameters(), strict=True):
            one.grad = torch.randn_like(one)
            other.grad = one.grad.clone()
        ours.adam.step()
        torchs.step()
    for one, other in zip(models[0].parameters(), models[1].parameters(), strict=True):
        assert torch.equal(one, other)
    torch.testing.assert_close(ours.adam.state_dict()["state"], torchs.state_dict()["state"], rtol=0, atol=0)


def test_gradients_of_an_update_start_from_none():
    """What an earlier update has used is not added to the next one."""
    model = build_model(GCNConfig(), 5, 3, seed=0)
    optimizer = Optimizer(model, OptimizerConfig(), epochs=9)
    for scale in (1.0, 3.0):
        optimizer.add(sum(scale * p.sum() for p in model.parameters()))
        assert all(bool((p.grad == scale).all()) for p in model.parameters())
        assert optimizer.update() and not optimizer.update()


def test_moments_of_another_memory_layout_are_laid_out_anew():
    """The fused update walks parameters and moments by address; a checkpoint may hold them in another order of memory."""
    models = [build_model(APPNPConfig(), 5, 3, seed=0) for _ in range(2)]
    optimizers = [Optimizer(model, OptimizerConfig(), epochs=9) for model in models]

    def step(which: int, seed: int) -> None:
        generator = torch.Generator().manual_seed(seed)
        for p in models[which].parameters():
            p.grad = torch.randn(p.shape, generator=generator).as_strided(p.shape, p.stride())
        optimizers[which].adam.step()

    step(0, seed=1)
    step(1, seed=1)
    state = copy.deepcopy(optimizers[0].state_dict())
    for moments in state["adam"]["state"].values():
        moments.update({name: value.contiguous() for name, value in moments.items()})
    optimizers[1].load_state_dict(state)
    step(0, seed=2)
    step(1, seed=2)
    for one, other in zip(models[0].parameters(), models[1].parameters(), strict=True):
        assert torch.equal(one, other)


def rates(schedule: str | None, vals: list[float], **settings: float) -> list[float]:
    optimizer = Optimizer(
        build_model(GCNConfig(), 5, 3, 0), OptimizerConfig(lr=1.0, schedule=schedule, gamma=0.5, **settings), epochs=len(vals)
    )
    seen = []
    for val in vals:
        optimizer.update()
        optimizer.epoch_end(val)
        seen.append(optimizer.lr)
    return seen


def test_schedules():
    assert rates(None, [0.1] * 3) == [1, 1, 1]
    assert rates("step", [0.1] * 4, step_epochs=2) == [1, 0.5, 0.5, 0.25]
    assert rates("cosine", [0.1] * 2, min_lr=0.1) == pytest.approx([0.55, 0.1])
    assert rates("plateau", [0.1, 0.2, 0.2, 0.2, math.nan, 0.2], step_epochs=1) == [1, 1, 1, 0.5, 0.5, 0.5]


@pytest.mark.parametrize("first", [2, 5, 8])
def test_a_cosine_goes_on_over_the_epochs_of_a_run_that_is_made_longer(first: int):
    """It neither rises again after its old end nor stays there."""
    model, config = build_model(GCNConfig(), 5, 3, 0), OptimizerConfig(lr=1.0, schedule="cosine", min_lr=0.1)
    short, longer = Optimizer(model, config, epochs=first), Optimizer(model, config, epochs=12)
    for _ in range(first):
        short.adam.step()
        short.epoch_end(0.1)
    longer.load_state_dict(copy.deepcopy(short.state_dict()))
    seen = []
    for epoch in range(first + 1, 13):
        longer.adam.step()
        longer.epoch_end(0.1)
        seen.append(longer.lr)
        assert longer.lr == pytest.approx(0.1 + 0.9 * (1 + math.cos(math.pi * epoch / 12)) / 2)
    assert seen[-1] == pytest.approx(0.1)


def test_a_model_is_a_function_of_its_seed_and_leaves_the_global_generator_alone():
    torch.manual_seed(5)
    before = torch.get_rng_state()
    one, same, other = (build_model(GCNConfig(), 5, 3, seed) for seed in (0, 0, 1))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(one.convs[0].weight, same.convs[0].weight)
    assert not torch.equal(one.convs[0].weight, other.convs[0].weight)


def test_nested_phases_are_counted_once():
    clock = Clock()
    started = time.perf_counter()
    with clock.phase("compute"):
        time.sleep(0.01)
        with clock.phase("pull"):
            time.sleep(0.02)
        time.sleep(0.01)
    elapsed = time.perf_counter() - started
    seconds = clock.take()
    assert set(seconds) == set(PHASES)
    assert seconds["pull"] >= 0.02
    assert seconds["compute"] >= 0.02
    assert sum(seconds.values()) <= elapsed
    assert sum(clock.take().values()) == 0


def test_the_first_signal_asks_and_the_second_stops_at_once():
    before = signal.getsignal(signal.SIGINT)
    with StopRequest() as stop:
        stop.check()
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(Interrupted):
            stop.check()
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


def test_progress_follows_the_direction_of_the_metric_that_chooses():
    progress, mae = Progress(epoch=1), METRICS["mae"]
    assert progress.offer(3.0, 2.0, 3.0, kind=mae)
    progress.next_epoch()
    assert not progress.offer(9.0, 2.0, 9.0, kind=mae)
    assert progress.offer(1.0, 1.5, 1.0, kind=mae)
    progress.next_epoch()
    state = {**progress.state_dict(), "step": 0}
    assert Progress.from_state_dict(state, 0, metric="mae").best == progress.best
    with pytest.raises(UserError, match=r"metrics .* expected numbers from 0 to 1 \(accuracy\)"):
        Progress.from_state_dict(state, 0)


def test_progress_compares_by_the_selecting_metric_and_checks_it_in_a_checkpoint():
    progress, macro = Progress(epoch=1), {"train": 0.4, "val": 0.6, "test": 0.5}
    assert progress.offer(0.9, 0.9, 0.9, selected=macro)
    progress.next_epoch()
    assert not progress.offer(0.9, 0.95, 0.9, selected=macro | {"val": 0.5}) and progress.val == 0.5
    assert progress.offer(0.9, 0.1, 0.9, selected=macro | {"val": 0.7}) and progress.best.chosen_by == 0.7
    progress.next_epoch()
    state = progress.state_dict()
    assert Progress.from_state_dict(state, 0, select="macro_f1").best == progress.best
    for select, selected in ((None, macro), ("macro_f1", None), ("macro_f1", {"val": 0.7}), ("macro_f1", macro | {"val": 7.0})):
        with pytest.raises(UserError, match="the checkpoint's counters do not agree: metrics"):
            Progress.from_state_dict(state | {"best": state["best"] | {"selected": selected}}, 0, select=select)


@pytest.mark.parametrize(("metric", "better", "worse"), [("accuracy", 0.6, 0.4), ("mae", 0.4, 0.6), ("r2", -0.4, -0.6)])
def test_plateau_falls_while_the_metric_is_not_better_in_its_direction(metric, better, worse):
    def rates(values):
        config = OptimizerConfig(lr=1.0, schedule="plateau", step_epochs=1)
        optimizer = Optimizer(build_model(GCNConfig(), 5, 3, seed=0), config, 9, METRICS[metric])
        for value in values:
            optimizer.epoch_end(value)
        return optimizer.lr

    middle = (better + worse) / 2
    assert rates([worse, middle, better]) == 1.0
    assert rates([better, middle, worse]) == 0.5 and rates([better, better, better]) == 0.5


def test_progress_keeps_the_first_of_equals_and_every_evaluation_without_validation_nodes():
    progress = Progress(epoch=1)
    assert progress.offer(0.5, 0.4, 0.3)
    progress.next_epoch()
    assert not progress.offer(0.9, 0.4, 0.9)
    assert progress.best.epoch == 1
    assert progress.offer(0.9, math.nan, 0.9)
    progress.next_epoch()
    assert Progress.from_state_dict({**progress.state_dict(), "val": 0.4}, batches=0).best.epoch == 2
