"""A method that only the tests know trains, resumes bit for bit and predicts: nothing in the package knows its name."""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gas_cli.batch.builder import BatchBuilder
from gas_cli.cli.help import train_help
from gas_cli.config.compose import compose_config, load_config
from gas_cli.config.method import GASConfig, MethodConfig
from gas_cli.config.registered import of_packages
from gas_cli.config.root import Config
from gas_cli.errors import UserError
from gas_cli.method.gas import GAS
from gas_cli.method.method import Alone, Training
from gas_cli.model.model import Model
from gas_cli.model.registry import build_model
from gas_cli.ops.dropout import Noise
from gas_cli.passes.drivers import forward
from gas_cli.prediction import predict
from gas_cli.run import resume, run
from gas_cli.training.checkpoint import load_checkpoint
from tests.builders import MODEL_IDS, MODELS, adjacencies, has_batch_norm, in_original_order, make_config, make_graph, make_problem
from tests.method.kept import CLASSES
from tests.method.sampled import Sampled, SampledBuilder, SampledConfig
from tests.precision import EXACT, in_precision, round_off, with_features, with_halo
from tests.tables.kinds import histories
from tests.training.stopping import stopped_and_resumed
from tests.training.test_trainer import assert_same

SMALL = [
    "dataset.num_nodes=240", "dataset.num_communities=6", "dataset.num_features=8", "partitioner=random", "partitioner.num_parts=6",
    "partitioner.cache=null", "trainer.batch_parts=2", "trainer.epochs=3", "model.num_layers=3", "model.hidden_channels=8", "device=cpu",
]  # fmt: skip
PLAIN = [model for model in MODELS if not has_batch_norm(model)]
FEW_TRAIN = ["dataset.train_fraction=0.02", "trainer.batch_parts=1"]


@dataclass
class GASInDictsConfig(GASConfig):
    implementation: ClassVar[str] = "tests.method.test_outside:GASInDicts"
    name: str = "gas_in_dicts"


class GASInDicts(GAS):
    """GAS on tables from outside the package."""

    def __init__(self, config: MethodConfig, training: Training) -> None:
        super().__init__(config, training)
        self.histories = histories("dict", self.problem.num_seen, tuple(self.model.widths[1:]), self.problem.seen_ptr)


