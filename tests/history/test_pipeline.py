"""The pipelined exchange: its order of operations, and bitwise equality with the synchronous one."""

import copy

import pytest
import torch

from gas_cli.batch.builder import BatchBuilder
from gas_cli.config.history import HistoryConfig
from gas_cli.config.model import GCNConfig, GCNIIConfig
from gas_cli.history.exchange import Exchange, SynchronousExchange
from gas_cli.history.lanes import CudaLanes, InlineLanes, Lanes
from gas_cli.history.pipeline import PipelinedExchange, make_exchange
from gas_cli.history.store import HistoryStore
from gas_cli.model.registry import build_model
from gas_cli.ops.dropout import Noise
from gas_cli.partition.groups import epoch_groups
from gas_cli.train.drivers import forward
from tests.builders import make_graph, make_problem, random_adjacency
from tests.history.lanes import LateLanes

CPU = torch.device("cpu")
MODEL = GCNConfig(num_layers=3, hidden_channels=8)


def setup(model=MODEL, device=CPU, placement="host", dtype="float32"):
    problem = make_problem(make_graph(random_adjacency(80, 6, 0)), 8, model)
    builder = BatchBuilder(problem.graph, problem.adj, problem.partition, problem.graph.splits[0])
    network = build_model(model, problem.graph.num_features, 3, seed=0).to(device)
    store = HistoryStore(80, network.widths[1:], problem.partition.part_ptr, HistoryConfig(placement=placement, dtype=dtype), device)
    return builder, network, store


def train(builder, network, store, exchange: Exchange, epochs: int = 3, device=CPU) -> list[torch.Tensor]:
    """Several epochs of plain SGD with look-ahead; the loss of every step."""
    losses, step = [], 0
    for epoch in range(epochs):
        batches = [builder.build(group).to(device) for group in epoch_groups(8, 2, True, 0, epoch)]
        for batch, upcoming in zip(batches, [*batches[1:], None], strict=True):
            exchange.begin(batch, upcoming)
            loss = forward(network, batch, exchange, Noise(0, step)).square().mean()
            network.zero_grad()
            loss.backward()
            with torch.no_grad():
                for parameter in network.parameters():
                    parameter.sub_(0.1 * parameter.grad)
            exchange.end(step)
            losses.append(loss.detach())
            step += 1
        exchange.flush()
    return losses


def outcome(exchange_of, model=MODEL, device=CPU, **placement):
    """Losses, weights, tables and ages after training with the exchange that `exchange_of(store)` makes."""
    torch.manual_seed(0)
    builder, network, store = setup(model, device, **placement)
    losses = train(builder, network, store, exchange_of(store), device=device)
    state = [*losses, *network.parameters(), *store.tables, store.pushed_at]
    return [tensor.detach().cpu().clone() for tensor in state]


def equal(one, other) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("model", [MODEL, GCNIIConfig(num_layers=4, hidden_channels=6)], ids=["gcn", "gcnii"])
@pytest.mark.parametrize("lanes", [InlineLanes, LateLanes])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_equal_to_synchronous_bit_for_bit(lanes, model, dtype):
    reference = outcome(SynchronousExchange, model, dtype=dtype)
    assert equal(outcome(lambda store: PipelinedExchange(store, lanes()), model, dtype=dtype), reference)


class _Forgetful(LateLanes):
    """Drops one kind of order, to show that the test above would notice."""

    def __init__(self, drop: str) -> None:
        super().__init__()
        self.drop = drop

    def submit(self, lane, operation, after, reads, label):
        return super().submit(lane, operation, [] if self.drop == "after" else after, reads, label)

    def wait(self, mark, result, label):
        if self.drop != "wait":
            super().wait(mark, result, label)


@pytest.mark.parametrize("drop", ["after", "wait"])
def test_a_missing_order_would_be_noticed(drop):
    reference = outcome(SynchronousExchange)
    assert not equal(outcome(lambda store: PipelinedExchange(store, _Forgetful(drop))), reference)


def test_operations_follow_the_plan():
    """Two steps of a 3-layer model: pulls for step 2 are issued right behind the pushes of step 1, and step 2 only waits."""
    builder, network, store = setup()
    lanes = InlineLanes()
    exchange = PipelinedExchange(store, lanes)
    first, second = builder.build([0, 1]), builder.build([2, 3])
    for step, (batch, upcoming) in enumerate([(first, second), (second, None)]):
        exchange.begin(batch, upcoming)
        forward(network, batch, exchange, Noise(0, step))
        exchange.end(step)
    exchange.flush()
    assert lanes.journal == [
        "pull layer 1", "pull layer 2",  # step 1: nobody issued its pulls ahead
        "push layer 1", "pull layer 1", "wait layer 1",  # the pull is that of step 2
        "push layer 2", "pull layer 2", "wait layer 2",
        "push layer 1", "wait layer 1",  # step 2: rows are there or on their way
        "push layer 2", "wait layer 2",
        "drain",
    ]  # fmt: skip


def test_rows_read_ahead_for_another_batch_are_not_used():
    builder, network, store = setup()
    exchange = PipelinedExchange(store, LateLanes())
    batches = [builder.build([part]) for part in range(3)]
    exchange.begin(batches[0], batches[1])
    forward(network, batches[0], exchange, Noise.off())
    exchange.begin(batches[2], None)
    exchange.push(1, torch.zeros(batches[2].block.num_targets, 8))
    pulled = exchange.pull(1)
    exchange.flush()
    assert torch.equal(pulled, store.pull(1, batches[2].halo))


def test_without_cuda_the_exchange_is_synchronous():
    _, _, store = setup()
    assert isinstance(make_exchange(store, pipeline=True), SynchronousExchange)


@pytest.mark.gpu
@pytest.mark.parametrize("delay", [0, 2_000_000], ids=["prompt", "delayed"])
@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
@pytest.mark.parametrize("model", [MODEL, GCNIIConfig(num_layers=4, hidden_channels=6)], ids=["gcn", "gcnii"])
def test_equal_to_synchronous_on_cuda_with_delayed_copies(delay, dtype, model):
    cuda = torch.device("cuda")

    def pipelined(store: HistoryStore) -> Exchange:
        lanes: Lanes = CudaLanes(cuda, delay_cycles=delay)
        return PipelinedExchange(store, lanes)

    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        reference = outcome(SynchronousExchange, copy.deepcopy(model), cuda, placement="pinned", dtype=dtype)
        assert equal(outcome(pipelined, copy.deepcopy(model), cuda, placement="pinned", dtype=dtype), reference)
        assert equal(outcome(SynchronousExchange, copy.deepcopy(model), cuda, placement="device", dtype=dtype), reference)
    finally:
        torch.use_deterministic_algorithms(False)
