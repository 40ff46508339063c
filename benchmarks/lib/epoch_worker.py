"""Trains epochs on request, for benchmarks.idle_threads.

    OMP_WAIT_POLICY=... python -P benchmarks/lib/epoch_worker.py SETTINGS EPOCHS

SETTINGS is a JSON list of settings of gas-train. For each line of input: trains EPOCHS epochs, prints the seconds of the wall clock.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import torch  # noqa: F401 - before gas_cli, which then leaves OMP_WAIT_POLICY as it is

from gas_cli.config.compose import compose_config
from gas_cli.run import prepare
from gas_cli.training.assemble import make_trainer


def main(settings: list[str], epochs: int) -> None:
    config = compose_config(settings)
    trainer = make_trainer(config, prepare(config), Path("/nonexistent"))
    for _ in sys.stdin:
        started = time.perf_counter()
        for _ in range(epochs):
            trainer.train_epoch()
            trainer.progress.next_epoch()
        print(time.perf_counter() - started, flush=True)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]), int(sys.argv[2]))
