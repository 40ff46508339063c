"""Checkpoints that were damaged or crafted: one message and an untouched folder, or what the documentation promises."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from gas_cli.training.checkpoint import FORMAT
from tests.end_to_end.conftest import Command
from tests.end_to_end.runs import Change, State, assert_refused, contents, craft, differences, essence, refused_by_both

NAN = float("nan")


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
    ("pushed later", lambda s: s["method"]["histories"]["written_at"].fill_(99), "steps that the run has not done"),
    ("generator short", lambda s: s["rng"].update(cpu=torch.zeros(3, dtype=torch.uint8)), "generator is uint8 [3]"),
    ("generator of zeros", lambda s: s["rng"]["cpu"].zero_(), "generator is not valid"),
    ("device's generator a list", lambda s: s["rng"].update(cuda=[]), "device's generator is a list"),
    ("generators a list", lambda s: s.update(rng=[]), "the generators are a list"),
    ("lines", lambda s: s["recorded"].update(lines=3), "3 lines from epoch 1 on"),
    ("lines' checksum", lambda s: s["recorded"].update(digest="0"), "metrics.jsonl was changed after the run wrote it"),
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
    ("no fingerprint", lambda s: s.pop("fingerprint"), "does not name its run"),
    ("fingerprint text", lambda s: s.update(fingerprint="0"), "does not name its run"),
    ("fingerprint of numbers", lambda s: s["fingerprint"].update(graph={"nodes": 300}), "does not name its run"),
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
