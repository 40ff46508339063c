"""What the training steps of an epoch cost: seconds of the processor, of several trainings in turns, and bytes of the largest step."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch

from gas_cli.config.compose import compose_config
from gas_cli.run import prepare
from gas_cli.training.assemble import make_trainer
from gas_cli.training.trainer import Trainer
from scripts.lib.live_bytes import LiveBytes


def measure(variants: Mapping[str, Sequence[str]], rounds: int) -> dict[str, dict[str, float]]:
    """`seconds` of an epoch, the least of `rounds` after one of warm-up, and `step_bytes`, for the settings of each variant.

    One thread builds the batches and runs the steps, so that its processor time is all that an epoch takes, and other work on the machine
    disturbs it little.
    """
    torch.set_num_threads(1)
    with ExitStack() as stack:
        trainers = {}
        for name, settings in variants.items():
            config = compose_config([*settings, "trainer.prefetch=0"])
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            trainers[name] = make_trainer(config, prepare(config), folder)
        seconds = {name: float("inf") for name in variants}
        for number in range(rounds + 1):
            for name, trainer in trainers.items():
                taken = epoch_seconds(trainer)
                seconds[name] = seconds[name] if number == 0 else min(seconds[name], taken)
        return {name: {"seconds": seconds[name], "step_bytes": step_bytes(trainer)} for name, trainer in trainers.items()}


def epoch_seconds(trainer: Trainer) -> float:
    """Processor seconds of this thread for the next epoch."""
    started = time.thread_time()
    trainer.train_epoch()
    taken = time.thread_time() - started
    trainer.progress.next_epoch()
    return taken


def step_bytes(trainer: Any) -> int:
    """The largest peak of a step's tensors in an epoch; what trainer, graph and tables hold before it is not counted, the batch is."""
    peak = 0
    trainer.model.train()
    groups = trainer.epochs.groups(trainer.progress.epoch)
    for batch, upcoming in trainer.epochs.batches(trainer.progress.epoch, 0):
        with LiveBytes() as counted:
            counted.ignore([table.state() for tables in trainer.method.tables.values() for table in tables])
            counted.live = batch.nbytes
            counted.restart()
            trainer._train_step(batch, upcoming, len(groups))
            peak = max(peak, counted.peak)
    trainer.link.flush()
    trainer.progress.next_epoch()
    return peak
