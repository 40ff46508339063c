"""The loop: what it optimises, when it stops, what it records, and that it can be stopped anywhere."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gas_cli.config.model import APPNPConfig, GCNConfig, GCNIIConfig, ModelConfig, SAGEConfig
from gas_cli.config.training import LipschitzConfig
from gas_cli.errors import Interrupted, UserError
from gas_cli.training.assemble import make_trainer
from gas_cli.training.checkpoint import load_checkpoint
from gas_cli.training.trainer import Trainer
from tests.builders import MODEL_IDS, MODELS, in_original_order, make_config, make_graph, make_problem, random_adjacency, rows_of

GCN = GCNConfig(num_layers=3, hidden_channels=8)
PATHS = settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


class Records(list[dict[str, Any]]):
    """Collects epochs; may run something at one of them."""

    def epoch(self, record: dict[str, Any]) -> None:
        self.append(record)


def trainer(tmp: Path, model: ModelConfig = GCN, num_parts: int = 6, sparse: bool = False, seed: int = 0, **overrides: object) -> Trainer:
    graph = make_graph(random_adjacency(60, 5, 0), sparse_features=sparse)
    config = make_config(model, num_parts=num_parts, **{"batch_parts": 2, **overrides})
    if config.method.name == "full_batch":
        num_parts = 1
    problem = make_problem(graph, num_parts, model)
    return make_trainer(config, problem, tmp, seed)


def fitted(subject: Trainer) -> Records:
    records = Records()
    subject.fit(records)
    return records


def essence(subject: Trainer) -> dict[str, Any]:
    """All state that a resumed run has to share with an uninterrupted one."""
    return subject.state_dict()


def assert_same(one: Any, other: Any, where: str = "state") -> None:
    assert type(one) is type(other), where
    if isinstance(one, torch.Tensor):
        assert torch.equal(one, other), where
    elif isinstance(one, dict):
        assert one.keys() == other.keys(), where
        for key in one:
            assert_same(one[key], other[key], f"{where}.{key}")
    elif isinstance(one, list):
        assert len(one) == len(other), where
        for index, (a, b) in enumerate(zip(one, other, strict=True)):
            assert_same(a, b, f"{where}[{index}]")
    else:
        assert one == other or (math.isnan(one) and math.isnan(other)), f"{where}: {one} != {other}"


def stop_after(subject: Trainer, checks: int) -> None:
    """Ask for a stop at the `checks`-th safe point, as a signal would."""
    original, left = subject.stop.check, [checks]

    def check() -> None:
        left[0] -= 1
        if left[0] < 0:
            subject.stop.requested = True
        original()

    subject.stop.check = check  # type: ignore[method-assign]
    subject.evaluator.between = check


@pytest.mark.parametrize(
    "model", [GCN, GCNIIConfig(num_layers=3, hidden_channels=6, batch_norm=True), APPNPConfig(num_layers=3, hidden_channels=6)]
)
@PATHS
@given(data=st.data())
def test_a_run_stopped_anywhere_and_resumed_equals_one_never_stopped(tmp_path_factory, model, data):
    """At any safe point: between steps, in the filling of histories, in an evaluation, a measurement, a refresh. Bit for bit, all state."""
    overrides = {
        "epochs": 4,
        "history__refresh": data.draw(st.sampled_from([None, 1, 2])),
        "history__dtype": data.draw(st.sampled_from(["float32", "bfloat16"])),
        "evaluation__mode": data.draw(st.sampled_from(["exact", "history"])),
        "evaluation__monitor": data.draw(st.sampled_from([None, 1])),
        "optimizer__schedule": data.draw(st.sampled_from([None, "cosine", "plateau"])),
        "evaluation__select": data.draw(st.sampled_from([None, "macro_f1"])),
        "trainer__class_weights": data.draw(st.sampled_from([None, "balanced"])),
        "trainer__edge_dropout": data.draw(st.sampled_from([0.0, 0.2])),
        "trainer__lipschitz": data.draw(st.sampled_from([LipschitzConfig(), LipschitzConfig(weight=0.5)])),
        "trainer__prefetch": data.draw(st.integers(0, 2)),
        "trainer__accumulate": data.draw(st.sampled_from([1, 2, "epoch"])),
        "sparse": data.draw(st.booleans()),
    }
    whole = trainer(tmp_path_factory.mktemp("whole"), model, **overrides)
    expected = fitted(whole)
    folder = tmp_path_factory.mktemp("stopped")
    stopped = trainer(folder, model, **overrides)
    stop_after(stopped, data.draw(st.integers(0, 25)))
    records = Records()
    try:
        stopped.fit(records)
    except Interrupted:
        continued = trainer(folder, model, **overrides)
        continued.restore(load_checkpoint(folder / "checkpoints" / "last.pt"))
        records = Records(r for r in records if r["epoch"] < continued.progress.epoch)
        continued.fit(records)
        stopped = continued
    assert_same(essence(stopped), essence(whole))
    best = [load_checkpoint(t.checkpoints.best) for t in (stopped, whole)]
    assert_same(best[0], best[1])
    timeless = [[{k: v for k, v in r.items() if k not in ("seconds", "peak_memory")} for r in rs] for rs in (records, expected)]
    assert_same(timeless[0], timeless[1])


@pytest.mark.parametrize("model", [GCN, GCNIIConfig(num_layers=3, hidden_channels=6), APPNPConfig(num_layers=3, hidden_channels=6)])
def test_learning_rate_zero_makes_histories_exact_through_the_training_path(tmp_path, model):
    frozen: dict[str, object] = {"optimizer__lr": 0.0, "optimizer__reg_weight_decay": 0.0}
    subject = trainer(tmp_path, replace(model, dropout=0.0), epochs=3, history__fill=False, trainer__batch_parts=1, **frozen)
    fitted(subject)
    after_training = [table.clone() for table in rows_of(subject.histories)]
    subject.evaluator.exact(refresh=subject.histories)
    torch.testing.assert_close(after_training, rows_of(subject.histories), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("model", MODELS, ids=MODEL_IDS)
def test_gas_with_one_part_equals_full_batch_with_dropout(tmp_path, model, sparse):
    """Bit for bit over several epochs of training, so in every gradient."""
    gas = trainer(tmp_path / "gas", model, num_parts=1, batch_parts=1, sparse=sparse, epochs=5)
    full = trainer(tmp_path / "full", model, sparse=sparse, epochs=5, method="full_batch")
    losses = [[record["loss"] for record in fitted(subject)] for subject in (gas, full)]
    assert losses[0] == losses[1]
    assert_same(dict(gas.model.state_dict()), dict(full.model.state_dict()))


@pytest.mark.parametrize("model", [GCN, GCNIIConfig(num_layers=3, hidden_channels=6), SAGEConfig(num_layers=2, hidden_channels=6)])
def test_cluster_gcn_with_one_part_equals_full_batch(tmp_path, model):
    cluster = trainer(tmp_path / "cluster", model, num_parts=1, batch_parts=1, epochs=4, method="cluster_gcn")
    full = trainer(tmp_path / "full", model, epochs=4, method="full_batch")
    losses = [[record["loss"] for record in fitted(subject)] for subject in (cluster, full)]
    assert losses[0] == losses[1]


def test_cluster_gcn_trains_on_sub_graphs_and_is_evaluated_on_the_graph(tmp_path):
    """No histories; the scores are those that full batch has with the same weights."""
    subject = trainer(tmp_path / "cluster", replace(GCN, dropout=0.0), epochs=60, method="cluster_gcn")
    records = fitted(subject)
    assert subject.histories is None and "history_age" not in records[-1]
    assert records[-1]["loss"] < 0.8 * records[0]["loss"]
    full = trainer(tmp_path / "full", replace(GCN, dropout=0.0), method="full_batch")
    full.model.load_state_dict(subject.model.state_dict())
    scores = [in_original_order(one.problem, one.evaluator.exact()) for one in (subject, full)]
    torch.testing.assert_close(scores[0], scores[1], rtol=1e-4, atol=1e-5)


def test_training_learns_and_the_best_epoch_is_kept(tmp_path):
    subject = trainer(tmp_path, replace(GCN, dropout=0.0), epochs=60)
    records = fitted(subject)
    assert records[-1]["loss"] < 0.8 * records[0]["loss"]
    best = max(record["val"] for record in records)
    assert subject.progress.best.val == best
    assert subject.progress.best.epoch == next(record["epoch"] for record in records if record["val"] == best)
    assert load_checkpoint(subject.checkpoints.best)["progress"]["best"]["epoch"] == subject.progress.best.epoch


def test_patience_stops_after_that_many_epochs_without_a_better_one(tmp_path):
    subject = trainer(tmp_path, epochs=500, trainer__patience=7)
    records = fitted(subject)
    assert len(records) == subject.progress.best.epoch + 7 < 500


def test_the_selecting_metric_decides_on_the_best_epoch_and_on_patience(tmp_path):
    """Both are in the records, and the two metrics choose different epochs."""
    chosen = {}
    for select in (None, "macro_f1", "accuracy"):
        subject = trainer(tmp_path / str(select), seed=2, epochs=40, trainer__patience=20, evaluation__select=select)
        records = fitted(subject)
        values = [record["val"] if select in (None, "accuracy") else record[select]["val"] for record in records]
        best = subject.progress.best
        assert best.epoch == values.index(max(values)) + 1 and best.chosen_by == max(values)
        assert len(records) == min(40, best.epoch + 20) and ("macro_f1" in records[0]) == (select == "macro_f1")
        chosen[select] = best.epoch
    assert chosen[None] == chosen["accuracy"] != chosen["macro_f1"]


def test_a_selecting_metric_that_does_not_fit_the_task_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"evaluation.select=roc_auc does not fit a multi-class task: expected one of accuracy"):
        trainer(tmp_path, evaluation__select="roc_auc")


def test_with_learning_rate_zero_the_weighted_loss_of_an_epoch_is_that_of_full_batch(tmp_path):
    frozen = {
        "optimizer__lr": 0.0,
        "optimizer__reg_weight_decay": 0.0,
        "trainer__class_weights": "balanced",
        "trainer__label_smoothing": 0.1,
    }
    model = replace(GCN, dropout=0.0)
    losses = [fitted(trainer(tmp_path / m, model, epochs=2, method=m, **frozen))[-1]["loss"] for m in ("gas", "full_batch")]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    plain = fitted(trainer(tmp_path / "plain", model, epochs=2, **frozen | {"trainer__class_weights": None}))[-1]["loss"]
    assert plain != pytest.approx(losses[0], rel=1e-5)


def test_max_steps_cuts_an_epoch_short(tmp_path):
    records = fitted(trainer(tmp_path, epochs=2, trainer__max_steps=2))
    assert [record["step"] for record in records] == [2, 4]


def test_evaluation_happens_when_asked_and_always_at_the_end(tmp_path):
    evaluated = ["val" in record for record in fitted(trainer(tmp_path / "a", epochs=5, evaluation__every=2))]
    assert evaluated == [False, True, False, True, True]
    assert ["val" in r for r in fitted(trainer(tmp_path / "b", epochs=3, evaluation__every=None))] == [False, False, True]


def test_a_refresh_resets_the_ages_and_its_cost_is_counted(tmp_path):
    never = fitted(trainer(tmp_path / "never", epochs=4))
    every = fitted(trainer(tmp_path / "epoch", epochs=4, history__refresh=1))
    assert all(record["seconds"]["refresh"] == 0 for record in never[1:])
    assert all(record["seconds"]["refresh"] > 0 for record in every)
    assert [record["loss"] for record in never] != [record["loss"] for record in every]


def test_evaluation_in_the_middle_changes_nothing(tmp_path):
    """Exact evaluation writes no history and draws no randomness."""
    often, once = trainer(tmp_path / "often", epochs=4), trainer(tmp_path / "once", epochs=4, evaluation__every=None)
    losses = [[record["loss"] for record in fitted(subject)] for subject in (often, once)]
    assert losses[0] == losses[1]
    assert_same(often.histories.state_dict(), once.histories.state_dict())


def test_a_loss_that_is_not_finite_stops_and_keeps_the_best(tmp_path):
    subject = trainer(tmp_path, epochs=9)

    class Poison(Records):
        def epoch(self, record: dict[str, Any]) -> None:
            super().epoch(record)
            if record["epoch"] == 3:
                with torch.no_grad():
                    next(subject.model.parameters()).fill_(math.nan)

    with pytest.raises(UserError, match=r"nan in epoch 4.*best state so far \(epoch \d\) is kept"):
        subject.fit(Poison())
    best = load_checkpoint(subject.checkpoints.best)
    assert all(torch.isfinite(value).all() for value in best["model"].values())


def test_batches_without_training_nodes_renew_their_histories_and_update_nothing(tmp_path):
    subject = trainer(tmp_path, history__fill=False)
    batch = next(b for b in (subject.loader.builder.build([p]) for p in range(6)))
    bare = replace(batch, train_rows=batch.train_rows[:0])
    before = [p.detach().clone() for p in subject.model.parameters()]
    subject._train_step(bare, None, 1)
    assert_same(before, [p.detach() for p in subject.model.parameters()])
    assert all(rows_of(subject.histories)[0][start:stop].any() for start, stop in bare.ranges)


@pytest.mark.parametrize("what", ["graph", "model", "histories"])
def test_a_checkpoint_of_something_else_is_refused(tmp_path, what):
    fitted(trainer(tmp_path, epochs=1))
    state = load_checkpoint(tmp_path / "checkpoints" / "last.pt")
    other = trainer(tmp_path / "other", replace(GCN, hidden_channels=9) if what == "model" else GCN)
    if what == "graph":
        state["fingerprint"]["graph"]["partition"] = "0"
    if what == "histories":
        state["method"]["histories"]["tables"][0] = torch.zeros(60, 9)
    reasons = {"graph": "another partition", "model": "hidden_channels=8, and config.yaml", "histories": "history of layer 1 is float32"}
    with pytest.raises(UserError, match=reasons[what]):
        other.restore(state)


@pytest.mark.parametrize("model", MODELS, ids=MODEL_IDS)
def test_bfloat16_trains_and_stays_close(tmp_path, model):
    exact = fitted(trainer(tmp_path / "a", model, epochs=5))
    rounded = fitted(trainer(tmp_path / "b", model, epochs=5, precision="bfloat16"))
    assert rounded[-1]["loss"] == pytest.approx(exact[-1]["loss"], rel=0.1)
    assert rounded[-1]["loss"] != exact[-1]["loss"]


def on_cuda(folder, placement="device", graph_on="auto"):
    subject = trainer(folder, epochs=3)
    config = replace(
        subject.config,
        device="cuda",
        history=replace(subject.config.history, placement=placement),
        trainer=replace(subject.config.trainer, graph_on=graph_on),
    )
    return make_trainer(config, subject.problem, folder)


@pytest.mark.gpu
def test_a_checkpoint_holds_the_state_of_its_own_devices_generator(tmp_path):
    """One state, whatever number of devices is visible then and now; none where the run was on the CPU."""
    fitted(on_cuda(tmp_path / "gpu"))
    state, other = load_checkpoint(tmp_path / "gpu" / "checkpoints" / "last.pt"), on_cuda(tmp_path / "other")
    torch.rand(3, device="cuda")
    other.restore(state)
    assert torch.equal(torch.cuda.get_rng_state(), state["rng"]["cuda"])
    other.restore({**state, "rng": {**state["rng"], "cuda": None}})
    with pytest.raises(UserError, match="device's generator is uint8"):
        other.restore({**state, "rng": {**state["rng"], "cuda": torch.zeros(3, dtype=torch.uint8)}})


@pytest.mark.gpu
@pytest.mark.parametrize("graph_on", ["device", "host"])
@pytest.mark.parametrize("placement", ["device", "pinned", "host"])
def test_training_on_cuda_follows_the_cpu(tmp_path, placement, graph_on):
    on_cpu = fitted(trainer(tmp_path / "cpu", epochs=3))
    subject = on_cuda(tmp_path / "gpu", placement, graph_on)
    assert subject.loader.builder.build([0]).y.is_cuda == (graph_on == "device")
    losses = [record["loss"] for record in fitted(subject)]
    assert losses == pytest.approx([record["loss"] for record in on_cpu], rel=1e-3)