@pytest.fixture(autouse=True)
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The methods of this folder as an installed package would register them."""
    info = tmp_path / "site" / "outside_methods-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: outside-methods\nVersion: 1.0\n")
    own = {"both_ways": "tests.method.outside:BothWaysConfig", "gas_in_dicts": f"{__name__}:GASInDictsConfig", "broken": "nowhere:Config"}
    names = [f"{name} = {where}" for name, where in (own | {"sampled": "tests.method.sampled:SampledConfig"}).items()]
    (info / "entry_points.txt").write_text("[gas_cli.methods]\n" + "\n".join(names) + "\n")
    monkeypatch.syspath_prepend(tmp_path / "site")
    of_packages.cache_clear()
    CLASSES.clear()
    yield
    monkeypatch.undo()
    of_packages.cache_clear()
    from hydra.core.config_store import ConfigStore

    for name in ("both_ways", "gas_in_dicts", "sampled"):
        ConfigStore.instance().repo.get("method", {}).pop(f"{name}.yaml", None)


def config_of(*settings: str) -> Config:
    return compose_config([*SMALL, *settings])


def trained(folder: Path, *settings: str) -> dict[str, Any]:
    """The last checkpoint of a run, and its losses."""
    run(config_of(*settings), folder)
    state = load_checkpoint(folder / "checkpoints" / "last.pt")
    return {"model": state["model"], "optimizer": state["optimizer"], "method": state["method"]}


@functools.cache
def never_stopped(*settings: str) -> dict[str, Any]:
    """What `trained` gives, once for all the steps at which a run is stopped: not to be changed."""
    with tempfile.TemporaryDirectory() as folder:
        return trained(Path(folder), *settings)


def test_it_is_a_choice_with_settings_of_its_own() -> None:
    config = config_of("method=both_ways", "method.strength=0.25")
    assert (config.method.name, config.method.strength) == ("both_ways", 0.25)  # type: ignore[attr-defined]
    assert " both_ways" in train_help()
    with pytest.raises(UserError, match=r"method\.strength=-1\.0 is not valid"):
        config_of("method=both_ways", "method.strength=-1")
    with pytest.raises(UserError, match=r"method=broken is registered by an installed package, but cannot be used: .*ModuleNotFoundError"):
        config_of("method=broken")


def test_without_strength_it_is_gas_and_with_some_it_is_not(tmp_path: Path) -> None:
    gas = trained(tmp_path / "gas", "method=gas")
    same = trained(tmp_path / "same", "method=both_ways", "method.strength=0")
    other = trained(tmp_path / "other", "method=both_ways")
    assert_same(gas["model"], same["model"])
    assert_same(gas["method"]["histories"], same["method"]["histories"])
    assert any(not torch.equal(gas["model"][name], other["model"][name]) for name in gas["model"])
    assert all(rows.any() for rows in other["method"]["both_ways"]["gradients"]["tables"])


def test_with_one_part_its_tables_stay_and_without_strength_it_is_gas_which_has_none(tmp_path: Path) -> None:
    one = ("partitioner.num_parts=1", "trainer.batch_parts=1")
    gas = trained(tmp_path / "gas", "method=gas", *one)
    same = trained(tmp_path / "same", "method=both_ways", "method.strength=0", *one)
    assert_same(gas["model"], same["model"])
    assert gas["method"] == {} and all(rows.any() for rows in same["method"]["histories"]["tables"])


def test_it_learns_from_batches_without_training_nodes(tmp_path: Path) -> None:
    """Their loss is 0 and their gradients are those that the tables bring: the weights move where GAS would leave them."""
    state = trained(tmp_path / "run", "method=both_ways", *FEW_TRAIN)
    assert int(state["method"]["both_ways"]["silent"]) > 0
    assert all(bool(torch.isfinite(weight).all()) for weight in state["model"].values())
    steps = {int(moments["step"]) for moments in state["optimizer"]["adam"]["state"].values()}
    assert steps == {3 * 6}, "every batch is an update"


@pytest.mark.parametrize("step", [1, 4, 7])
@pytest.mark.parametrize("settings", [["method=both_ways"], ["method=both_ways", *FEW_TRAIN], ["method=gas_in_dicts"]], ids=str)
def test_stopped_anywhere_it_resumes_bit_for_bit(tmp_path: Path, settings: list[str], step: int) -> None:
    whole = never_stopped(*settings)
    state = stopped_and_resumed(config_of(*settings), tmp_path / "stopped", step)
    assert_same({name: state[name] for name in whole}, whole)


def test_state_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    run(config_of("method=both_ways"), tmp_path / "run")
    path = tmp_path / "run" / "checkpoints" / "last.pt"
    state = torch.load(path, weights_only=True)
    state["method"]["both_ways"]["rows"] = torch.zeros(3, dtype=torch.int64)
    torch.save(state, path)
    with pytest.raises(UserError, match=r"last\.pt: the checkpoint does not fit this run: rows is int64 \[3\]"):
        resume(tmp_path / "run", load_config(tmp_path / "run" / "config.yaml"))


@pytest.mark.parametrize("mode", ["exact", "history"])
def test_it_predicts(tmp_path: Path, mode: str) -> None:
    run(config_of("method=both_ways", "history.refresh=1"), tmp_path / "run")
    found = predict(tmp_path / "run", mode=mode, checkpoint="last", device="cpu")
    exact = predict(tmp_path / "run", checkpoint="last", device="cpu")
    np.testing.assert_allclose(found.probabilities, exact.probabilities, rtol=1e-4, atol=1e-5)


def test_a_table_in_a_dict_gives_the_same_bits(tmp_path: Path) -> None:
    gas, dicts = trained(tmp_path / "gas", "method=gas"), trained(tmp_path / "dicts", "method=gas_in_dicts")
    assert_same(dicts["model"], gas["model"])
    assert_same(dicts["method"], gas["method"])
    assert (tmp_path / "gas" / "metrics.jsonl").read_text().count('"loss"') == 3


@pytest.mark.parametrize(
    "model", [m for m in MODELS if not has_batch_norm(m)], ids=[i for m, i in zip(MODELS, MODEL_IDS, strict=True) if not has_batch_norm(m)]
)
@settings(max_examples=4, deadline=None)
@given(drawn=adjacencies(), data=st.data())
def test_sampled_blocks_of_all_neighbours_give_full_batch(drawn: Any, data: st.DataObject, model: Any) -> None:
    """Each layer has other targets: scores and gradients are those of the full batch at these targets, dropout included.

    Equal in float64. In float32, whose sums are compiled kernels, the result is the same but for round-off.
    """
    graph = make_graph(*drawn)
    parts = data.draw(st.integers(1, min(4, graph.num_nodes)))
    config = make_config(model, num_parts=parts)
    config.method = SampledConfig()
    problem, whole = make_problem(graph, parts, model), make_problem(graph, 1, model)
    network = build_model(model, graph.num_features, graph.num_classes, seed=1).train()
    network.observe(problem.adj)
    double = in_precision(network, torch.float64)
    groups = (config.trainer, config.history, config.model, config.evaluation)
    method = Sampled(config.method, Training(problem, problem.graph.splits[0], network, torch.device("cpu"), *groups))
    chosen = sorted(data.draw(st.sets(st.integers(0, parts - 1), min_size=1)))
    batch = SampledBuilder(method).build(chosen)
    ids = batch.blocks[-1].target_ids

    def outcome(scores: torch.Tensor, network: Model) -> list[torch.Tensor]:
        """Scores and gradients, in float64."""
        weights = list(network.parameters())
        gradients = torch.autograd.grad(scores.square().sum(), weights, allow_unused=True, materialize_grads=True)
        return [scores.detach().double(), *(gradient.double() for gradient in gradients)]

    def sampled(network: Model, dtype: torch.dtype) -> list[torch.Tensor]:
        link = with_halo(method.link(), dtype)
        link.begin(batch, None)
        return outcome(forward(network, with_features(batch, dtype), link, Noise(3, 4)), network)

    full = BatchBuilder(whole.graph, whole.adj, whole.partition, whole.graph.splits[0], network.num_layers).build([0])
    scores = forward(double, with_features(full, torch.float64), with_halo(Alone(), torch.float64), Noise(3, 4))
    assert scores.dtype == torch.float64
    expected = outcome(in_original_order(whole, scores)[ids], double)
    largest = max(float(one.abs().max()) for one in expected)
    torch.testing.assert_close(sampled(double, torch.float64), expected, rtol=EXACT, atol=EXACT * max(1.0, largest))
    torch.testing.assert_close(sampled(network, torch.float32), expected, rtol=1e-4, atol=round_off(graph, network, largest))


@pytest.mark.parametrize("model", ["gcn", "gcnii", "pna_jk"])
def test_a_sampled_method_trains_resumes_and_predicts(tmp_path: Path, model: str) -> None:
    settings = ["method=sampled", "method.fan_out=3", f"model={model}", "trainer.epochs=1"]
    state = trained(tmp_path / "run", *settings)
    assert state["method"] == {} and all(bool(torch.isfinite(weight).all()) for weight in state["model"].values())
    resume(tmp_path / "run", load_config(tmp_path / "run" / "config.yaml", ["trainer.epochs=2"]))
    found = predict(tmp_path / "run", checkpoint="last", device="cpu")
    assert found.probabilities.shape[0] == 240 and np.isfinite(found.probabilities).all()
    with pytest.raises(UserError, match="method=sampled, which keeps no histories"):
        config_of(*settings, "evaluation.mode=history")


def test_all_its_tables_decide_whether_the_best_state_waits_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the limit it is written at once; the run and its best state are the same."""
    whole = trained(tmp_path / "whole", "method=both_ways")
    of_histories = CLASSES[-1].histories.nbytes
    assert CLASSES[-1].nbytes == 2 * of_histories
    copied: list[Any] = []
    monkeypatch.setattr("gas_cli.training.checkpoint._copy", lambda state: copied.append(state) or state)
    monkeypatch.setattr("gas_cli.training.checkpoint.BEST_IN_MEMORY_BYTES", of_histories)
    assert_same(trained(tmp_path / "written", "method=both_ways"), whole)
    assert not copied
    best = [load_checkpoint(tmp_path / name / "checkpoints" / "best.pt")["method"] for name in ("whole", "written")]
    assert_same(*best)
