"""Layers and models from elsewhere under the methods that take layers apart: right where they are sums, refused where nobody knows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from gas_cli.config.method import GASConfig, GraphFMConfig, GraphFMIBConfig, LMCConfig, MethodConfig, VRGCNConfig
from gas_cli.config.model import ConvConfig, CustomConfig, GATConfig, ModelConfig, SAGEConfig
from gas_cli.errors import UserError
from gas_cli.model.model import Model
from gas_cli.model.registry import build_model, model_class
from gas_cli.ops.dropout import Noise
from gas_cli.report.recorder import Recorders
from gas_cli.training.trainer import Trainer
from tests.builders import make_graph, random_adjacency
from tests.method.test_gradients import EXACT, WRONG, epochs, error, full_batch, graph_of, nth, trainer_by, trainer_of
from tests.model.test_custom import SUM, shown
from tests.passes.test_exactness import CLOSE, Lab

MEAN = """
from torch import nn
class Mean(nn.Module):
    def __init__(self, in_channels, out_channels):
        super().__init__()
        self.own = nn.Linear(in_channels, out_channels)
        self.neighbours = nn.Linear(in_channels, out_channels, bias=False)
    def forward(self, x, sums):
        return self.own(x) + self.neighbours(sums)
"""
METHODS: dict[str, MethodConfig] = {
    "gas": GASConfig(),
    "gradients": GASConfig(gradients="history"),
    "graphfm": GraphFMConfig(momentum=0.3),
    "lmc": LMCConfig(alpha=0.6),
    "graphfm_ib": GraphFMIBConfig(neighbours=2, batch_size=9),
    "vr_gcn": VRGCNConfig(neighbours=2, batch_size=9, estimator="cvd"),
}
Write = Callable[[str], str]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes a custom file and gives its path."""

    def write(text: str) -> str:
        path = tmp_path / "my_layers.py"
        path.write_text(text, encoding="utf-8")
        return str(path)

    return write


def like_sage(config: ModelConfig) -> SAGEConfig:
    """Where everything but the class is as in `config`."""
    names = ("num_layers", "hidden_channels", "dropout", "drop_input", "normalization", "batch_norm", "linear", "residual")
    return SAGEConfig(**{name: getattr(config, name) for name in names})


def with_weights_of(sage: Model, other: Model, own: str, own_bias: str, neighbours: str) -> None:
    """Give each convolution of `other` the maps of GraphSAGE's, by the names of its own, and the rest as it is."""
    state = {name: value for name, value in sage.state_dict().items() if not name.startswith("convs.")}
    for index, conv in enumerate(sage.convs):
        here = f"convs.{index}."
        state[f"{here}{own}.weight"], state[f"{here}{own_bias}.bias"] = conv.own.weight.detach().t(), conv.own.bias.detach()
        state[f"{here}{neighbours}.weight"] = conv.neighbours.detach().t()
    other.load_state_dict(state)


def gradients_of(trainer: Trainer, found: list[torch.Tensor]) -> dict[str, torch.Tensor]:
    """By the names of the parameters of GraphSAGE, and in its shapes."""
    named = dict(zip((name for name, _ in trainer.model.named_parameters()), found, strict=True))
    if not isinstance(trainer.config.model, CustomConfig):
        return named
    renamed = {"own.weight": "own.weight", "own.bias": "own.bias", "neighbours.weight": "neighbours"}
    result = {}
    for name, value in named.items():
        if not name.startswith("convs."):
            result[name] = value
            continue
        _, index, last = name.split(".", 2)
        result[f"convs.{index}.{renamed[last]}"] = value if last.endswith("bias") else value.t()
    return result


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
@pytest.mark.parametrize(
    "frame",
    [{"dropout": 0.0}, {"dropout": 0.4}, {"drop_input": False, "dropout": 0.4}, {"dropout": 0.4, "linear": True, "residual": True}],
    ids=["plain", "dropout", "known-features", "frame"],
)
def test_a_layer_that_takes_sums_is_graphsage_under_every_method(write: Write, tmp_path: Path, method: MethodConfig, frame) -> None:
    """The gradients of three epochs with the same weights, while histories of all kinds grow; layer 0 may read A x."""
    config = CustomConfig(num_layers=3, hidden_channels=6, module=write(MEAN), normalization="mean", **frame)
    graph = graph_of()
    own, sage = (trainer_by(method, tmp_path, graph, model) for model in (config, like_sage(config)))
    with_weights_of(sage.model, own.model, "own", "own", "neighbours")
    assert own.model.reading.messages == sage.model.reading.messages
    for _, *pair in zip(range(3), *(epochs(trainer, lambda step: Noise(3, step)) for trainer in (own, sage)), strict=False):
        found, expected = (gradients_of(trainer, each) for trainer, each in zip((own, sage), pair, strict=True))
        assert error([found[name] for name in expected], list(expected.values())) < EXACT


