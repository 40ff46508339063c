"""Metrics as TensorBoard event files (`logger=tensorboard`; an extra)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from gas_cli.errors import UserError
from gas_cli.report.recorder import Recorder


class TensorBoardRecorder(Recorder):
    """One scalar per number of the record; nested ones as `seconds/compute`. A continued run hides what it repeats.

    `after` is the epoch a run continues from. Raises `UserError` when the extra is not installed.
    """

    def __init__(self, folder: Path, after: int = 0) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise UserError("logger=tensorboard needs an extra: pip install 'gas-cli[tensorboard]', or use logger=null.") from error
        self._writer: Any = SummaryWriter(str(folder), purge_step=after + 1 if after else None)

    def epoch(self, record: Mapping[str, Any]) -> None:
        for name, value in _scalars(record):
            self._writer.add_scalar(name, value, int(record["epoch"]))
        self._writer.flush()

    def close(self) -> None:
        self._writer.close()


def _scalars(record: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, float]]:
    for key, value in record.items():
        if isinstance(value, Mapping):
            yield from _scalars(value, f"{prefix}{key}/")
        elif isinstance(value, int | float) and not isinstance(value, bool) and key != "epoch":
            yield prefix + key, float(value)
