"""Runs that were mixed up, damaged or crafted: one message and an untouched folder, or what the documentation promises."""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gas_cli.config.compose import compose_config
from gas_cli.errors import UserError
from gas_cli.training.checkpoint import FORMAT
from tests.end_to_end.conftest import Command
from tests.end_to_end.runs import SMALL, assert_refused, contents, differences, essence, lines, train

State = dict[str, Any]
Change = Callable[[State], object]
NAN = float("nan")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`mine`, stopped for good after 4 epochs, and others that differ from it in one thing."""
    folder = tmp_path_factory.mktemp("runs")
    for name, overrides in {"mine": (), "seed": ("seed=1",), "lr": ("optimizer.lr=0.02",), "split": ("dataset.split=0",)}.items():
        train(folder / name, "trainer.epochs=4", *overrides)
    return folder


@pytest.fixture
def here(runs: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(runs / "mine", tmp_path / "here"))


def refused_by_both(here: Path, gas_train: Command, gas_predict: Command, *words: str) -> None:
    before = contents(here)
    assert_refused(gas_train("resume=here", "trainer.epochs=6"), *words)
    assert_refused(gas_predict("run=here", "checkpoint=last", "out=p.npz"), *words, program="gas-predict")
    assert contents(here) == before and not (here.parent / "p.npz").exists()


def craft(path: Path, change: Change) -> None:
    state = torch.load(path, weights_only=True)
    change(state)
    torch.save(state, path)


# -- of another run ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("file", ["last.pt", "best.pt"])
@pytest.mark.parametrize(
    ("other", "difference"), [("seed", "seed=1 there, seed=0"), ("lr", "optimizer.lr=0.02 there"), ("split", "dataset.split=0 there")]
)
def test_checkpoints_of_other_runs(
    file: str, other: str, difference: str, runs: Path, here: Path, gas_train: Command, gas_predict: Command
) -> None:
    shutil.copy(runs / other / "checkpoints" / file, here / "checkpoints" / file)
    before = contents(here)
    assert_refused(gas_train("resume=here", "trainer.epochs=6"), f"here/checkpoints/{file}", difference)
    named = f"checkpoint={file.removesuffix('.pt')}"
    assert_refused(gas_predict("run=here", named), f"here/checkpoints/{file}", difference, program="gas-predict")
    assert contents(here) == before


def test_the_best_state_in_the_place_of_the_last_one_goes_on(here: Path, runs: Path, gas_train: Command) -> None:
    shutil.copy(here / "checkpoints" / "best.pt", here / "checkpoints" / "last.pt")
    assert gas_train("resume=here").code == 0
    assert differences(essence(here), essence(runs / "mine")) == []


def test_the_last_state_in_the_place_of_the_best_one(tmp_path: Path, gas_train: Command, gas_predict: Command) -> None:
    here = tmp_path / "here"
    train(here, "trainer.epochs=3", "optimizer.lr=0")  # so that no epoch is better than the first
    shutil.copy(here / "checkpoints" / "last.pt", here / "checkpoints" / "best.pt")
    words = "here/checkpoints/best.pt", "the state after epoch 3", "the best is that of epoch 1"
    before = contents(here)
    assert_refused(gas_train("resume=here", "trainer.epochs=6"), *words)
    assert_refused(gas_predict("run=here"), *words, program="gas-predict")
    assert contents(here) == before
    (here / "checkpoints" / "best.pt").unlink()
    assert gas_predict("run=here", "checkpoint=last").code == gas_train("resume=here", "trainer.epochs=6").code == 0


def test_a_second_run_in_a_used_folder_by_python(here: Path) -> None:
    from gas_cli.run import resume, run

    before = contents(here)
    for overrides in ((), ("seed=1",), ("model=sage",)):
        with pytest.raises(UserError, match=r"already holds a run: continue it with resume\(folder, config\)"):
            run(compose_config([*SMALL, *overrides]), here)
    with pytest.raises(UserError, match="seed=1 cannot be changed"):
        resume(here, compose_config([*SMALL, "seed=1"]))
    assert contents(here) == before


def test_seeds_that_were_swapped(tmp_path: Path, gas_train: Command) -> None:
    """Of several runs none is touched where one cannot be continued."""
    train(tmp_path / "here", "runs=2", "trainer.epochs=2")
    (tmp_path / "here" / "runs" / "00").rename(tmp_path / "x")
    (tmp_path / "here" / "runs" / "01").rename(tmp_path / "here" / "runs" / "00")
    (tmp_path / "x").rename(tmp_path / "here" / "runs" / "01")
    before = contents(tmp_path / "here")
    for more in ((), ("trainer.epochs=4",)):
        assert_refused(gas_train("resume=here", *more), "runs/00/checkpoints/last.pt", "seed=1 there, seed=0")
        assert contents(tmp_path / "here") == before


@pytest.mark.parametrize(
    "content", ["{}", '{"status": "finished"}', "[1]", "{", {"test": 0.99}, {"last": 3}, {"last": {"epoch": 2, "val": "x"}}]
)
def test_a_damaged_summary_of_one_of_several_runs_is_made_anew(content: str | dict[str, Any], tmp_path: Path, gas_train: Command) -> None:
    """From the checkpoint: nothing is trained again. A mapping: with that in it, beside what was there."""
    train(tmp_path / "here", "runs=2", "trainer.epochs=2")
    path, recorded = tmp_path / "here" / "runs" / "00" / "summary.json", contents(tmp_path / "here")["runs/00/metrics.jsonl"]
    good = json.loads(path.read_text())
    path.write_text(json.dumps(good | content) if isinstance(content, dict) else content)
    assert gas_train("resume=here").code == 0
    again, together = json.loads(path.read_text()), json.loads((tmp_path / "here" / "summary.json").read_text())
    assert again["test"] == together["runs"][0]["test"] == good["test"]
    assert contents(tmp_path / "here")["runs/00/metrics.jsonl"] == recorded


def test_a_file_of_code_that_has_changed(tmp_path: Path, gas_train: Command, gas_predict: Command) -> None:
    code = tmp_path / "mine.py"
    code.write_text("from torch_geometric.nn import SAGEConv\n\n\nclass Mine(SAGEConv):\n    pass\n")
    train(tmp_path / "here", "model=custom", f"model.module={code}")
    code.write_text(code.read_text().replace("    pass", "    aggregations = 1"))
    refused_by_both(tmp_path / "here", gas_train, gas_predict, "model.module", "has changed since")


# -- of a graph that has changed ---------------------------------------------------------------------------------------------------


def write_graph(
    folder: Path, nodes: int = 60, columns: int = 4, swap_splits: bool = False, other_label: bool = False, first: int = 0
) -> None:
    """A folder of arrays: a ring in two classes, its first 60 nodes by thirds in train, val and test."""
    folder.mkdir(exist_ok=True)
    ids = np.arange(nodes)
    labels = (ids % 4 < 2).astype(np.int64)
    labels[5] ^= other_label
    arrays = {"edges": np.stack([ids, (ids + 1) % nodes]), "labels": labels + first}
    arrays["features"] = np.cos(np.outer(ids, np.arange(1, columns + 1))).astype(np.float32)
    for third, name in enumerate(("test", "val", "train") if swap_splits else ("train", "val", "test")):
        arrays[f"{name}_mask"] = (ids % 3 == third) & (ids < 60)
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)


@pytest.fixture(scope="module")
def on_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on files, and the files in `graph` beside it."""
    folder = tmp_path_factory.mktemp("files")
    write_graph(folder / "graph")
    small = ("dataset=folder", f"dataset.path={folder / 'graph'}", "partitioner=random", "partitioner.num_parts=4", "partitioner.cache=''")
    train(folder / "run", *small, "trainer.batch_parts=2", "trainer.epochs=2", "model.hidden_channels=4", "device=cpu", base=())
    return folder


