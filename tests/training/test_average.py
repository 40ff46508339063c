"""Averaged weights: what they are the mean of, what is computed with them, and that nothing else notices."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gas_cli.config.compose import compose_config
from gas_cli.config.model import GCNConfig
from gas_cli.errors import Interrupted, UserError
from gas_cli.training.average import Average, share
from gas_cli.training.checkpoint import load_checkpoint
from gas_cli.training.trainer import Trainer
from tests.builders import MODEL_IDS, MODELS
from tests.training.test_trainer import GCN, PATHS, Records, assert_same, essence, fitted, stop_after, trainer

NORMED = GCNConfig(num_layers=3, hidden_channels=8, batch_norm=True)
METHODS = ["gas", "full_batch", "cluster_gcn"]
FROZEN: dict[str, object] = {"optimizer__lr": 0.0, "optimizer__reg_weight_decay": 0.0}


def timeless(records: Records) -> list[dict[str, Any]]:
    """Records without what differs between two equal runs."""
    return [{key: value for key, value in record.items() if key not in ("seconds", "peak_memory")} for record in records]


def unaveraged(records: Records) -> list[dict[str, Any]]:
    """What training itself says in its records."""
    return [{key: value for key, value in record.items() if key in ("epoch", "step", "loss", "lr", "history_age")} for record in records]


def floats(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: value for name, value in state.items() if value.is_floating_point()}


def watched(subject: Trainer) -> list[dict[str, torch.Tensor]]:
    """The model's state after each step, float64, as the training goes on."""
    assert subject.average is not None
    seen: list[dict[str, torch.Tensor]] = []
    original = subject.average.step

    def step(updated: bool) -> None:
        seen.append({name: value.detach().double() for name, value in subject.model.state_dict().items()})
        original(updated)

    subject.average.step = step  # type: ignore[method-assign]
    return seen


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("model", MODELS, ids=MODEL_IDS)
def test_the_mean_is_that_of_all_steps_each_weighing_less_by_the_decay_the_older_it_is(tmp_path, model, method):
    """Against the sum by its definition, in float64, over the weights that were there after each step; statistics of norms as well."""
    subject = trainer(tmp_path, model, epochs=4, method=method, trainer__average=1.5)
    seen = watched(subject)
    fitted(subject)
    steps_per_epoch = 1 if method == "full_batch" else 3
    assert len(seen) == 4 * steps_per_epoch and subject.average is not None
    decay = 1 - 1 / (1.5 * steps_per_epoch)
    factors = [decay ** (len(seen) - 1 - number) for number in range(len(seen))]
    for name, mean in floats(subject.average.state_dict()["weights"]).items():
        expected = sum(factor * state[name] for factor, state in zip(factors, seen, strict=True)) / sum(factors)
        torch.testing.assert_close(mean.double(), expected, rtol=1e-5, atol=1e-6)


@given(st.floats(0, 1e6), st.integers(1, 300))
def test_the_share_of_a_step_is_the_one_that_forgets_the_initial_weights(window, steps):
    """Π (1 - a_t) = 0 is what they have; of the others each has the decay's power, and all add up to 1."""
    parts = [share(window, step) for step in range(1, steps + 1)]
    assert all(0 < part <= 1 for part in parts) and parts[0] == 1
    decay = max(0.0, 1 - 1 / window) if window else 0.0
    assert parts[-1] == pytest.approx(1 / math.fsum(decay**age for age in range(steps)), rel=1e-6)


@pytest.mark.parametrize("steps", [1, 2, 10**6])
def test_over_a_very_long_window_all_steps_weigh_alike(steps):
    assert share(1e300, steps) == pytest.approx(1 / steps)


def test_a_step_that_updates_nothing_counts_from_the_first_update_on(tmp_path):
    """Initial weights are in no mean, even where the first batches have no training node."""
    weight = torch.nn.Linear(1, 1, bias=False)
    average = Average(weight, 4, 1)
    for value, updated in ((7.0, False), (7.0, False), (1.0, True), (3.0, False)):
        with torch.no_grad():
            weight.weight.fill_(value)
        average.step(updated)
    assert float(average.weights["weight"]) == pytest.approx((0.75 * 1 + 3) / 1.75)


