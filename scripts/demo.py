"""Train on a generated community graph, with histories and with the full graph, and show both in one small table.

`make demo`, or `python -m scripts.demo [setting=value ...]` with settings of gas-train on top.
"""

from __future__ import annotations

import sys
from datetime import datetime
from pathlib import Path
from typing import Any

from gas_cli.cli.environment import prepare_process
from gas_cli.cli.train import command_line
from gas_cli.report.summary import read_summary
from gas_cli.report.table import markdown

METHODS = {"gas": "GAS", "full_batch": "full batch"}


def main(overrides: list[str]) -> int:
    """Run both methods; the exit code is that of the first one that fails."""
    root = Path("runs") / f"{datetime.now():%Y-%m-%d_%H-%M-%S.%f}-demo"
    for method, title in METHODS.items():
        print(f"\n{title}:", flush=True)
        code = command_line(["experiment=demo", f"method={method}", f"hydra.run.dir={root / method}", *overrides])
        if code:
            return code
    summaries = {title: read_summary(root / method / "summary.json") for method, title in METHODS.items()}
    print("\n" + markdown(["", *summaries], rows(summaries)))
    print(f"Runs: {', '.join(str(root / method) for method in METHODS)}")
    return 0


def rows(summaries: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """One row per quantity, one column per method."""
    quantities = {
        "validation": lambda s: _percent(s.get("val")),
        "test": lambda s: _percent(s.get("test")),
        "best epoch": lambda s: s.get("best_epoch"),
        "seconds per training epoch": lambda s: _number(s.get("seconds_per_epoch", {}).get("train"), "{:.3f}"),
        "parts": lambda s: (s.get("partition") or {}).get("num_parts"),
        "edge cut": lambda s: _percent((s.get("partition") or {}).get("edge_cut")),
        "halo ratio": lambda s: _number((s.get("partition") or {}).get("halo_ratio"), "{:.2f}"),
        "history memory": lambda s: _megabytes(s.get("history_bytes")),
    }
    return [{"": name, **{method: value(summary) for method, summary in summaries.items()}} for name, value in quantities.items()]


def _number(value: float | None, form: str) -> str | None:
    return None if value is None else form.format(value)


def _percent(value: float | None) -> str | None:
    return None if value is None else f"{100 * value:.2f} %"


def _megabytes(value: float | None) -> str | None:
    return None if value is None else f"{value / 1e6:.1f} MB"


if __name__ == "__main__":
    prepare_process()
    sys.exit(main(sys.argv[1:]))