@pytest.mark.parametrize(
    ("change", "difference"),
    [({"nodes": 63}, "63 nodes, 60 then"), ({"swap_splits": True}, "other masks"), ({"other_label": True}, "other labels")],
)
def test_a_graph_that_has_changed(
    change: dict[str, Any],
    difference: str,
    on_files: Path,
    tmp_path: Path,
    gas_train: Command,
    gas_predict: Command,
) -> None:
    """Not to be continued; predicted for as it is now, which is said, by the weights; histories are of the nodes as they were."""
    shutil.copytree(on_files / "run", tmp_path / "here")
    write_graph(on_files / "graph", **change)
    before = contents(tmp_path / "here")
    assert_refused(gas_train("resume=here", "trainer.epochs=4"), "here/checkpoints/last.pt", difference)
    assert_refused(gas_predict("run=here", "mode=history"), "mode=history", difference, program="gas-predict")
    outcome = gas_predict("run=here", "out=p.npz")
    (said,) = [line for line in outcome.out.splitlines() if line.startswith("note: ") and "has changed" in line]
    assert outcome.code == 0 and difference in said
    probabilities = np.load(tmp_path / "p.npz")["probabilities"]
    assert probabilities.shape == (change.get("nodes", 60), 2) and np.isfinite(probabilities).all()
    assert contents(tmp_path / "here") == before
    write_graph(on_files / "graph")
    assert gas_predict("run=here", "out=p.npz", "mode=history").code == 0