@pytest.mark.parametrize(("layer", "normalization"), [("Summed", "mean"), ("Plain", "sym")])
@pytest.mark.parametrize("directed", [False, True], ids=["undirected", "directed"])
def test_gradient_histories_are_exact_for_what_the_page_shows(write, tmp_path, layer, normalization, directed) -> None:
    """Whatever the layer does with its sums: Summed has a perceptron there."""
    model = CustomConfig(
        num_layers=3, hidden_channels=6, dropout=0.0, module=write(shown()), layer=layer, normalization=normalization, self_loops=True
    )
    graph = graph_of(directed)
    for gradients, right in (("history", True), ("cut", False)):
        trainer = trainer_of(tmp_path, graph, model, gradients=gradients)
        wrong_by = error(nth(epochs(trainer), 2 * model.num_layers), full_batch(trainer, graph))
        assert wrong_by < EXACT if right else wrong_by > WRONG


BROKEN = {
    "another way": (
        "propagate(rows, block)",
        "propagate(replace(rows, feedback=None), block)",
        "layer 1 sums up its sources by",
    ),
    "width": ("return self.widths[1:]", "return (5, 5)", r"layer 2 sums up rows of width 5, but these have width 6"),
    "number": ("return self.widths[1:]", "return self.widths", r"sum_widths=\(6, 6, 6\) is not valid: .* layers 1 to 2, 2 numbers"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_model_that_does_not_make_the_sums_that_it_promises_ends_with_an_error(case: str, write: Write, tmp_path: Path) -> None:
    old, new, message = BROKEN[case]
    text = "from dataclasses import replace\n" + shown()
    assert old in text
    model = CustomConfig(num_layers=3, hidden_channels=6, module=write(text.replace(old, new)), layer="Plain")
    with pytest.raises(UserError, match=message):
        next(epochs(trainer_of(tmp_path, graph_of(), model)))


def test_sums_have_the_weights_of_the_edges_and_no_attributes(write: Write) -> None:
    config = CustomConfig(num_layers=1, module=write(MEAN.replace("out_channels)", "out_channels, edge_dim=0)", 1)))
    model = model_class(config)
    assert model.takes_edge_weight(config) and model.heeds_edge_dropout(config) and not model.takes_edge_attr(config)
    plain = make_graph(random_adjacency(20, 4, 0))
    heavier = replace(plain, adj=plain.adj.with_values(2 * plain.adj.value))
    assert not torch.allclose(*(Lab(graph, 3, config).full_batch(Noise.off()) for graph in (plain, heavier)))


@pytest.mark.parametrize("others", ["edge_index", "edge_weight=None", "edge_attr=None"])
def test_a_layer_takes_sums_or_edges(others: str, write: Write) -> None:
    config = CustomConfig(module=write(MEAN.replace("(self, x, sums)", f"(self, x, sums, {others})")))
    name = others.removesuffix("=None")
    with pytest.raises(UserError, match=rf"my_layers\.py:8: Mean\.forward takes sums and {name}: expected \(x, sums\), which .*, or"):
        build_model(config, 5, 3, seed=0)


def test_what_goes_wrong_in_it_is_answered_by_place(write: Write) -> None:
    lab = Lab(make_graph(random_adjacency(20, 4, 0)), 3, CustomConfig(num_layers=2, module=write(MEAN.replace("(sums)", "(sum)"))))
    with pytest.raises(UserError, match=r"my_layers\.py:9: TypeError \(Mean\.forward\(x, sums\)\)"):
        lab.gas_epoch()


NEAREST = {
    "SAGEConv": ({}, "model=sage, which"),
    "SAGEConv mean": ({"aggr": "mean"}, "model=sage, which"),
    "SAGEConv sum": ({"aggr": "sum"}, "model=sage model.normalization=null, which"),
    "GraphConv": ({}, "model=sage model.normalization=null, which"),
    "GraphConv add": ({"aggr": "add"}, "model=sage model.normalization=null, which"),
    "GraphConv mean": ({"aggr": "mean"}, "model=sage, which"),
    "SAGEConv max": ({"aggr": "max"}, "one of model=gcn"),
    "SAGEConv projected": ({"project": True}, "one of model=gcn"),
    "GATConv": ({}, "one of model=gcn"),
}


def conv_of(case: str) -> ConvConfig:
    return ConvConfig(num_layers=3, hidden_channels=6, conv=case.split(maxsplit=1)[0], conv_args=NEAREST[case][0])


@pytest.mark.parametrize(
    "method", [METHODS[name] for name in ("gradients", "graphfm", "graphfm_ib", "lmc", "vr_gcn")], ids=lambda method: method.name
)
@pytest.mark.parametrize("case", NEAREST)
def test_a_convolution_of_pyg_is_refused_with_the_nearest_model(case: str, method: MethodConfig, tmp_path: Path) -> None:
    name, instead = case.split(maxsplit=1)[0], r"method(\.gradients)?=\w+"
    with pytest.raises(UserError, match=rf"model=conv, whose layers are PyG's {name}: .*\. Use {instead}, or {NEAREST[case][1]}"):
        trainer_by(method, tmp_path, graph_of(), conv_of(case))


@pytest.mark.parametrize("case", [name for name, (_, nearest) in NEAREST.items() if nearest.endswith(", which")])
def test_the_nearest_model_is_the_same_function(case: str) -> None:
    """With the weights of the one in the other; on a graph without weights."""
    config = conv_of(case)
    weights = None if "null" in NEAREST[case][1] else "mean"
    graph = make_graph(random_adjacency(40, 4, 1))
    pyg, sage = Lab(graph, 3, config), Lab(graph, 3, SAGEConfig(num_layers=3, hidden_channels=6, normalization=weights))
    names = ("lin_r", "lin_l", "lin_l") if config.conv == "SAGEConv" else ("lin_root", "lin_rel", "lin_rel")
    with_weights_of(sage.network, pyg.network, *names)
    torch.testing.assert_close(pyg.full_batch(Noise.off()), sage.full_batch(Noise.off()), **CLOSE)


@pytest.mark.parametrize(
    ("text", "layer", "message"),
    [
        (SUM, "", r"model=custom, whose layer Sum reads its sources one by one\. Use .*, or a layer whose forward takes \(x, sums\)"),
        (
            shown().replace("sum_widths", "mine"),
            "Plain",
            r"model=custom, whose class Plain has no sum_widths\. Use .*, or a model that",
        ),
    ],
    ids=["layer", "model"],
)
def test_own_code_without_sums_is_refused_with_the_way_out(text: str, layer: str, message: str, write: Write, tmp_path: Path) -> None:
    model = CustomConfig(num_layers=2, hidden_channels=6, module=write(text), layer=layer)
    with pytest.raises(UserError, match=message):
        trainer_of(tmp_path, graph_of(), model)


PROMISES = """
from gas_cli.model.gcn import GCN
class Mine(GCN):
    can_activate_inputs = True
    def __init__(self, config, in_channels, out_channels):
        super().__init__(GCNConfig(num_layers=2, hidden_channels=6), in_channels, out_channels)
        WIDTH
from gas_cli.config.model import GCNConfig
"""


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("pass", None),
        ("del self.out_width", r"model=custom: out_width=None is not valid: a model with can_activate_inputs says how many channels"),
        ("self.out_width += 1", r"The last layer puts out \d channels: expected \d, the model's out_width"),
    ],
)
def test_who_moves_the_activation_says_how_wide_the_last_output_is(line: str, message: str | None, write: Write, tmp_path: Path) -> None:
    config = CustomConfig(num_layers=2, hidden_channels=6, module=write(PROMISES.replace("WIDTH", line)))
    if message is None:
        trainer = trainer_by(LMCConfig(), tmp_path, graph_of(), config)
        trainer.fit(Recorders([]))
        assert trainer.model.activates_inputs
        return
    with pytest.raises(UserError, match=message):
        trainer_by(LMCConfig(), tmp_path, graph_of(), config).fit(Recorders([]))


def test_attention_is_refused_as_before(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"with model=gat, whose layers do more than sum up .* by fixed weights\. Use method\.gradients"):
        trainer_of(tmp_path, graph_of(), GATConfig(num_layers=2))
