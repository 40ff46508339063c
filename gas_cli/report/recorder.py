"""Where the metrics of an epoch go: one interface, and the file that is always written."""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gas_cli.errors import UserError
from gas_cli.files import write_atomically
from gas_cli.report.journal import Recorded
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

    `before` is what a continued run goes on from: all that follows it in the file is dropped, everything for a new run. Raises `OSError`.
    """

    def __init__(self, path: Path, before: Recorded = Recorded()) -> None:  # noqa: B008  (it is frozen)
        kept = b"".join(path.read_bytes().splitlines(keepends=True)[: before.lines]) if before.lines else b""
        write_atomically(path, kept)
        self._first, self._lines, self._hash = before.first, before.lines, hashlib.blake2b(kept, digest_size=16)
        self._file = path.open("ab")

    def epoch(self, record: Mapping[str, Any]) -> None:
        line = (json.dumps(plain(record)) + "\n").encode()
        self._file.write(line)
        self._file.flush()
        self._hash.update(line)
        self._lines += 1

    def recorded(self) -> Recorded:
        """What is in the file by now: a checkpoint stores it."""
        return Recorded(self._first, self._lines, self._hash.hexdigest())

    def close(self) -> None:
        self._file.close()


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """The records of a metrics.jsonl, up to a last line that a crash may have cut short. Raises `UserError` for a missing file."""
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise UserError(f"Cannot read {path}: {error.strerror}.") from error
    records: list[dict[str, Any]] = []
    for line in lines:
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            break
        if not isinstance(record, dict) or type(record.get("epoch")) is not int:
            break
        records.append(record)
    return records