def test_other_feature_columns(on_files: Path, tmp_path: Path, gas_train: Command, gas_predict: Command) -> None:
    shutil.copytree(on_files / "run", tmp_path / "here")
    write_graph(on_files / "graph", columns=5)
    refused_by_both(tmp_path / "here", gas_train, gas_predict, "5 feature columns")
    write_graph(on_files / "graph")


def test_classes_of_other_names(on_files: Path, tmp_path: Path, gas_train: Command, gas_predict: Command) -> None:
    """As many labels as before, which are other ones: a score would be given to a class that it was not trained for."""
    shutil.copytree(on_files / "run", tmp_path / "here")
    write_graph(on_files / "graph", first=7)
    before = contents(tmp_path / "here")
    assert_refused(gas_train("resume=here", "trainer.epochs=4"), "here/checkpoints/last.pt", "other class names")
    assert_refused(gas_predict("run=here"), "labels 7, 8", "labels from 0 on", program="gas-predict")
    assert contents(tmp_path / "here") == before
    write_graph(on_files / "graph")


# -- damaged or crafted ------------------------------------------------------------------------------------------------------------


def moments(state: State) -> dict[str, Any]:
    first: dict[str, Any] = state["optimizer"]["adam"]["state"][0]
    return first


def nested(depth: int) -> State:
    state: State = {}
    for _ in range(depth):
        state = {"a": state}
    return state


