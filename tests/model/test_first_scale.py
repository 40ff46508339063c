"""Before the first step, scores and gradients of a layer have the scale of its counterpart's, on wide features as well.

The counterpart is PyTorch Geometric's layer of the same name; of PNA, whose layer is that of the published runs, the published one.
"""

from __future__ import annotations

import math

import pytest
import torch

from gas_cli.batch.builder import BatchBuilder
from gas_cli.config.model import PNAConfig
from gas_cli.method.method import Alone
from gas_cli.model.model import Projection
from gas_cli.model.pna import PNAConv
from gas_cli.model.registry import build_model
from gas_cli.ops.dropout import Noise
from gas_cli.passes.drivers import forward
from scripts.first_step import COUNTERPARTS, compare, model_config
from scripts.lib.published_pna import PublishedPNAConv
from tests.builders import make_graph, make_problem, random_adjacency

WIDE, SEEDS, ALLOWED = 600, range(24), 1.35
GRAPH = make_graph(random_adjacency(30, 4, 0), num_features=WIDE, classes=5)
CASES = [name for name in COUNTERPARTS if name != "pna to PyG's"]  # another layer


@pytest.mark.parametrize("name", CASES)
def test_the_first_scores_and_gradients_have_the_scale_of_the_counterpart(name: str) -> None:
    ratios = compare(name, model_config(name, "model.num_layers=1"), GRAPH, SEEDS)
    checked = {number: ratio.median for number, ratio in ratios.items() if number == "scores" or number.startswith("gradient")}
    assert len(checked) >= 2
    assert {number: ratio for number, ratio in checked.items() if not 1 / ALLOWED < ratio < ALLOWED} == {}


def test_a_projection_like_linear_fills_the_range_of_torch() -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        made, bound = Projection.like_linear(WIDE, 200), 1 / math.sqrt(WIDE)
    for values in (made.weight.detach(), made.bias.detach()):
        assert 0.97 * bound < values.max() <= bound and -bound <= values.min() < -0.97 * bound
        assert float(values.std()) == pytest.approx(bound / math.sqrt(3), rel=0.1)


@torch.no_grad()
def test_the_published_layer_is_ours_with_the_same_weights() -> None:
    config = PNAConfig(num_layers=1)
    model, problem = build_model(config, WIDE, 5, seed=0).eval(), make_problem(GRAPH, 1, config)
    model.observe(problem.adj)
    graph, degrees = problem.graph, problem.adj.rowptr.diff().long()
    published, mine = PublishedPNAConv(WIDE, 5, config.aggregators, config.scalers, degrees), model.convs[0]  # type: ignore[index]
    assert isinstance(mine, PNAConv)
    published.own.load_state_dict(mine.own.state_dict())
    for pair, (pre, post) in enumerate(zip(published.pre, published.post, strict=True)):
        rows = slice(5 * pair, 5 * pair + 5)
        pre.load_state_dict({"weight": mine.pre.weight[rows], "bias": mine.pre.bias[rows]})
        post.load_state_dict({"weight": mine.post[rows].t(), "bias": mine.bias[pair]})
    edges = torch.stack([graph.adj.col.long(), torch.repeat_interleave(torch.arange(graph.num_nodes), degrees)])
    batch = BatchBuilder(graph, problem.adj, problem.partition, graph.splits[0], 1).build([0])
    torch.testing.assert_close(published(graph.x, edges), forward(model, batch, Alone(), Noise.off()), rtol=1e-4, atol=1e-5)
