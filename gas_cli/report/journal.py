"""metrics.jsonl belongs to a checkpoint: which lines were there when it was written, and whether they still are."""

from __future__ import annotations

import hashlib
import json
import logging
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from gas_cli.errors import UserError

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Recorded:
    """The lines of epochs `first` … `first` + `lines` - 1, and the BLAKE2b hash of their bytes."""

    first: int = 1
    lines: int = 0
    digest: str = ""

    def state_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_state_dict(cls, saved: Any, epoch: int) -> Recorded:
        """The word of a checkpoint that has `epoch` in progress. Raises UserError where there is not a line for each epoch before."""
        types = {"first": int, "lines": int, "digest": str}
        fits = isinstance(saved, dict) and saved.keys() == types.keys() and all(type(saved[key]) is kind for key, kind in types.items())
        if not fits or saved["first"] < 1 or saved["lines"] < 0 or saved["first"] + saved["lines"] != epoch:
            found = f"{saved['lines']} lines from epoch {saved['first']} on" if fits else "nothing valid"
            raise UserError(
                f"the checkpoint says {found} of metrics.jsonl: expected one line for each epoch before {epoch}. "
                "It is damaged: restore an intact copy, or start the run again."
            )
        return cls(**saved)


def recorded_before(path: Path, recorded: Recorded) -> Recorded:
    """What of metrics.jsonl a run goes on from whose checkpoint says `recorded`. Changes nothing.

    Lines of later epochs may follow, and one that a crash cut short: a run was killed before its next checkpoint. A file that is gone is
    reported in the log, and the next one begins with `epoch`. Raises UserError where a line is missing, changed, doubled or unreadable.
    """
    epoch = recorded.first + recorded.lines  # in progress
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        if recorded.lines:
            log.warning("%s not found: tables and curves will not have the metrics of the epochs before %d.", path, epoch)
        return Recorded(first=epoch)
    except OSError as error:
        raise UserError(f"Cannot read {path}: {error.strerror}.") from error
    lines = content.splitlines(keepends=True)
    mine, later = lines[: recorded.lines], lines[recorded.lines :]
    if recorded.lines and _digest(b"".join(mine)) != recorded.digest:
        raise _refused(path, _what_is_wrong(mine, recorded), epoch)
    for number, line in enumerate(later):
        if line.endswith(b"\n") and _epoch_of(line) != epoch + number:
            raise _refused(path, f"line {recorded.lines + number + 1} is not the record of epoch {epoch + number}", epoch)
    return recorded


def _what_is_wrong(lines: list[bytes], recorded: Recorded) -> str:
    """The first line that shows by itself that it is wrong, else that one of them must be."""
    for number, line in enumerate(lines):
        if _epoch_of(line) != recorded.first + number:
            return f"line {number + 1} is not the record of epoch {recorded.first + number}"
    if len(lines) < recorded.lines:
        return f"it has {len(lines)} of {recorded.lines} lines"
    return f"one of its first {recorded.lines} lines has changed (the checksum differs)"


def _refused(path: Path, reason: str, epoch: int) -> UserError:
    return UserError(
        f"{path} was changed after the run wrote it: {reason}. Restore it, or move it away to continue from epoch {epoch} without it."
    )


def _epoch_of(line: bytes) -> int | None:
    """The number of the epoch that the line records; None for anything that is no record."""
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None
    epoch = record.get("epoch") if isinstance(record, dict) else None
    return epoch if type(epoch) is int else None


def _digest(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=16).hexdigest()