@pytest.mark.parametrize("method", METHODS)
def test_training_does_not_notice_the_average(tmp_path, method):
    """Weights, optimizer, tables and losses bit for bit as without it, with refreshes, live evaluations and the monitor."""
    extra: dict[str, object] = {} if method != "gas" else {"history__refresh": 2, "evaluation__monitor": 2}
    plain = trainer(tmp_path / "a", NORMED, epochs=4, method=method, **extra)
    averaged = trainer(tmp_path / "b", NORMED, epochs=4, method=method, trainer__average=2.0, evaluation__live=True, **extra)
    records = [fitted(plain), fitted(averaged)]
    assert_same(unaveraged(records[1]), unaveraged(records[0]))
    assert [record.get("monitor") for record in records[1]] == [record.get("monitor") for record in records[0]]
    ours, theirs = essence(averaged), essence(plain)
    for key in ("model", "optimizer", "method", "rng"):
        assert_same(ours[key], theirs[key], key)
    for with_average, without in zip(*reversed(records), strict=True):
        assert with_average["live"] == {name: without[name] for name in ("train", "val", "test")}
    assert "average" not in theirs and all("live" not in record for record in records[0])


def test_scores_are_those_of_the_averaged_weights(tmp_path):
    """An exact pass of a model with these weights gives the recorded metrics; the live weights give others."""
    subject = trainer(tmp_path, NORMED, epochs=8, trainer__average=2.0, history__refresh=1, evaluation__live=True, optimizer__lr=0.1)
    records = fitted(subject)
    measured = {}
    for name, weights in (("live", subject.model.state_dict()), ("mean", subject.average.state_dict()["weights"])):
        other = trainer(tmp_path / name, NORMED)
        other.model.load_state_dict(weights)
        measured[name] = other.evaluator.measure(other.evaluator.exact(), other.split)
    assert measured["mean"] == {name: records[-1][name] for name in ("train", "val", "test")}
    assert measured["live"] == records[-1]["live"]
    assert any(record["live"]["train"] != record["train"] for record in records)


def test_a_refresh_and_an_evaluation_are_two_passes_and_both_are_paid_for(tmp_path):
    shared: dict[str, object] = {"epochs": 3, "history__refresh": 1}
    passes = {}
    for window, live in ((0.0, False), (2.0, False), (2.0, True)):
        subject = trainer(tmp_path / f"{window}-{live}", trainer__average=window, evaluation__live=live, **shared)
        count, original = [0], subject.evaluator.exact

        def exact(*args: Any, _count: list[int] = count, _original: Any = original, **kwargs: Any) -> torch.Tensor:
            _count[0] += 1
            result: torch.Tensor = _original(*args, **kwargs)
            return result

        subject.evaluator.exact = exact  # type: ignore[method-assign]
        records = fitted(subject)
        passes[window, live] = count[0]
        assert all(record["seconds"]["refresh"] > 0 and record["seconds"]["evaluate"] > 0 for record in records)
    assert passes == {(0.0, False): 4, (2.0, False): 7, (2.0, True): 7}  # the first fills the histories


@pytest.mark.parametrize("model", MODELS, ids=MODEL_IDS)
def test_with_learning_rate_zero_the_average_is_the_live_weights(tmp_path, model):
    subject = trainer(tmp_path, model, epochs=3, trainer__average=2.0, evaluation__live=True, **FROZEN)
    fitted(subject)
    mean = subject.average.state_dict()["weights"]
    assert_same(
        {name: mean[name] for name, _ in subject.model.named_parameters()}, {n: p.detach() for n, p in subject.model.named_parameters()}
    )


