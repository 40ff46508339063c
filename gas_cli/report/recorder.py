"""Where the metrics of an epoch go: one interface, and the file that is always written."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gas_cli.errors import UserError
from gas_cli.files import write_atomically
from gas_cli.report.summary import plain


class Recorder(ABC):
    """Receives one record per epoch: at least `epoch` and `loss`; `train`, `val` and `test` where evaluated; `seconds` by phase."""

    @abstractmethod
    def epoch(self, record: Mapping[str, Any]) -> None: ...

    @abstractmethod
    def close(self) -> None: ...


class Recorders(Recorder):
    """Several recorders as one, in order."""

    def __init__(self, recorders: Sequence[Recorder]) -> None:
        self.recorders = list(recorders)

    def epoch(self, record: Mapping[str, Any]) -> None:
        for recorder in self.recorders:
            recorder.epoch(record)

    def close(self) -> None:
        for recorder in self.recorders:
            recorder.close()


class JsonlRecorder(Recorder):
    """One strict JSON object per line, flushed, so that a killed run keeps every epoch it finished.

    `after` is the epoch a run continues from (0 for a new one): lines of later epochs, and a line that was cut short, are dropped.
    """

    def __init__(self, path: Path, after: int = 0) -> None:
        self.path = path
        if path.exists():
            truncate_after(path, after)
        self._file = path.open("a", encoding="utf-8")

    def epoch(self, record: Mapping[str, Any]) -> None:
        self._file.write(json.dumps(plain(record)) + "\n")
        self._file.flush()

    def close(self) -> None:
        self._file.close()


def truncate_after(path: Path, epoch: int) -> None:
    """Keep the records up to and including `epoch`; atomic. Whatever follows the first unreadable line is dropped as well."""
    kept = [record for record in read_metrics(path) if record["epoch"] <= epoch]
    write_atomically(path, "".join(json.dumps(record) + "\n" for record in kept))


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """The records of a metrics.jsonl, up to a last line that a crash may have cut short. Raises `UserError` for a missing file."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise UserError(f"Cannot read {path}: {error.strerror}.") from error
    records: list[dict[str, Any]] = []
    for line in lines:
        try:
            record = json.loads(line)
        except ValueError:
            break
        if not isinstance(record, dict) or "epoch" not in record:
            break
        records.append(record)
    return records
