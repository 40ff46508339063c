"""Layers and models of the user's own: exact through every driver, resumed and predicted with, answered by file and line where wrong."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from gas_cli.config.compose import compose_config, load_config
from gas_cli.config.continued import check_unchanged
from gas_cli.config.model import ConvConfig, CustomConfig
from gas_cli.errors import UserError
from gas_cli.model.registry import build_model, model_class
from gas_cli.ops.dropout import Noise
from gas_cli.passes.drivers import last_layer, layerwise
from gas_cli.prediction import predict
from gas_cli.run import resume, run
from tests.builders import in_original_order, make_graph, random_adjacency
from tests.end_to_end.runs import differences
from tests.passes.test_exactness import CLOSE, Lab
from tests.test_docs import blocks

OFF = Noise.off()
PAGE = Path(__file__).resolve().parents[2] / "docs" / "own-layer.md"
SUM = """
import torch
class Sum(torch.nn.Module):
    def __init__(self, in_channels, out_channels):
        super().__init__()
        self.lin = torch.nn.Linear(in_channels, out_channels)
    def forward(self, x, edge_index, edge_weight):
        messages = edge_weight.unsqueeze(1) * self.lin(x[0])[edge_index[0]]
        return torch.zeros(len(x[1]), messages.shape[1]).index_add_(0, edge_index[1], messages).sigmoid()
"""
PYG = """
from torch_geometric.nn import GATv2Conv, MessagePassing
class Attention(GATv2Conv):
    pass
"""
Write = Callable[[str], str]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes a custom file and gives its path."""

    def write(text: str) -> str:
        path = tmp_path / "my_layers.py"
        path.write_text(text, encoding="utf-8")
        return str(path)

    return write


def shown() -> str:
    return blocks(PAGE, "python")[0]


@pytest.mark.parametrize("sparse", [False, True], ids=["dense", "sparse"])
@pytest.mark.parametrize(
    ("text", "layer"),
    [(shown(), "Gated"), (shown(), "Summed"), (shown(), "Plain"), (SUM, ""), (PYG, "")],
    ids=["Gated", "Summed", "Plain", "Sum", "PyG"],
)
def test_exact_through_histories_layerwise_inference_and_refresh(write, text, layer, sparse):
    config = CustomConfig(num_layers=3, hidden_channels=6, module=write(text), layer=layer)
    lab = Lab(make_graph(random_adjacency(40, 4, 1), sparse_features=sparse), 5, config)
    lab.network.eval()
    expected = lab.full_batch(OFF).detach()
    assert not torch.allclose(lab.gas_epoch(size=2, epoch=1), expected, **CLOSE)
    for epoch in (2, 3):
        scores = lab.gas_epoch(size=2, epoch=epoch)
    torch.testing.assert_close(scores, expected, **CLOSE)
    exact = layerwise(lab.network, lab.passes, 40, lab.device, lab.histories)
    torch.testing.assert_close(in_original_order(lab.problem, exact), expected, **CLOSE)
    torch.testing.assert_close(in_original_order(lab.problem, last_layer(lab.network, lab.passes, 40, lab.histories)), expected, **CLOSE)


def test_a_class_of_pyg_in_a_file_is_the_one_that_model_conv_names(write):
    """Same draws of parameters, same scores: the two share how a convolution is built and called."""
    graph = make_graph(random_adjacency(30, 4, 0))
    settings = {"num_layers": 2, "hidden_channels": 6, "self_loops": True}
    mine = Lab(graph, 3, CustomConfig(module=write("from torch_geometric.nn import GATv2Conv\n"), layer="GATv2Conv", **settings))
    named = Lab(graph, 3, ConvConfig(conv="GATv2Conv", **settings))
    assert torch.equal(mine.full_batch(OFF), named.full_batch(OFF))


def test_an_output_that_autograd_still_needs_survives_the_frame(write):
    """The sigmoid's derivative is a function of its output, on which the frame's activation works in place."""
    lab = Lab(make_graph(random_adjacency(30, 4, 0)), 1, CustomConfig(num_layers=2, module=write(SUM)))
    lab.full_batch(OFF).sum().backward()
    assert all(parameter.grad is not None for parameter in lab.network.parameters())


def test_edge_attributes_reach_a_layer_that_asks_for_them(write):
    text = SUM.replace("edge_weight):", "edge_attr):").replace("edge_weight.unsqueeze(1)", "edge_attr.sum(1, keepdim=True)")
    config = CustomConfig(num_layers=1, module=write(text))
    plain = make_graph(random_adjacency(20, 4, 0))
    graph = replace(plain, edge_attr=torch.rand(plain.adj.nnz, 2))
    assert model_class(config).takes_edge_attr(config) and not model_class(config).takes_edge_attr(replace(config, edge_attr=False))
    one, two = (Lab(replace(graph, edge_attr=k * graph.edge_attr), 3, config).full_batch(OFF) for k in (1, 2))
    assert not torch.allclose(one, two)