TRAINING: list[tuple[str, Change, str]] = [
    ("moment too short", lambda s: moments(s).update(exp_avg=torch.zeros(1)), "exp_avg of parameter 0 is float32 [1]"),
    ("moment missing", lambda s: moments(s).pop("exp_avg"), "lack exp_avg"),
    ("moment of another type", lambda s: moments(s).update(exp_avg=moments(s)["exp_avg"].double()), "is float64"),
    ("moment expanded", lambda s: moments(s).update(exp_avg=torch.zeros(1, 1).expand(8, 8)), "share memory (strides [0, 0])"),
    ("moment overlapping", lambda s: moments(s).update(exp_avg=torch.zeros(15).as_strided((8, 8), (1, 1))), "share memory"),
    ("moment sparse", lambda s: moments(s).update(exp_avg=torch.eye(8).to_sparse()), "exp_avg of parameter 0"),
    ("moment quantized", lambda s: moments(s).update(exp_avg=torch.quantize_per_tensor(torch.eye(8), 0.1, 0, torch.qint8)), "is qint8"),
    ("moment without values", lambda s: moments(s).update(exp_avg=torch.zeros(8, 8, device="meta")), "without values"),
    ("moment text", lambda s: moments(s).update(exp_avg="zeros"), "is a str"),
    ("moment NaN", lambda s: moments(s)["exp_avg"].fill_(NAN), "NaN or infinite"),
    ("moment negative", lambda s: moments(s)["exp_avg_sq"].fill_(-1), "negative entries"),
    ("moment's step a table", lambda s: moments(s).update(step=torch.zeros(3)), "step of parameter 0 is float32 [3]"),
    ("moment's step", lambda s: moments(s)["step"].fill_(1e6), "updated 1e+06 times"),
    ("moments of nobody", lambda s: s["optimizer"]["adam"]["state"].update({99: moments(s)}), "not numbered"),
    ("groups", lambda s: s["optimizer"]["adam"]["param_groups"].pop(), "groups are others"),
    ("group's parameters", lambda s: s["optimizer"]["adam"]["param_groups"][0].update(params=[5, 6]), "params of the optimizer"),
    ("not fused", lambda s: s["optimizer"]["adam"]["param_groups"][0].update(fused=False), "fused of the optimizer"),
    ("learning rate", lambda s: s["optimizer"]["adam"]["param_groups"][0].update(lr=1e9), "learning rate is 1000000000.0"),
    ("learning rate text", lambda s: s["optimizer"]["adam"]["param_groups"][0].update(lr="0.01"), "learning rate is 0.01"),
    (
        "option a table",
        lambda s: s["optimizer"]["adam"]["param_groups"][0].update(eps=torch.eye(2)),
        "tensor([[1., 0.], [0.,",
    ),
    ("schedule", lambda s: s["optimizer"]["scheduler"].update(last_epoch=2), "moved 2 times"),
    ("schedule's method", lambda s: s["optimizer"]["scheduler"].update(step=1), "the schedule have 'step'"),
    ("epoch negative", lambda s: s["progress"].update(epoch=-3), "epoch -3, expected 1 or more"),
    ("epoch huge", lambda s: s["progress"].update(epoch=10**30), "counters do not agree: step 12"),
    ("epoch and step", lambda s: s["progress"].update(epoch=4, step=9), "was updated 12 times, expected a whole number from 0 to 9"),
    ("epoch text", lambda s: s["progress"].update(epoch="5"), "progress.epoch is a str: expected int"),
    ("batch beyond", lambda s: s["progress"].update(batch=99), "batch 99, expected 0 to 3"),
    ("step negative", lambda s: s["progress"].update(step=-1), "step -1, expected 12"),
    ("loss", lambda s: s["progress"].update(loss_sum=NAN), "loss nan"),
    ("best in the future", lambda s: s["progress"]["best"].update(epoch=5), "best epoch 5, expected 0 to 4"),
    ("best metric", lambda s: s["progress"]["best"].update(test=7.0), "numbers from 0 to 1"),
    ("best a list", lambda s: s["progress"].update(best=[1]), "progress.best is a list"),
    ("counter missing", lambda s: s["progress"].pop("step"), "progress is not valid"),
    ("pushed later", lambda s: s["method"]["histories"]["written_at"].fill_(99), "steps that were not done"),
    ("generator short", lambda s: s["rng"].update(cpu=torch.zeros(3, dtype=torch.uint8)), "generator is uint8 [3]"),
    ("generator of zeros", lambda s: s["rng"]["cpu"].zero_(), "generator is not valid"),
    ("device's generator a list", lambda s: s["rng"].update(cuda=[]), "device's generator is a list"),
    ("generators a list", lambda s: s.update(rng=[]), "the generators are a list"),
    ("lines", lambda s: s["recorded"].update(lines=3), "3 lines from epoch 1 on"),
    ("lines' checksum", lambda s: s["recorded"].update(digest="0"), "metrics.jsonl is not as the run left it"),
    ("lines unknown", lambda s: s.pop("recorded"), "nothing valid of metrics.jsonl"),
]
EVERYWHERE: list[tuple[str, Change, str]] = [
    ("weights NaN", lambda s: [weight.fill_(NAN) for weight in s["model"].values()], "NaN or infinite"),
    (
        "weights transposed",
        lambda s: s["model"].update({k: v.mT.contiguous() for k, v in s["model"].items() if v.dim() == 2}),
        "the weight",
    ),
    ("weight missing", lambda s: s["model"].popitem(), "the weights lack"),
    ("weight too many", lambda s: s["model"].update(more=torch.zeros(1)), "the weights have 'more'"),
    ("weight a number", lambda s: s["model"].update(dict.fromkeys(s["model"], 1.0)), "is a float, expected float32"),
    ("weights gone", lambda s: s.pop("model"), "the weights are a NoneType"),
    ("no fingerprint", lambda s: s.pop("fingerprint"), "does not say which run"),
    ("fingerprint text", lambda s: s.update(fingerprint="0"), "does not say which run"),
    ("fingerprint of numbers", lambda s: s["fingerprint"].update(graph={"nodes": 300}), "does not say which run"),
    ("nested", lambda s: s["progress"].update(monitor=nested(200)), "nested more than 16 deep"),
    ("format 1", lambda s: s.update(format=1), f"format 1: expected {FORMAT}"),
    ("format text", lambda s: s.update(format=str(FORMAT)), "another version"),
    ("format missing", lambda s: s.pop("format"), "has format None"),
]


