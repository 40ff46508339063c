"""Measurements that are kept one by one, so that a table goes on where it stopped; for studies that time or count instead of training."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from gas_cli.errors import UserError
from gas_cli.files import write_atomically


class Cells:
    """The measurements of one folder: `<name>.json` holds the settings of a cell, what was measured, and with which version of the code.

    `codes` are the versions behind all that `get` returned.
    """

    def __init__(self, work: Path, report_only: bool = False) -> None:
        self.work, self.report_only = work, report_only
        self.codes: set[str] = set()

    def get(self, name: str, settings: Mapping[str, Any], measure: Callable[[], dict[str, Any]]) -> dict[str, Any] | None:
        """The kept measurement `name`, else a new one; None where it is missing and only a report is wanted.

        Raises UserError where the kept one belongs to other settings.
        """
        from gas_cli.report.machine import code_version
        from gas_cli.report.summary import plain

        kept = self._read(name, settings)
        if kept is not None or self.report_only:
            return kept
        print(f"{name} ...", end=" ", flush=True)
        measured: dict[str, Any] = plain(measure())
        self.work.mkdir(parents=True, exist_ok=True)
        content = {"settings": plain(settings), "code": code_version(), "measured": measured}
        self.codes.add(content["code"])
        write_atomically(self._path(name), json.dumps(content, indent=1) + "\n")
        print("done", flush=True)
        return measured

    def _read(self, name: str, settings: Mapping[str, Any]) -> dict[str, Any] | None:
        from gas_cli.report.summary import plain

        try:
            content = json.loads(self._path(name).read_text())
            measured: dict[str, Any] = content["measured"]
            found, code = content["settings"], content["code"]
        except (OSError, ValueError, KeyError):  # not begun, or killed
            return None
        if found != plain(settings):
            raise UserError(f"{self._path(name)} was measured with other settings: remove it, or choose another folder with --work.")
        self.codes.add(code)
        return measured

    @property
    def code_line(self) -> str:
        """For the end of a report."""
        return f"Code: {', '.join(sorted(self.codes)) or 'nothing was measured'}."

    def _path(self, name: str) -> Path:
        return self.work / f"{name}.json"