def test_training_resuming_and_predicting(write, tmp_path, monkeypatch):
    """In one go; and stopped, moved with its sibling to another folder, resumed from there, and predicted with."""
    (tmp_path / "settings_of_mine.py").write_text("SHARPNESS = 2.0\n")
    (tmp_path / "my_layers.py").write_text(
        "from settings_of_mine import SHARPNESS\n" + shown().replace("sharpness=1.0", "sharpness=SHARPNESS")
    )
    monkeypatch.chdir(tmp_path)
    small = [
        "dataset.num_nodes=120",
        "partitioner=random",
        "partitioner.num_parts=4",
        "trainer.batch_parts=2",
        "device=cpu",
        "model.dropout=0.3",
    ]
    chosen = ["model=custom", "model.module=my_layers.py", "model.layer=Gated", "model.layer_args.sharpness=0.5", *small]
    config = compose_config([*chosen, "trainer.epochs=4"])
    assert config.model.module == str(tmp_path / "my_layers.py") and config.model.layer_args == {"sharpness": 0.5}
    whole = run(config, tmp_path / "whole")
    run(compose_config([*chosen, "trainer.epochs=2"]), tmp_path / "parts")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    moved = Path("layers_2.py").absolute()
    (tmp_path / "my_layers.py").rename(moved)
    saved = tmp_path / "parts" / "config.yaml"
    continued = load_config(saved, ["trainer.epochs=4", "model.module=layers_2.py"])
    check_unchanged(load_config(saved), continued)
    assert continued.model == replace(config.model, module=str(moved))
    (tmp_path / "settings_of_mine.py").rename("settings_of_mine.py")
    assert resume(tmp_path / "parts", continued)["val"] == whole["val"]
    states = [torch.load(tmp_path / name / "checkpoints" / "last.pt", weights_only=True)["model"] for name in ("whole", "parts")]
    assert differences(*states) == []
    with np.load(predict(tmp_path / "parts").save(tmp_path / "out.npz")) as out:
        np.testing.assert_allclose(out["probabilities"].sum(1), 1, rtol=1e-5)


def test_the_file_is_imported_once_and_again_when_it_changed(write):
    counting = "import sys\nsys.imported_by_test = getattr(sys, 'imported_by_test', 0) + 1\n"
    config = CustomConfig(module=write(counting + SUM))
    for _ in range(3):
        build_model(config, 5, 3, seed=0)
    assert sys.imported_by_test == 1
    write(counting + SUM + "# changed\n")
    build_model(config, 5, 3, seed=0)
    assert sys.imported_by_test == 2
    del sys.imported_by_test