def ids(cases: list[tuple[str, Change, str]]) -> list[str]:
    return [name for name, _, _ in cases]


@pytest.mark.parametrize(("_", "change", "message"), TRAINING, ids=ids(TRAINING))
def test_what_does_not_fit_is_not_continued(_: str, change: Change, message: str, here: Path, gas_train: Command) -> None:
    craft(here / "checkpoints" / "last.pt", change)
    before = contents(here)
    assert_refused(gas_train("resume=here", "trainer.epochs=6"), message)
    assert contents(here) == before


@pytest.mark.parametrize(("_", "change", "message"), EVERYWHERE, ids=ids(EVERYWHERE))
def test_what_is_neither_continued_nor_predicted_with(
    _: str, change: Change, message: str, here: Path, gas_train: Command, gas_predict: Command
) -> None:
    craft(here / "checkpoints" / "last.pt", change)
    refused_by_both(here, gas_train, gas_predict, "last.pt", message)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s["method"]["histories"]["tables"].pop(), "the histories are 0 tables"),
        (lambda s: s["method"]["histories"].update(tables="none"), "the histories are a str"),
        (lambda s: s["method"]["histories"]["tables"][0].fill_(NAN), "history of layer 1 has NaN"),
        (lambda s: s["method"]["histories"].update(tables=[torch.zeros(1, 1).expand(300, 8)]), "share memory"),
        (lambda s: s["method"]["histories"].update(tables=[torch.zeros(300, 8).half()]), "is float16"),
        (lambda s: s["method"]["histories"].pop("written_at"), "lack written_at"),
    ],
)
def test_histories_that_do_not_fit(change: Change, message: str, here: Path, gas_train: Command, gas_predict: Command) -> None:
    """They are not read by exact predictions, which go on."""
    craft(here / "checkpoints" / "last.pt", change)
    before = contents(here)
    assert_refused(gas_train("resume=here", "trainer.epochs=6"), message)
    assert_refused(gas_predict("run=here", "checkpoint=last", "mode=history"), message, program="gas-predict")
    assert gas_predict("run=here", "checkpoint=last", "mode=exact").code == 0
    assert contents(here) == before


def test_moments_that_share_memory_or_lie_in_another_order_train_as_their_copies_would(
    here: Path, tmp_path: Path, gas_train: Command
) -> None:
    shutil.copytree(here, tmp_path / "there")
    for folder, form in ((here, lambda value: value.mT.contiguous().mT), (tmp_path / "there", torch.clone)):

        def share(state: State, form: Callable[[torch.Tensor], torch.Tensor] = form) -> None:
            squares = form(moments(state)["exp_avg_sq"])
            moments(state).update(exp_avg=squares, exp_avg_sq=squares)

        craft(folder / "checkpoints" / "last.pt", share)
    for name in ("here", "there"):
        assert gas_train(f"resume={name}", "trainer.epochs=6").code == 0
    assert differences(essence(here), essence(tmp_path / "there")) == []


@pytest.mark.filterwarnings("error:Converting a tensor")
def test_moments_that_would_take_gradients_train_as_others_do_and_nothing_is_printed(here: Path, runs: Path, gas_train: Command) -> None:
    craft(here / "checkpoints" / "last.pt", lambda state: [value.requires_grad_() for value in moments(state).values()])
    shutil.copytree(runs / "mine", here.parent / "there")
    outcomes = [gas_train(f"resume={name}", "trainer.epochs=6") for name in ("here", "there")]
    assert [(outcome.code, outcome.err) for outcome in outcomes] == [(0, "")] * 2
    assert differences(essence(here), essence(here.parent / "there")) == []


@pytest.mark.parametrize("state", [[], "text", 3, None, torch.zeros(3), {1: 2}])
def test_files_of_something_else(state: Any, here: Path, gas_train: Command, gas_predict: Command) -> None:
    torch.save(state, here / "checkpoints" / "last.pt")
    refused_by_both(here, gas_train, gas_predict, "last.pt", f"expected {FORMAT}")


