"""Inductive graphs: no bit of a trained model, optimizer or history depends on the graphs that are kept for evaluation."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from gas_cli.batch.builder import BatchBuilder
from gas_cli.config.model import GCNConfig, GCNIIConfig, GINConfig, ModelConfig, PNAJKConfig
from gas_cli.errors import UserError
from gas_cli.graph.graph import Graph, Split
from gas_cli.method.method import Alone
from gas_cli.ops.dropout import Noise
from gas_cli.passes.drivers import forward
from gas_cli.run import prepare
from gas_cli.training.assemble import make_trainer
from gas_cli.training.trainer import Trainer
from tests.builders import in_original_order, make_config, make_graph, make_problem, random_adjacency
from tests.end_to_end.runs import differences

SEEN, KEPT = 48, 27
MODELS = [
    GCNConfig(num_layers=3, hidden_channels=8, batch_norm=True, residual=True, linear=True),
    GCNIIConfig(num_layers=3, hidden_channels=8, batch_norm=True),
    GINConfig(num_layers=2, hidden_channels=8, batch_norm=True),
    PNAJKConfig(num_layers=2, hidden_channels=8, batch_norm=True),
]


class Records(list[dict[str, Any]]):
    def epoch(self, record: dict[str, Any]) -> None:
        self.append(record)


def graphs_apart(seed: int = 0, kept: int = KEPT) -> Graph:
    """Training graphs of `SEEN` nodes that are the same for every `seed`, and `kept` nodes in graphs for evaluation that are not."""
    first, second = make_graph(random_adjacency(SEEN, 4, 0)), make_graph(random_adjacency(max(kept, 1), 4, seed + 1), seed=seed + 1)
    matrix = sp.csr_array(sp.block_diag([first.adj.to_scipy(), second.adj.to_scipy()[:kept, :kept]]))
    node = torch.arange(SEEN + kept)
    half = SEEN + kept // 2
    joined = make_graph(matrix)
    return replace(
        joined,
        x=torch.cat([first.x, second.x[:kept]]),
        y=torch.cat([first.y, second.y[:kept]]),
        splits=(Split(node < SEEN, (node >= SEEN) & (node < half), node >= half),),
        inductive=True,
    ).validate()


def fitted(graph: Graph, model: ModelConfig, folder: Path, **settings: object) -> tuple[Trainer, Records]:
    config = make_config(model, **{"num_parts": 5, "batch_parts": 2, "epochs": 3, "partitioner__name": "random", **settings})
    problem = prepare(config, graph=graph)
    trainer = make_trainer(config, problem, folder)
    records = Records()
    trainer.fit(records)
    return trainer, records


def learned(trainer: Trainer, records: Records) -> dict[str, Any]:
    """All that training computes: no metric of the graphs for evaluation, which choose the best epoch."""
    state = {key: value for key, value in trainer.state_dict().items() if key in ("model", "optimizer", "history", "rng")}
    return state | {"epochs": [{key: record[key] for key in ("loss", "step", "train")} for record in records]}


@pytest.mark.parametrize("settings", [{"history__refresh": 1}, {"history__refresh": None}, {"method": "full_batch"}], ids=str)
@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)
def test_other_evaluation_graphs_change_no_bit_of_the_training(model: ModelConfig, settings: dict[str, object], tmp_path: Path) -> None:
    """Their features, labels and edges, how many there are, and whether there are any."""
    whole = learned(*fitted(graphs_apart(), model, tmp_path / "whole", **settings))
    for other in (graphs_apart(seed=1), graphs_apart(kept=11), graphs_apart(kept=0)):
        assert differences(learned(*fitted(other, model, tmp_path / str(other.num_nodes), **settings)), whole) == []


def test_without_the_flag_batch_statistics_see_the_evaluation_graphs(tmp_path: Path) -> None:
    """What the flag is for; and that the comparison above can fail."""
    one, other = (
        learned(*fitted(replace(graph, inductive=False), MODELS[0], tmp_path / str(number)))
        for number, graph in enumerate((graphs_apart(), graphs_apart(seed=1)))
    )
    assert differences(one["model"], other["model"])


def test_the_evaluation_is_that_of_full_batch_on_the_whole_graph(tmp_path: Path) -> None:
    graph = graphs_apart()
    trainer, records = fitted(graph, MODELS[0], tmp_path)
    whole = make_problem(graph, 1, MODELS[0])
    batch = BatchBuilder(whole.graph, whole.adj, whole.partition, whole.graph.splits[0], trainer.model.num_layers).build([0])
    network = trainer.model.eval()
    with torch.no_grad():
        scores = in_original_order(whole, forward(network, batch, Alone(), Noise.off()))
    torch.testing.assert_close(in_original_order(trainer.problem, trainer.evaluator.exact()), scores, rtol=1e-4, atol=1e-5)
    test = graph.splits[0].test
    assert records[-1]["test"] == pytest.approx(float((scores[test].argmax(1) == graph.y[test]).float().mean()))


def test_histories_and_ages_are_those_of_the_training_nodes(tmp_path: Path) -> None:
    trainer, _ = fitted(graphs_apart(), MODELS[0], tmp_path, history__refresh=1)
    store, problem = trainer.histories, trainer.problem
    assert store is not None and (store.num_nodes, store.part_ptr.tolist()[-1]) == (SEEN, SEEN)
    assert (problem.train_parts, store.ages.written_at.numel()) == (5, 5) and problem.partition.num_parts == 8
    assert sorted(problem.partition.node_perm[:SEEN].tolist()) == list(range(SEEN))
    assert {part for group in trainer.epochs.groups(trainer.progress.epoch) for part in group} == set(range(5))
    assert problem.evaluation_groups(2) == [[0, 1], [2, 3], [4], [5, 6], [7]]  # all parts, none mixed


def test_evaluation_from_histories_that_nobody_keeps_is_refused() -> None:
    with pytest.raises(UserError, match=r"evaluation.mode=history is not valid for test: it is inductive.*evaluation.mode=exact"):
        prepare(make_config(MODELS[0], evaluation__mode="history"), graph=graphs_apart())


def test_an_edge_between_training_and_other_nodes_is_named() -> None:
    graph = graphs_apart()
    matrix = graph.adj.to_scipy().tolil()
    matrix[50, 3] = 1
    linked = make_graph(sp.csr_array(matrix), directed=True)
    with pytest.raises(
        UserError, match=r"is inductive and has the edge 3 -> 50 between a training node and another: expected no such edge"
    ):
        replace(graph, adj=linked.adj).validate()


def test_splits_that_train_on_different_nodes_are_refused() -> None:
    graph = graphs_apart()
    split = graph.splits[0]
    other = Split(torch.from_numpy(np.arange(SEEN + KEPT) < SEEN - 1), split.val, split.test)
    with pytest.raises(UserError, match="splits that train on different nodes"):
        replace(graph, splits=(split, other)).validate()