@pytest.mark.parametrize("window", [1e-9, 1 / 3])
def test_a_window_of_at_most_a_step_is_the_live_weights(tmp_path, window):
    """Bit for bit, statistics of norms and counters included, so that all records are those of a run without average."""
    subject = trainer(tmp_path / "a", NORMED, epochs=3, trainer__average=window, evaluation__live=True)
    records = fitted(subject)
    assert_same(subject.average.state_dict()["weights"], dict(subject.model.state_dict()))
    assert all(record["live"] == {name: record[name] for name in ("train", "val", "test")} for record in records)


def test_a_shorter_window_is_nearer_to_the_live_weights(tmp_path):
    distances = []
    for window in (100.0, 3.0, 1.0, 0.5, 0.34):
        subject = trainer(tmp_path / str(window), epochs=6, trainer__average=window)
        fitted(subject)
        mean, live = subject.average.state_dict()["weights"], subject.model.state_dict()
        distances.append(sum(float((mean[name] - live[name]).norm()) for name in live))
    assert distances == sorted(distances, reverse=True) and distances[-1] < 0.05 * distances[0]


@pytest.mark.parametrize("method", METHODS)
@PATHS
@given(data=st.data())
def test_a_run_stopped_anywhere_and_resumed_equals_one_never_stopped(tmp_path_factory, method, data):
    """In a step, a refresh, an evaluation by the averaged or the live weights. Bit for bit, all state, records and best.pt."""
    overrides: dict[str, object] = {
        "epochs": 4,
        "method": method,
        "trainer__average": data.draw(st.sampled_from([0.5, 2.0, 1000.0])),
        "evaluation__live": data.draw(st.booleans()),
        "history__refresh": data.draw(st.sampled_from([None, 1, 2])) if method == "gas" else None,
        "optimizer__schedule": data.draw(st.sampled_from([None, "plateau"])),
    }
    whole = trainer(tmp_path_factory.mktemp("whole"), NORMED, **overrides)
    expected = fitted(whole)
    folder = tmp_path_factory.mktemp("stopped")
    stopped = trainer(folder, NORMED, **overrides)
    stop_after(stopped, data.draw(st.integers(0, 40)))
    records = Records()
    try:
        stopped.fit(records)
    except Interrupted:
        continued = trainer(folder, NORMED, **overrides)
        continued.restore(load_checkpoint(folder / "checkpoints" / "last.pt"))
        records = Records(r for r in records if r["epoch"] < continued.progress.epoch)
        continued.fit(records)
        stopped = continued
    assert_same(essence(stopped), essence(whole))
    assert_same(*(load_checkpoint(one.checkpoints.best) for one in (stopped, whole)))
    assert_same(timeless(records), timeless(expected))


def test_tied_weights_have_one_mean_and_stay_tied(tmp_path):
    tied = torch.nn.ModuleList([torch.nn.Linear(2, 2), torch.nn.Linear(2, 2)])
    tied[1].weight = tied[0].weight
    average = Average(tied, 3, 1)
    for value in (1.0, 4.0):
        with torch.no_grad():
            tied[0].weight.fill_(value)
        average.step(True)
    assert average.weights["0.weight"] is average.weights["1.weight"]
    with average.applied():
        assert tied[1].weight is tied[0].weight
        assert float(tied[1].weight.detach()[0, 0]) == pytest.approx((2 / 3 * 1 + 4) / (2 / 3 + 1))
    assert float(tied[1].weight.detach()[0, 0]) == 4.0


def test_an_evaluation_that_fails_leaves_the_live_weights(tmp_path):
    subject = trainer(tmp_path, NORMED, epochs=2, trainer__average=2.0)
    fitted(subject)
    before = {name: value.clone() for name, value in subject.model.state_dict().items()}
    places = [p.data_ptr() for p in subject.model.parameters()]

    def fails() -> None:
        with subject.average.applied():
            assert not torch.equal(next(iter(subject.model.state_dict().values())), next(iter(before.values())))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fails()
    assert_same(dict(subject.model.state_dict()), before)
    assert [p.data_ptr() for p in subject.model.parameters()] == places