def deep(path: Path) -> None:
    """A pickle that is nested 10,000 deep: written by hand, since the pickler would recurse."""
    rewrite(path, lambda content: b"\x80\x02" + b"]" * 10_001 + b"a" * 10_000 + b".")


def compressed(path: Path) -> None:
    rewrite(path, lambda content: content, zipfile.ZIP_DEFLATED)


def rewrite(path: Path, change: Callable[[bytes], bytes], compression: int = zipfile.ZIP_STORED) -> None:
    with zipfile.ZipFile(path) as archive:
        records = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in records.items():
            archive.writestr(name, change(content) if name.endswith("data.pkl") else content)


@pytest.mark.parametrize(("damage", "message"), [(deep, "nested more than 16 deep"), (compressed, "compressed")])
def test_archives_that_no_run_writes(
    damage: Callable[[Path], None], message: str, here: Path, gas_train: Command, gas_predict: Command
) -> None:
    damage(here / "checkpoints" / "last.pt")
    refused_by_both(here, gas_train, gas_predict, "last.pt cannot be read", message)


def test_probabilities_are_never_nan(here: Path, gas_predict: Command) -> None:
    """Weights that are finite one by one, and whose products are not."""
    craft(here / "checkpoints" / "best.pt", lambda s: [weight.fill_(3e38) for weight in s["model"].values()])
    assert_refused(gas_predict("run=here", "out=p.npz"), "probabilities of node 0 are NaN", program="gas-predict")
    assert not (here.parent / "p.npz").exists()


# -- metrics.jsonl and config.yaml -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda ls: ls.__setitem__(1, ls[1].replace(b'"loss": ', b'"loss": 9')), "one of its first 4 lines has changed"),
        (lambda ls: ls.pop(1), "line 2 is not the record of epoch 2"),
        (lambda ls: ls.pop(), "it has 3 of 4 lines"),
        (lambda ls: ls.insert(1, ls[1]), "line 3 is not the record of epoch 3"),
        (lambda ls: ls.__setitem__(1, json.dumps(json.loads(ls[1]) | {"epoch": "2"}).encode()), "line 2 is not the record"),
        (lambda ls: ls.append(b"\xff\xfe"), "line 5 is not the record of epoch 5"),
        (lambda ls: ls.clear(), "it has 0 of 4 lines"),
    ],
)
def test_damaged_metrics(change: Callable[[list[bytes]], object], message: str, here: Path, gas_train: Command) -> None:
    """Refused; without the file, the run goes on, and no record of it is wrong."""
    path = here / "metrics.jsonl"
    content = path.read_bytes().splitlines()
    change(content)
    path.write_bytes(b"".join(line + b"\n" for line in content))
    before = contents(here)
    assert_refused(gas_train("resume=here", "trainer.epochs=6"), message, "move it away")
    assert contents(here) == before
    path.unlink()
    assert gas_train("resume=here", "trainer.epochs=5").code == 0
    assert gas_train("resume=here", "trainer.epochs=6").code == 0
    assert [line["epoch"] for line in lines(here)] == [5, 6]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a0: &a0 [x,x]\n" + "".join(f"a{i}: &a{i} [{','.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 10)), "holds an alias (*a0)"),
        ("a: &a {b: *a}\n", "holds an alias (*a)"),
        ("a: " + "[" * 5000 + "]" * 5000, "nested more than 20 deep"),
        ("a: " + "{a: " * 5000, "nested more than 20 deep"),
        ("- " * 5000 + "a", "nested more than 20 deep"),
        ("# " + "x" * 1_000_000, "larger than 200 kB"),
        ("seed: " + "9" * 5000, "not valid yaml"),
        ("a: !!python/object:os.system x", "not valid yaml"),
        ("a: !!binary aGk=", "config.yaml"),
        ("\x00", "not valid yaml"),
        ("", "not a run's configuration"),
    ],
)
def test_saved_settings_without_bounds(content: str, message: str, here: Path, gas_train: Command, gas_predict: Command) -> None:
    (here / "config.yaml").write_text(content)
    refused_by_both(here, gas_train, gas_predict, "here/config.yaml", message)
