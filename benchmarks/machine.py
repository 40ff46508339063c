"""Where the results of the measurements are written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from gas_cli.report.machine import describe_machine, machine_line

RESULTS = Path(__file__).parent / "results"


def write(name: str, rows: list[dict[str, Any]], markdown: str, results: Path = RESULTS) -> None:
    """`<name>.json` with the machine and every row, and `<name>.md` for people."""
    results.mkdir(parents=True, exist_ok=True)
    machine = describe_machine()
    (results / f"{name}.json").write_text(json.dumps({"machine": machine, "rows": rows}, indent=1) + "\n")
    (results / f"{name}.md").write_text(f"{markdown}\n\n{machine_line(machine)}\n")