# -- settings and checkpoints --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", ["-1", "-0.001", "inf", "nan", "1e7"])
def test_a_window_that_is_none_is_refused(value):
    with pytest.raises(UserError, match=r"trainer\.average=\S+ is not valid: expected a number of epochs from 0 \(off\) to 1000000"):
        compose_config([f"trainer.average={value}"])


def test_evaluation_from_histories_is_refused():
    with pytest.raises(UserError, match=r"evaluation\.mode=history is not valid: expected exact with trainer\.average=2\.5: histories are"):
        compose_config(["trainer.average=2.5", "evaluation.mode=history"])


def damaged(state: dict[str, Any]) -> Iterator[tuple[dict[str, Any], str]]:
    """Copies of a checkpoint's state with another average each, and what a message says of it."""
    average = state["average"]
    first = next(iter(average["weights"]))
    yield {key: value for key, value in state.items() if key != "average"}, "the average are a NoneType"
    yield state | {"average": {"weights": average["weights"]}}, "the average lack steps"
    yield state | {"average": average | {"steps": True}}, "the average is of True steps"
    yield state | {"average": average | {"steps": average["steps"] + 1}}, "expected a whole number from 0 to"
    yield state | {"average": average | {"weights": average["weights"] | {first: torch.zeros(2)}}}, f"the weight {first} is float32 .2."
    nan = torch.full_like(average["weights"][first], math.nan)
    yield state | {"average": average | {"weights": average["weights"] | {first: nan}}}, "NaN or infinite"


def test_a_damaged_average_is_refused_and_nothing_changed(tmp_path):
    fitted(trainer(tmp_path, NORMED, epochs=2, trainer__average=2.0))
    subject = trainer(tmp_path / "other", NORMED, epochs=2, trainer__average=2.0)
    before = {name: value.clone() for name, value in subject.average.state_dict()["weights"].items()}
    for state, reason in damaged(load_checkpoint(tmp_path / "checkpoints" / "last.pt")):
        with pytest.raises(UserError, match=reason):
            subject.restore(state)
        assert_same(subject.average.state_dict(), {"weights": before, "steps": 0})


@pytest.mark.parametrize(("before", "after"), [(2.0, 3.0), (0.0, 2.0), (2.0, 0.0)])
def test_another_window_is_another_run(tmp_path, before, after):
    fitted(trainer(tmp_path, epochs=1, trainer__average=before))
    subject = trainer(tmp_path / "other", epochs=2, trainer__average=after)
    with pytest.raises(UserError, match=rf"it has trainer.average={before}, and config.yaml has trainer.average={after}"):
        subject.restore(load_checkpoint(tmp_path / "checkpoints" / "last.pt"))


def test_a_checkpoint_of_a_version_without_averages_is_continued_without_one(tmp_path):
    fitted(trainer(tmp_path, epochs=2))
    state = load_checkpoint(tmp_path / "checkpoints" / "last.pt")
    del state["fingerprint"]["settings"]["trainer.average"]
    subject = trainer(tmp_path / "other", epochs=2)
    subject.restore(state)
    other = trainer(tmp_path / "third", epochs=2, trainer__average=2.0)
    with pytest.raises(UserError, match=r"trainer\.average=0\.0, and config\.yaml has trainer\.average=2\.0"):
        other.restore(state)


@pytest.mark.parametrize("seed", [2, 5])
def test_the_metrics_of_the_mean_choose_the_best_epoch_and_end_patience(tmp_path, seed):
    """The live ones of the same run would choose another."""
    shared: dict[str, object] = {"trainer__average": 3.0, "evaluation__live": True, "trainer__patience": 12}
    subject = trainer(tmp_path, replace(GCN, dropout=0.3), epochs=60, seed=seed, **shared)
    records = fitted(subject)
    values, live = [record["val"] for record in records], [record["live"]["val"] for record in records]
    best = subject.progress.best
    assert best.epoch == values.index(max(values)) + 1 and best.val == max(values)
    assert len(records) == best.epoch + 12 < 60
    assert live.index(max(live)) + 1 != best.epoch
