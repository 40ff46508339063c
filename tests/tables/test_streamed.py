"""GAS on tables of every kind: bitwise equality with tables in memory, whenever the copies run; and the plan that hides them."""

import copy

import pytest
import torch

from gas_cli.batch.batch import Rows
from gas_cli.batch.builder import BatchBuilder
from gas_cli.config.history import HistoryConfig
from gas_cli.config.model import GCNConfig, GCNIIConfig
from gas_cli.method.gas import GASLink
from gas_cli.model.registry import build_model
from gas_cli.ops.dropout import Noise
from gas_cli.partition.groups import epoch_groups
from gas_cli.passes.drivers import forward
from gas_cli.tables.histories import Histories, make_histories
from gas_cli.tables.memory import MemoryTable
from gas_cli.tables.pinned import pinned_gather
from gas_cli.tables.streamed import StreamedTable
from gas_cli.tables.streams import CudaStreams
from tests.builders import make_graph, make_problem, random_adjacency, rows_of
from tests.tables.kinds import KINDS, histories, streamed
from tests.tables.streams import InlineStreams, LateStreams

CPU = torch.device("cpu")
MODEL = GCNConfig(num_layers=3, hidden_channels=8)
PTR = torch.arange(0, 81, 10)


def setup(model=MODEL, device=CPU):
    problem = make_problem(make_graph(random_adjacency(80, 6, 0)), 8, model)
    builder = BatchBuilder(problem.graph, problem.adj, problem.partition, problem.graph.splits[0], model.num_layers)
    return builder, build_model(model, problem.graph.num_features, 3, seed=0).to(device), problem.partition.part_ptr


def train(builder, network, link, epochs: int = 3, device=CPU) -> list[torch.Tensor]:
    """Several epochs of plain SGD with look-ahead; the loss of every step."""
    losses, step = [], 0
    for epoch in range(epochs):
        batches = [builder.build(group).to(device) for group in epoch_groups(8, 2, True, 0, epoch)]
        for batch, upcoming in zip(batches, [*batches[1:], None], strict=True):
            link.begin(batch, upcoming)
            loss = forward(network, batch, link, Noise(0, step)).square().mean()
            network.zero_grad()
            loss.backward()
            with torch.no_grad():
                for parameter in network.parameters():
                    parameter.sub_(0.1 * parameter.grad)
            link.end(step)
            losses.append(loss.detach())
            step += 1
        link.flush()
    return losses


def outcome(make, model=MODEL, device=CPU):
    """Losses, weights, tables and ages after training on the histories that `make(widths, part_ptr)` gives."""
    torch.manual_seed(0)
    builder, network, part_ptr = setup(model, device)
    kept = make(network.widths[1:], part_ptr)
    losses = train(builder, network, GASLink(kept), device=device)
    state = [*losses, *network.parameters(), *rows_of(kept), kept.ages.written_at]
    return [tensor.detach().cpu().clone() for tensor in state]


def of_kind(kind, dtype=torch.float32):
    return lambda widths, part_ptr: histories(kind, 80, widths, part_ptr, dtype)


def equal(one, other) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("model", [MODEL, GCNIIConfig(num_layers=4, hidden_channels=6)], ids=["gcn", "gcnii"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["float32", "bfloat16"])
def test_equal_to_memory_bit_for_bit(kind, model, dtype):
    assert equal(outcome(of_kind(kind, dtype), model), outcome(of_kind("memory", dtype), model))


class _Forgetful(LateStreams):
    """Drops one kind of order, to show that the test above would notice."""

    def __init__(self, drop: str) -> None:
        super().__init__()
        self.drop = drop

    def submit(self, stream, operation, after, reads, label):
        return super().submit(stream, operation, [] if self.drop == "after" else after, reads, label)

    def wait(self, mark, result, label):
        if self.drop != "wait":
            super().wait(mark, result, label)


@pytest.mark.parametrize("drop", ["after", "wait"])
def test_a_missing_order_would_be_noticed(drop):
    def forgetful(widths, part_ptr):
        return Histories([streamed(_Forgetful(drop), 80, width) for width in widths], part_ptr, torch.float32, "late")

    assert not equal(outcome(forgetful), outcome(of_kind("memory")))


def test_operations_follow_the_plan():
    """Two steps of a 3-layer model: reads for step 2 are issued right behind the writes of step 1, and step 2 only waits."""
    builder, network, part_ptr = setup()
    streams = InlineStreams()
    tables = [StreamedTable(torch.zeros(80, 8), lambda where: torch.zeros(len(where), 8), streams, f"layer {layer}") for layer in (1, 2)]
    link = GASLink(Histories(tables, part_ptr, torch.float32, "inline"))
    first, second = builder.build([0, 1]), builder.build([2, 3])
    for step, (batch, upcoming) in enumerate([(first, second), (second, None)]):
        link.begin(batch, upcoming)
        forward(network, batch, link, Noise(0, step))
        link.end(step)
    link.flush()
    assert streams.journal == [
        "read layer 1", "read layer 2",  # step 1: nobody issued its reads ahead
        "write layer 1", "read layer 1", "wait layer 1",  # the read is that of step 2
        "write layer 2", "read layer 2", "wait layer 2",
        "write layer 1", "wait layer 1",  # step 2: rows are there or on their way
        "write layer 2", "wait layer 2",
        "drain", "drain",
    ]  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_rows_read_ahead_for_another_batch_are_not_used(kind):
    builder, network, part_ptr = setup()
    kept = histories(kind, 80, network.widths[1:], part_ptr)
    link = GASLink(kept)
    batches = [builder.build([part]) for part in range(3)]
    link.begin(batches[0], batches[1])
    forward(network, batches[0], link, Noise.off())
    link.begin(batches[2], None)
    rows: Rows = link.between(1, torch.zeros(batches[2].blocks[-1].num_targets, 8))
    halo = rows.halo.clone()
    link.flush()
    assert halo.any() and torch.equal(halo, kept[1].read(batches[2].blocks[1].halo).wait())


def test_without_cuda_tables_lie_in_memory():
    assert all(isinstance(table, MemoryTable) for table in make_histories((8, 8), PTR, HistoryConfig(pipeline=True), CPU))


@pytest.mark.gpu
@pytest.mark.parametrize("delay", [0, 2_000_000], ids=["prompt", "delayed"])
@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
@pytest.mark.parametrize("model", [MODEL, GCNIIConfig(num_layers=4, hidden_channels=6)], ids=["gcn", "gcnii"])
def test_equal_to_synchronous_on_cuda_with_delayed_copies(delay, dtype, model):
    cuda = torch.device("cuda", 0)

    def placed(**config):
        return lambda widths, part_ptr: make_histories(widths, part_ptr, HistoryConfig(dtype=dtype, **config), cuda)

    def pipelined(widths, part_ptr):
        kept, streams = placed(placement="pinned", pipeline=False)(widths, part_ptr), CudaStreams(cuda, delay_cycles=delay)
        return kept.map(lambda table: StreamedTable(table.state(), pinned_gather(table.state(), cuda), streams, "layer"))

    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        reference = outcome(placed(placement="pinned", pipeline=False), copy.deepcopy(model), cuda)
        assert equal(outcome(pipelined, copy.deepcopy(model), cuda), reference)
        assert equal(outcome(placed(placement="device"), copy.deepcopy(model), cuda), reference)
    finally:
        torch.use_deterministic_algorithms(False)
