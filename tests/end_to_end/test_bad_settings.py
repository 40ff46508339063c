"""Settings that cannot be: one message that says what to type instead, exit code 2, and no checkpoint of a run that never was."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.end_to_end.conftest import Command
from tests.end_to_end.runs import SMALL, assert_refused

BEFORE_ANYTHING = [
    (["dataset=corra"], "Did you mean cora?"),
    (["model=graphormer"], "Choices: appnp, conv, custom, gat, gatv2, gcn"),
    (["method=cluster"], "Choices: cluster_gcn, full_batch, gas, graphfm, graphfm_ib, lmc, sampling, vr_gcn"),
    (["trainer.epoch=3"], "Did you mean trainer.epochs?"),
    (["epochs=3"], "Did you mean trainer.epochs?"),
    (["model.theta=1"], "not a setting of the chosen model"),
    (["trainer.epochs=abc"], "expected a whole number"),
    (["trainer.epochs=2.5"], "expected a whole number"),
    (["optimizer.lr=fast"], "expected a number"),
    (["deterministic=perhaps"], "expected true or false"),
    (["trainer.epochs=0"], "trainer.epochs=0"),
    (["trainer.patience_rule=median"], "trainer.patience_rule=median is not valid: expected one of best, mean"),
    (["trainer.patience_rule=null"], "trainer.patience_rule"),
    (["trainer.patience=10001", "trainer.patience_rule=mean"], "expected at most 10,000 with trainer.patience_rule=mean"),
    (["evaluation.select=val_loss"], "evaluation.select=val_loss is not valid: expected null or one of accuracy"),
    (["seed=-1"], "a whole number from 0 to"),
    (["optimizer.lr=nan"], "optimizer.lr=nan"),
    (["history.placement=gpu"], "auto, device, pinned, host"),
    (["history.dtype=int4"], "float32, float16, bfloat16"),
    (["history.refresh=0"], "null or a whole number from 1 to"),
    (["device=tpu"], "auto, cpu, cuda"),
    (["trainer.batch_parts=7"], "at most partitioner.num_parts=6"),
    (["trainer.accumulate=0"], "expected epoch or a whole number from 1 to"),
    (["trainer.accumulate=2.5"], "expected epoch or a whole number from 1 to"),
    (["trainer.accumulate=true"], "expected epoch or a whole number from 1 to"),
    (["trainer.accumulate=epochs"], "expected epoch or a whole number from 1 to"),
    (["method=full_batch", "evaluation.mode=history"], "keeps no histories"),
    (["method=cluster_gcn", "evaluation.mode=history"], "method=cluster_gcn, which keeps no histories"),
    (["method=vr_gcn", "evaluation.mode=history"], "method=vr_gcn: its steps renew the histories of nodes around training nodes only"),
    (["method=vr_gcn", "method.neighbours=1"], "method.neighbours=1 is not valid: expected at least 2 with model=gcn, or -1 (all)"),
    (["method=vr_gcn", "method.estimator=cvv"], "method.estimator=cvv is not valid: expected one of cv, cvd"),
    (["method=cluster_gcn", "trainer.batch_parts=7"], "at most partitioner.num_parts=6"),
    (["method=graphfm", "method.momentum=1.5"], "method.momentum=1.5 is not valid: expected between 0 and 1"),
    (["method=graphfm_ib", "method.momentum=1"], "method.momentum=1.0 is not valid: expected at least 0 and less than 1"),
    (["method=graphfm_ib", "method.neighbours=[2,2,2]"], "expected one number for all layers, or 1 (all layers but the first)"),
    (["method=lmc", "method.alpha=-1"], "method.alpha=-1.0 is not valid: expected between 0 and 1"),
    (["method=lmc", "method.score=cubic"], "expected one of constant, linear, square, concave, sine"),
    (["method=lmc", "trainer.edge_dropout=0.2"], "trainer.edge_dropout=0.2 is not valid: expected 0 with method=lmc"),
    (["dataset.num_communities=301"], "at least dataset.num_communities=301"),
    (["trainer.sum_features_once=false"], "not a setting any more. A x is computed once wherever the model allows it. Leave it out."),
    (["method.vigour=1"], "Settings of method: name, gradients, trust."),
    (["-x"], "unrecognized arguments: -x. Settings are key=value"),
    (["--cfg", "jobs"], "invalid choice: 'jobs'"),
    (["resume=nowhere"], "expected the folder of a run"),
]
"""(arguments, words of the message): found before a folder is made."""

WITH_THE_GRAPH = [
    (["model=gat", "trainer.edge_dropout=0.2"], "trainer.edge_dropout=0.2 is not valid with model=gat: it sets edge weights to 0"),
    (["model=transformer", "trainer.edge_dropout=0.2"], "this model does not read them. Use trainer.edge_dropout=0."),
    (["model=gat", "method=graphfm"], "Use method=gas, or one of model=gcn"),
    (["model=gcn", "model.batch_norm=true", "method=lmc"], "Use model.batch_norm=false"),
    (["partitioner.num_parts=301"], "partitioner.num_parts=301 is larger than the number of nodes: expected 1 to 300"),
    (["partitioner=metis", "partitioner.num_parts=301"], "larger than the number of nodes"),
    (["dataset.split=1"], "has 1 split(s)"),
    (["partitioner=file", "partitioner.file=none.txt"], "none.txt: not found"),
    (["partitioner=file", "partitioner.file=five.txt"], "holds 5 part ids for a graph of 300 nodes"),
    (["partitioner=file", "partitioner.file=words.txt"], "row 1 (line 2), holds 'one'"),
    (["dataset=cora", "dataset.root=empty", "dataset.download=false"], "ind.cora.allx"),
]
"""(arguments, words of the message): found when the graph is there."""


def without_partitioner(arguments: list[str]) -> list[str]:
    """The small settings, without the groups and the keys that `arguments` set."""
    keys = {argument.partition("=")[0] for argument in arguments}
    kept = [word for word in SMALL if word.partition("=")[0] not in keys]
    return kept if "dataset" not in keys else [word for word in kept if not word.startswith("dataset.")]


@pytest.mark.parametrize(("arguments", "words"), BEFORE_ANYTHING, ids=lambda value: " ".join(value) if isinstance(value, list) else "")
def test_found_before_anything_is_done(arguments: list[str], words: str, gas_train: Command, tmp_path: Path) -> None:
    base = [] if arguments[0].startswith("resume") else without_partitioner(arguments)
    assert_refused(gas_train(*base, *arguments), words)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("arguments", "words"), WITH_THE_GRAPH, ids=lambda value: " ".join(value) if isinstance(value, list) else "")
def test_found_when_the_graph_is_there(arguments: list[str], words: str, gas_train: Command, tmp_path: Path) -> None:
    (tmp_path / "five.txt").write_text("0\n1\n" * 2 + "0\n")
    (tmp_path / "words.txt").write_text("0\none\n" * 150)
    outcome = gas_train(*without_partitioner(arguments), "hydra.run.dir=here", *arguments)
    assert_refused(outcome, words)
    assert '"status": "failed"' in (tmp_path / "here" / "summary.json").read_text()
    assert not (tmp_path / "here" / "checkpoints").exists()


@pytest.mark.parametrize(
    ("argument", "words"), [("device=cuda", "Use device=cpu"), ("history.placement=pinned", "use history.placement=auto or host")]
)
def test_what_needs_cuda(argument: str, words: str, gas_train: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert_refused(gas_train(*SMALL, argument), words)


@pytest.mark.parametrize("where", ["hydra.run.dir=file/run", "hydra.run.dir=file"])
def test_a_folder_that_cannot_be_written(where: str, gas_train: Command, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("content")
    assert_refused(gas_train(*SMALL, where), "hydra.run.dir=DIR")
    assert (tmp_path / "file").read_text() == "content"


def test_a_sweep_folder_that_cannot_be_written(gas_train: Command, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("content")
    assert_refused(gas_train("-m", *SMALL, "hydra.sweep.dir=file/sweep", "seed=0,1"), "hydra.sweep.dir=DIR")


@pytest.mark.parametrize("name", ["metrics.jsonl", "checkpoints", "summary.json", "config.yaml"])
def test_a_file_of_the_run_that_cannot_be_written(name: str, gas_train: Command, tmp_path: Path) -> None:
    """Something else has its name: as unwritable for root as for anybody."""
    blocker = tmp_path / "here" / name
    if name == "checkpoints":
        blocker.parent.mkdir()
        blocker.write_text("a file")
    else:
        blocker.mkdir(parents=True)
        (blocker / "content").write_text("")
    assert_refused(gas_train(*SMALL, "hydra.run.dir=here"), "Cannot", str(blocker.parent))
    assert blocker.exists()
