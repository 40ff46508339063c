"""A shortcut taken back is really taken back, and changes nothing but the time."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from benchmarks import shortcuts
from benchmarks.lib import our_training
from gas_cli.batch import builder

SMALL = (
    "dataset=generated", "dataset.num_nodes=300", "dataset.average_degree=6", "dataset.num_features=8", "dataset.num_communities=4",
    "dataset.train_fraction=0.05", "partitioner.num_parts=6", "partitioner.cache=null", "trainer.batch_parts=2", "trainer.shuffle=false",
    "device=cpu", "model=gcn", "model.num_layers=2", "model.hidden_channels=16", "model.drop_input=false", "model.dropout=0",
)  # fmt: skip


def train(variant: str, monkeypatch: pytest.MonkeyPatch) -> tuple[Any, bool, int]:
    """The trainer after an epoch, whether its batches have sums of features, and how many had a loss block."""
    trainers: list[Any] = []
    blocks: list[Any] = []
    make, cut = our_training.make_trainer, builder.BatchBuilder.apply

    def keep(kept: list[Any], made: Any) -> Any:
        kept.append(made)
        return made

    monkeypatch.setattr(our_training, "make_trainer", lambda *given, **more: keep(trainers, make(*given, **more)))
    monkeypatch.setattr(builder.BatchBuilder, "apply", lambda *given: keep(blocks, (given[-1], cut(*given)))[1])
    shortcuts.epoch_of(variant, SMALL)()
    return (
        trainers[0],
        trainers[0].loader.builder.data.sums is not None,
        sum(derived is not whole for whole, derived in blocks),
    )


@pytest.mark.parametrize(
    ("variant", "summed", "blocks"),
    [(shortcuts.SHIPPED, True, 3), (shortcuts.SUMMED_EACH_STEP, False, 3), (shortcuts.WHOLE_LAST_LAYER, True, 0)],
)
def test_each_variant_does_without_one_shortcut(variant: str, summed: bool, blocks: int, monkeypatch: pytest.MonkeyPatch) -> None:
    shipped, *_ = train(shortcuts.SHIPPED, monkeypatch)
    trained, *found = train(variant, monkeypatch)
    assert found == [summed, blocks]
    for name, value in trained.model.state_dict().items():
        torch.testing.assert_close(value, shipped.model.state_dict()[name], atol=1e-5, rtol=1e-4)
