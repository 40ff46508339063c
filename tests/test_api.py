"""`import gas_cli` as a library: what it loads, and that it does what the commands do."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import gas_cli
from gas_cli import process
from gas_cli.config.registered import _here
from gas_cli.graph.load import load_graph
from gas_cli.method.gas import GAS
from gas_cli.model.gcn import GCN
from tests.end_to_end.runs import SMALL, lines, summary, train
from tests.registration import nothing_stays_registered  # noqa: F401 - a fixture

NUMBERS = ("loss", "train", "val", "test")


@pytest.fixture(scope="module")
def graph() -> gas_cli.Graph:
    return load_graph(gas_cli.compose_config(SMALL).dataset)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, graph: gas_cli.Graph) -> gas_cli.Run:
    """Trained on a graph that the test has."""
    return gas_cli.train(SMALL, tmp_path_factory.mktemp("api") / "run", graph=graph)


def numbers(folder: Path) -> list[list[Any]]:
    return [[line.get(key) for key in NUMBERS] for line in lines(folder)]


def in_python(code: str, **environment: str) -> str:
    """What `code` prints in a separate process."""
    kept = {key: value for key, value in os.environ.items() if key not in (process.WAITING, process.PAGES)}
    done = subprocess.run([sys.executable, "-c", code], env=kept | environment, capture_output=True, text=True, check=True)
    return done.stdout


# -- import ----------------------------------------------------------------------------------------------------------------------------


def test_import_loads_neither_torch_nor_hydra_and_settings_need_no_torch() -> None:
    code = "import sys, gas_cli; heavy = [m for m in ('torch', 'hydra', 'omegaconf', 'numpy') if m in sys.modules]"
    settings = "gas_cli.DatasetConfig, gas_cli.UserError, gas_cli.compose_config(['model=gat']); print(heavy, 'torch' in sys.modules)"
    assert in_python(f"{code}; {settings}") == "[] False\n"


def test_every_public_name_is_there_and_listed() -> None:
    assert set(gas_cli.__all__) <= set(dir(gas_cli))
    for name in gas_cli.__all__:
        assert getattr(gas_cli, name).__name__ == name
        assert getattr(gas_cli, name).__doc__, name
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = gas_cli.nothing  # type: ignore[attr-defined]


def test_what_torch_reads_is_set_before_it_is_loaded_and_only_where_the_user_has_not() -> None:
    code = "import os, gas_cli, torch; print(os.environ['OMP_WAIT_POLICY'], os.environ['THP_MEM_ALLOC_ENABLE'])"
    assert in_python(code) == "PASSIVE 1\n"
    assert in_python(code, OMP_WAIT_POLICY="ACTIVE", THP_MEM_ALLOC_ENABLE="0") == "ACTIVE 0\n"
    late = "import torch, os, gas_cli; print(os.environ.get('OMP_WAIT_POLICY'), os.environ.get('THP_MEM_ALLOC_ENABLE'))"
    assert in_python(late) == "None 1\n"  # torch reads the second with its first tensor


def test_a_torch_that_came_first_is_reported_once(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.delenv(process.WAITING, raising=False)
    monkeypatch.setattr(process, "_said", False)
    with caplog.at_level(logging.WARNING):
        process.report_late()
        process.report_late()
    assert len(caplog.records) == 1 and "OMP_WAIT_POLICY=PASSIVE" in caplog.text


def test_a_program_that_uses_hydra_itself_keeps_its_state(tmp_path: Path) -> None:
    from hydra import compose, initialize_config_dir

    (tmp_path / "theirs.yaml").write_text("a: 1\n")
    with initialize_config_dir(str(tmp_path), version_base="1.3"):
        assert gas_cli.compose_config(["model=gat"]).model.name == "gat"
        with pytest.raises(gas_cli.UserError):
            gas_cli.compose_config(["model=nothing"])
        assert compose("theirs").a == 1
    assert gas_cli.compose_config().model.name == "gcn"


# -- train, resume, predict ------------------------------------------------------------------------------------------------------------


def test_train_is_what_the_command_does(tmp_path: Path) -> None:
    train(tmp_path / "command", "model=gat")
    made = gas_cli.train([*SMALL, "model=gat"], tmp_path / "list")
    gas_cli.train(gas_cli.compose_config([*SMALL, "model=gat"]), str(tmp_path / "config"))
    assert numbers(tmp_path / "list") == numbers(tmp_path / "config") == numbers(tmp_path / "command")
    assert made.summary == summary(tmp_path / "list") and made.metrics == lines(tmp_path / "list")


def test_a_graph_that_is_given_trains_as_its_dataset_does(run: gas_cli.Run, graph: gas_cli.Graph, tmp_path: Path) -> None:
    train(tmp_path / "dataset")
    assert numbers(run.folder) == numbers(tmp_path / "dataset")
    assert run.config.dataset.name == "given"
    assert run.summary["dataset"] == graph.name


def test_several_seeds_on_a_graph_that_is_given(graph: gas_cli.Graph, tmp_path: Path) -> None:
    several = gas_cli.train([*SMALL, "runs=2"], tmp_path / "several", graph=graph)
    assert several.summary["dataset"] == graph.name and len(several.summary["runs"]) == 2
    with pytest.raises(gas_cli.UserError, match="holds 2 runs"):
        several.predict(graph=graph)
    assert len(gas_cli.predict(several.folder / "runs" / "01", graph=graph)) == graph.num_nodes


def test_resume_goes_on_with_the_same_bits(graph: gas_cli.Graph, tmp_path: Path) -> None:
    whole = gas_cli.train([*SMALL, "trainer.epochs=5"], tmp_path / "whole", graph=graph)
    gas_cli.train([*SMALL, "trainer.epochs=2"], tmp_path / "parts", graph=graph)
    parts = gas_cli.resume(tmp_path / "parts", ["trainer.epochs=5"], graph=graph)
    assert numbers(parts.folder) == numbers(whole.folder)
    assert np.array_equal(parts.predict(graph=graph).probabilities, whole.predict(graph=graph).probabilities)


def test_predictions_score_what_the_run_reported_and_come_back_from_their_file(
    run: gas_cli.Run, graph: gas_cli.Graph, tmp_path: Path
) -> None:
    found = run.predict(graph=graph)
    (split,) = graph.splits
    right = torch.from_numpy(found.probabilities).argmax(1) == graph.y
    assert float(right[split.test].double().mean()) == pytest.approx(run.summary["test"])
    assert found.labels.tolist() == [found.classes[c] for c in found.probabilities.argmax(1)]
    some = gas_cli.predict(run, [7, 3], graph=graph)
    assert some.nodes.tolist() == [7, 3] and np.array_equal(some.probabilities, found.probabilities[[7, 3]])
    saved = np.load(some.save(tmp_path / "new" / "some"))
    assert saved["nodes"].tolist() == [7, 3] and np.array_equal(saved["probabilities"], some.probabilities)
    assert saved["classes"].tolist() == list(found.classes)


def test_objects_show_what_they_are(run: gas_cli.Run, graph: gas_cli.Graph, tmp_path: Path) -> None:
    shown = repr(run)
    assert "finished: generated gcn gas" in shown and f"{run.summary['test']:.4f}" in shown
    assert repr(gas_cli.Run(tmp_path)) == f"Run({str(tmp_path)!r}, not started)"
    assert repr(graph) == (
        f"Graph('generated', num_nodes=300, num_edges={graph.num_edges}, num_features=8, num_classes=10, metric='accuracy')"
    )
    assert repr(graph.adj) == f"CSR(300x300, nnz={graph.num_edges}, symmetric)"
    assert repr(graph.splits[0]) == "Split(train=30, val=60, test=210)"
    assert repr(gas_cli.predict(run, [1], graph=graph)).startswith("Predictions(1 nodes, 10 classes: 0, 1,")


def test_mistakes_are_answered_with_what_to_type(run: gas_cli.Run, graph: gas_cli.Graph, tmp_path: Path) -> None:
    new = tmp_path / "new"
    cases: list[tuple[Any, str]] = [
        (lambda: gas_cli.train("model=gcn", new), "expected a list of texts"),
        (lambda: gas_cli.train([*SMALL, "model=gnc"], new), "model=gnc is unknown"),
        (lambda: gas_cli.train(SMALL, new, graph=graph.x), "expected a gas_cli.Graph"),
        (lambda: gas_cli.train(SMALL, run.folder, graph=graph), "already holds a run: continue it with resume"),
        (lambda: gas_cli.train([*SMALL, "dataset.split=3"], new, graph=graph), "has 1 split"),
        (lambda: gas_cli.resume(tmp_path), "expected the folder of a run"),
        (lambda: gas_cli.resume(run.folder), r"Pass it again.*graph=graph"),
        (lambda: gas_cli.resume(run.folder, ["model.dropout=0.1"], graph=graph), "cannot be changed"),
        (lambda: gas_cli.predict(tmp_path), "expected the folder of a run"),
        (run.predict, r"Pass it again.*graph=graph"),
        (lambda: run.predict([300], graph=graph), "expected node ids from 0 to 299"),
        (lambda: run.predict([[1]], graph=graph), r"nodes has shape \(1, 1\)"),
        (lambda: run.predict(mode="fast", graph=graph), "expected one of exact, history"),
        (lambda: run.predict(checkpoint="first", graph=graph), "expected one of best, last"),
        (lambda: run.predict(device="tpu", graph=graph), "expected one of auto, cpu, cuda"),
    ]
    for call, message in cases:
        with pytest.raises(gas_cli.UserError, match=message):
            call()
    assert not (new / "checkpoints").exists()


# -- registration ----------------------------------------------------------------------------------------------------------------------


@dataclass
class NarrowConfig(gas_cli.DatasetConfig):
    kept: int = 2


def test_a_registered_dataset_is_a_choice_with_settings_of_its_own(graph: gas_cli.Graph, tmp_path: Path) -> None:
    seen = []

    @gas_cli.register_dataset("narrow", settings=NarrowConfig)
    def narrow(config: NarrowConfig) -> gas_cli.Graph:
        seen.append(config.kept)
        arrays = {"edge_index": np.array([[0, 1], [1, 0]]), "x": graph.x[:4, : config.kept], "y": [0, 1, 0, 1]}
        return gas_cli.Graph.from_edges(**arrays, train=[0, 1], val=[2], test=[3], name="narrow")

    settings = [*(setting for setting in SMALL if "dataset" not in setting and "parts" not in setting)]
    settings += ["dataset=narrow", "dataset.kept=3", "partitioner.num_parts=2", "trainer.batch_parts=1"]
    made = gas_cli.train(settings, tmp_path / "run")
    assert made.summary["dataset"] == "narrow" and set(seen) == {3}
    assert made.predict().probabilities.shape == (4, 2)  # finds it by its name
    assert gas_cli.resume(made.folder, ["trainer.epochs=4"]).metrics[-1]["epoch"] == 4
    with pytest.raises(gas_cli.UserError, match="wide"):
        gas_cli.compose_config(["dataset=narrow", "dataset.wide=3"])


def test_a_registered_dataset_that_goes_wrong_is_named_with_its_line(tmp_path: Path) -> None:
    @gas_cli.register_dataset("broken")
    def broken(config: gas_cli.DatasetConfig) -> gas_cli.Graph:
        raise KeyError("column")

    with pytest.raises(gas_cli.UserError, match=r"test_api\.py:\d+: KeyError \(dataset=broken\): 'column'"):
        gas_cli.train([*SMALL[3:], "dataset=broken"], tmp_path / "run")
    gas_cli.register_dataset("broken")(lambda config: 3)  # type: ignore[arg-type, return-value]
    with pytest.raises(gas_cli.UserError, match=r"returned a int: expected a gas_cli\.Graph"):
        gas_cli.train([*SMALL[3:], "dataset=broken"], tmp_path / "other")


def test_a_model_and_a_method_are_registered_by_name(graph: gas_cli.Graph, tmp_path: Path) -> None:
    from gas_cli.config.method import GASConfig
    from gas_cli.config.model import GCNConfig

    @gas_cli.register_model("mine", settings=GCNConfig)
    class Mine(GCN):
        """GCN under another name."""

    @gas_cli.register_method("my_gas", settings=GASConfig)
    class MyGAS(GAS):
        """GAS under another name."""

    made = gas_cli.train([*SMALL, "model=mine", "method=my_gas"], tmp_path / "mine")
    gas_cli.train(SMALL, tmp_path / "gcn")
    assert numbers(made.folder) == numbers(tmp_path / "gcn")
    assert (made.summary["model"], made.summary["method"]) == ("mine", "my_gas")
    assert len(made.predict()) == 300


def test_another_registration_replaces_the_first_and_another_code_is_not_the_same_run(graph: gas_cli.Graph, tmp_path: Path) -> None:
    from gas_cli.config.model import GCNConfig

    @gas_cli.register_model("mine", settings=GCNConfig)
    class First(GCN):
        """The one that trains."""

    made = gas_cli.train([*SMALL, "model=mine"], tmp_path / "run")

    @gas_cli.register_model("mine", settings=GCNConfig)
    class Second(GCN):
        """Another one."""

    with pytest.raises(gas_cli.UserError, match=r"code .* has changed since the checkpoint"):
        gas_cli.resume(made.folder, ["trainer.epochs=4"])


def test_what_cannot_be_registered(tmp_path: Path) -> None:
    cases: list[tuple[Any, str]] = [
        (lambda: gas_cli.register_model("gcn")(GCN), "model=gcn is already in this package"),
        (lambda: gas_cli.register_method("gas")(GAS), "method=gas is already in this package"),
        (lambda: gas_cli.register_dataset("cora")(lambda config: None), "dataset=cora is already in this package"),  # type: ignore[arg-type]
        (lambda: gas_cli.register_model("mine", settings=int)(GCN), "expected a dataclass derived from"),  # type: ignore[type-var]
        (lambda: gas_cli.register_model("mine", settings=gas_cli.DatasetConfig)(GCN), "expected a dataclass derived from"),  # type: ignore[type-var]
    ]
    for call, message in cases:
        with pytest.raises(gas_cli.UserError, match=message):
            call()
    gas_cli.register_model("mine")(int)  # type: ignore[type-var]
    with pytest.raises(gas_cli.UserError, match=r"not a subclass of gas_cli\.model\.model\.Model"):
        gas_cli.train([*SMALL, "model=mine"], tmp_path / "run")


def test_a_run_of_a_name_that_is_not_registered_here_says_so(graph: gas_cli.Graph, tmp_path: Path) -> None:
    gas_cli.register_model("mine")(GCN)
    folder = tmp_path / "run"
    folder.mkdir()
    from gas_cli.config.compose import save_config

    save_config(gas_cli.compose_config([*SMALL, "model=mine"]), folder / "config.yaml")
    assert gas_cli.Run(folder).config.model.name == "mine"
    _here["model"].clear()
    with pytest.raises(gas_cli.UserError, match=r"model\.name=mine is unknown: .*register"):
        _ = gas_cli.Run(folder).config
