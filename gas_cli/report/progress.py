"""Progress of the epochs: a bar on a terminal, plain lines elsewhere (a job's log is no place for a bar)."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Mapping
from typing import Any

from gas_cli.config.metrics import SELECTABLE, record_key
from gas_cli.report.recorder import Recorder

SECONDS_BETWEEN_LINES = 10.0
SHOWN = ("loss", "train", "val", "test")
log = logging.getLogger(__name__)


class ProgressRecorder(Recorder):
    """Shows `loss`, `train`, `val` and `test`, and `val` of the metric of `evaluation.select`; a metric stays on display until it is
    measured again."""

    def __init__(self, total: int, start: int = 0, terminal: bool | None = None) -> None:
        self.total = total
        self._shown: dict[str, float] = {}
        self._bar = _bar(total, start) if (sys.stderr.isatty() if terminal is None else terminal) else None
        self._last_line = -SECONDS_BETWEEN_LINES

    def epoch(self, record: Mapping[str, Any]) -> None:
        selected = {name: record.get(record_key(name)) for name in SELECTABLE}
        self._shown |= {f"{name} val": of["val"] for name, of in selected.items() if of and of["val"] is not None}
        self._shown |= {key: record[key] for key in SHOWN if record.get(key) is not None}
        text = {key: f"{value:.4f}" for key, value in self._shown.items()}
        if self._bar is not None:
            self._bar.set_postfix(text, refresh=False)
            self._bar.update(int(record["epoch"]) - self._bar.n)
        elif self._due(int(record["epoch"])):
            log.info("epoch %d/%d  %s", record["epoch"], self.total, "  ".join(f"{key} {value}" for key, value in text.items()))

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()

    def _due(self, epoch: int) -> bool:
        """The first epoch, the last one, and one every few seconds."""
        now = time.monotonic()
        due = epoch == self.total or now - self._last_line >= SECONDS_BETWEEN_LINES
        if due:
            self._last_line = now
        return due


def _bar(total: int, start: int) -> Any:
    from tqdm import tqdm

    return tqdm(total=total, initial=start, unit="epoch", dynamic_ncols=True)