MODEL, HERE = shown(), r"my_layers\.py"
BAD_FILES = {
    "missing comma": ("class A(:\n", "", r"my_layers\.py:1: SyntaxError \(while it is imported\)"),
    "import error": ("import torch\nimport nothing_of_that_name\n", "", r"my_layers\.py:2: ModuleNotFoundError .*nothing_of_that_name"),
    "raises": ("def f():\n    return 1 / 0\nf()\n", "", r"my_layers\.py:2: ZeroDivisionError .*division by zero"),
    "no class": ("import torch.nn as nn\nfrom torch.nn import Linear\n", "", "defines no subclass of torch.nn.Module"),
    "two classes": (SUM + SUM.replace("Sum", "Other"), "", r"defines Sum, Other: choose one, as in model\.layer=Sum"),
    "unknown class": (SUM, "Summ", r"model\.layer=Summ is not a subclass .*Did you mean Sum\? Choices: Sum"),
    "no module": (SUM + "class Thing: pass\n", "Thing", r"model\.layer=Thing is not a subclass of torch\.nn\.Module"),
    "constructor": (SUM.replace("super().__init__()", "raise ValueError('odd')"), "", HERE + r":5: ValueError \(Sum\(5, 64, .*odd"),
    "arguments": (SUM.replace("out_channels):", "out_channels, heads):"), "", r"my_layers\.py: TypeError .*'heads'"),
    "model's constructor": (MODEL.replace("depth, hidden = ", "a, b, c = "), "Plain", HERE + r":\d+: ValueError \(Plain\(config"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD_FILES)
def test_a_file_that_cannot_be_used_is_answered_by_place_and_reason(case, write):
    text, layer, message = BAD_FILES[case]
    with pytest.raises(UserError, match=message):
        build_model(CustomConfig(module=write(text), layer=layer), 5, 3, seed=0)


BAD_CALLS = {
    "signature": (SUM.replace("(self, x, edge_index, edge_weight)", "(self, x)"), r"my_layers\.py: TypeError \(Sum\.forward"),
    "raises": (SUM.replace("self.lin(x[0])", "self.lin(x)"), r"my_layers\.py:8: TypeError \(Sum\.forward"),
    "rows": (SUM.replace("len(x[1])", "len(x[0])"), HERE + r":7: Sum\.forward returned a tensor of shape \[\d+, 64\]: expected"),
    "columns": (SUM.replace(".sigmoid()", "[:, 1:]"), r"returned a tensor of shape \[\d+, 63\]: expected \[\d+, 64\]"),
    "type": (SUM.replace(".sigmoid()", ".tolist()"), "Sum.forward returned a list"),
    "layer": (MODEL.replace("propagate(rows, block)).relu()", "rows.halo).relu()"), HERE + r":\d+: Plain\.layer returned a tensor"),
    "encode": (MODEL.replace("+ self.lin_in.bias", "+ self.no_bias"), r"my_layers\.py:\d+: AttributeError \(encode\)"),
    "decode": (MODEL.replace("self.lin_out(h)", "self.lin_out(h).sum(1)"), r"Plain\.decode returned a tensor of shape \[\d+\]: expected"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD_CALLS)
def test_what_goes_wrong_in_a_call_is_answered_by_place_and_reason(case, write):
    text, message = BAD_CALLS[case]
    lab = Lab(make_graph(random_adjacency(30, 4, 0)), 3, CustomConfig(module=write(text), layer="Plain" if "class Plain" in text else ""))
    with pytest.raises(UserError, match=message):
        lab.gas_epoch()


def test_a_missing_file_and_a_missing_module_are_named(tmp_path):
    with pytest.raises(UserError, match=r"model\.module=.*nowhere\.py cannot be read: No such file"):
        build_model(CustomConfig(module=str(tmp_path / "nowhere.py")), 5, 3, seed=0)
    with pytest.raises(UserError, match=r"nothing_of_that_name: ModuleNotFoundError"):
        build_model(CustomConfig(module="nothing_of_that_name"), 5, 3, seed=0)
    with pytest.raises(UserError, match=r"model\.module='' is not valid: expected a Python file"):
        compose_config(["model=custom"])


def test_the_log_says_whose_code_runs(write, tmp_path, monkeypatch, caplog, capsys):
    from gas_cli.cli.predict import command_line
    from gas_cli.user_code import _execute

    caplog.set_level("INFO", "gas_cli")
    path = write(SUM)
    small = ["dataset.num_nodes=60", "partitioner=random", "partitioner.num_parts=2", "trainer.batch_parts=1", "partitioner.cache=null"]
    run(compose_config(["model=custom", f"model.module={path}", "device=cpu", "trainer.epochs=1", *small]), tmp_path / "run")
    said = f"Importing model.module={path}, which runs its code."
    assert caplog.messages.count(said) == 1
    _execute.cache_clear()  # as in another process
    monkeypatch.chdir(tmp_path)
    assert command_line([f"run={tmp_path / 'run'}"]) == 0
    assert f"note: {said}" in capsys.readouterr().out


def test_an_installed_module_is_used_by_its_name(tmp_path, monkeypatch):
    (tmp_path / "package_of_mine").mkdir()
    (tmp_path / "package_of_mine" / "__init__.py").write_text("from package_of_mine.sums import Sum\n")
    (tmp_path / "package_of_mine" / "sums.py").write_text(SUM)
    monkeypatch.syspath_prepend(tmp_path)
    config = compose_config(["model=custom", "model.module=package_of_mine"]).model
    assert config.module == "package_of_mine" and type(build_model(config, 5, 3, seed=0).convs[0]).__name__ == "Sum"


def test_the_log_has_the_traceback_and_the_terminal_one_line(write, tmp_path, monkeypatch, capsys):
    from gas_cli.cli.train import command_line

    monkeypatch.chdir(tmp_path)
    path = write(SUM.replace("self.lin(x[0])", "self.lin(x[0], x)"))
    small = ["dataset.num_nodes=60", "partitioner=random", "partitioner.num_parts=2", "trainer.batch_parts=1", "partitioner.cache=null"]
    assert command_line(["model=custom", f"model.module={path}", "device=cpu", "hydra.run.dir=out", *small]) == 2
    message = capsys.readouterr().err
    assert message.startswith(f"gas-train: {path}:8: TypeError (Sum.forward") and message.count("\n") == 1
    assert "Traceback" in (tmp_path / "out" / "gas-train.log").read_text()
