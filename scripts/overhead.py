"""Overhead of the histories: their traffic against the computation, over the inter/intra-connectivity ratio of the batches.

    python -m scripts.overhead [--ratios 0 0.5 1 2 4] [--device cuda] [--nodes 4000 --intra 60 --hidden 256]

Random batches of --nodes nodes, with --intra edges for each, and a halo of `ratio` times as many nodes with as many edges for each.
Epochs run in turns with the synchronous exchange, the pipelined one, and one that moves nothing. A table and a figure; goes on where it
stopped.
"""

from __future__ import annotations

import argparse
import importlib.util
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

from gas_cli.errors import UserError
from scripts.lib.cells import Cells
from scripts.lib.command_line import MEASUREMENT, make_parser, run_script
from scripts.lib.report import write_report

TRAFFIC = "(pull + push) / compute, %"
COLUMNS = (
    "inter / intra",
    "halo / batch",
    "exchange",
    "ms per step",
    "overhead %",
    "pull ms",
    "push ms",
    "compute ms",
    TRAFFIC,
    "MiB per step",
)
FIGURE = "overhead.png"


def main() -> None:
    parser = make_parser(__doc__, *MEASUREMENT, name="overhead", device="auto")
    parser.add_argument("--ratios", nargs="+", type=float, default=[0, 0.25, 0.5, 1, 2, 4], help="edges to other batches per edge inside")
    parser.add_argument("--parts", type=int, default=8, help="batches per epoch, of one part each")
    parser.add_argument("--nodes", type=int, default=4000, help="nodes per batch")
    parser.add_argument("--intra", type=int, default=60, help="nodes of a batch that each of its own, and of its halo, sends to")
    parser.add_argument("--model", default="gin")
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--hidden", type=int, default=256)
    parser.add_argument("--repeats", type=int, default=9, help="timed epochs of each exchange, in turns")
    arguments = parser.parse_args()
    cells = Cells(arguments.work, arguments.report)
    check_ratios(arguments)
    settings = settings_of(arguments)
    measured = [cells.get(f"ratio-{ratio:g}", settings, partial(measure, arguments, ratio)) for ratio in arguments.ratios]
    rows = [row for cell in measured if cell is not None for row in rows_of(cell)]
    picture = [f"![Overhead over the inter/intra-connectivity ratio]({FIGURE})"] if draw(rows, arguments.out / FIGURE) else []
    write_report(arguments.out, "overhead", title(arguments), COLUMNS, rows, [*picture, *notes(arguments), cells.code_line])


def check_ratios(arguments: argparse.Namespace) -> None:
    most = arguments.parts - 1
    wrong = [ratio for ratio in arguments.ratios if not 0 <= ratio <= most]
    if wrong:
        raise UserError(f"--ratios {wrong[0]:g}: {arguments.parts} batches of equal size allow 0 to {most}. Use a larger --parts for more.")


def settings_of(arguments: argparse.Namespace) -> dict[str, Any]:
    names = ("parts", "nodes", "intra", "model", "layers", "hidden", "repeats", "device")
    return {name: getattr(arguments, name) for name in names}


def measure(arguments: argparse.Namespace, ratio: float) -> dict[str, Any]:
    """Milliseconds per step of each exchange, from epochs in turns, and what the batches are like."""
    from scripts.lib.exchange_timing import batch_counts, prepared, time_in_turns

    with tempfile.TemporaryDirectory() as folder:
        trainers = prepared(arguments, ratio, Path(folder))
        timed = time_in_turns(trainers, arguments.repeats)
        return {**batch_counts(trainers["synchronous"]), "timed": timed, "device": trainers["synchronous"].device.type}


def rows_of(cell: dict[str, Any]) -> list[dict[str, Any]]:
    """One line per exchange. On a GPU phases overlap, so there is only the overhead over the exchange that moves nothing."""
    return [
        {
            "inter / intra": round(cell["inter"] / cell["intra"], 3),
            "halo / batch": round(cell["halo"] / cell["targets"], 2),
            "exchange": name,
            "ms per step": round(timed["milliseconds"], 2),
            "overhead %": round(100 * timed["overhead"], 1),
            **(phases_of(timed) if cell["device"] == "cpu" else {}),
            "MiB per step": round(cell["bytes"] / 2**20, 1),
        }
        for name, timed in cell["timed"].items()
    ]


def phases_of(timed: dict[str, float]) -> dict[str, float]:
    milliseconds = {f"{phase} ms": round(timed[phase], 2) for phase in ("pull", "push", "compute")}
    return {**milliseconds, TRAFFIC: round(100 * timed["traffic"], 1)}


def title(arguments: argparse.Namespace) -> str:
    batch = f"{arguments.parts} batches of {arguments.nodes} nodes, {arguments.intra} edges each"
    return f"Overhead of the histories: {arguments.model}, {arguments.layers} x {arguments.hidden}, {batch}"


def notes(arguments: argparse.Namespace) -> list[str]:
    from gas_cli.training.assemble import pick_device

    said = [
        "Overhead: seconds of a step above those of the same step whose pulls return rows that are already there and whose pushes do "
        f"nothing; the median over {arguments.repeats} epochs of each exchange, in turns, of the ratio within a turn. Aggregating the "
        "halo's rows is computation, in all of them. MiB: rows pulled and pushed.",
    ]
    if pick_device(arguments.device).type == "cuda":
        return [*said, "Tables in pinned memory. Phases overlap on a GPU, so only whole steps are timed there."]
    return [
        *said,
        "On the CPU tables and computation share one memory and there are no streams, so the pipelined exchange is the synchronous one. "
        "What it takes is in the phases pull and push; the figure shows these, since the difference of whole steps is within the noise.",
    ]


def draw(rows: list[dict[str, Any]], path: Path) -> bool:
    """Overhead over the ratio, one line per exchange; on the CPU the share of the traffic, which is what it consists of there.

    False where matplotlib is not installed, or nothing was measured.
    """
    if not rows or importlib.util.find_spec("matplotlib") is None:
        print(f"No {path.name}: " + ("it needs pip install 'gas-cli[plots]'." if rows else "nothing was measured."))
        return False
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5, 3.2), layout="constrained")
    axes = figure.subplots()
    for name in dict.fromkeys(row["exchange"] for row in rows):
        points = [(row["inter / intra"], row.get(TRAFFIC, row["overhead %"])) for row in rows if row["exchange"] == name]
        axes.plot(*zip(*sorted(points), strict=True), marker="o", label=name)
    axes.set_xlabel("edges to other batches / edges inside")
    axes.set_ylabel("overhead of the histories, %")
    axes.set_ylim(bottom=min(0.0, *axes.get_ylim()))
    axes.grid(alpha=0.3)
    axes.legend()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110, format="png")
    return True


if __name__ == "__main__":
    run_script(main)
