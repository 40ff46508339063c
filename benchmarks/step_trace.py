"""What the streams of a GPU do during an epoch: computation, batches, pulls and pushes, and how much of the traffic is hidden.

    python -m benchmarks.step_trace [--out DIR] [--quick]

GCN 3x256 on a generated graph of four times ogbn-arxiv's size, histories in pinned memory, 20 of 80 parts in a step, shuffled. The
profiler's times of every kernel and copy are sorted by stream. Traffic is hidden while the computing stream is busy at the same time.
Needs a CUDA device.
Writes results/step-trace.json and .md, and the timeline of one epoch, step-trace.png.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.lib.cases import GRAPHS, MODELS
from scripts.lib.command_line import make_parser, run_script
from scripts.lib.report import Content, read, write

if TYPE_CHECKING:
    from gas_cli.training.trainer import Trainer

VARIANTS = {
    "pipelined, graph on the device": ("history.pipeline=true", "trainer.graph_on=device"),
    "pipelined, graph on the host": ("history.pipeline=true", "trainer.graph_on=host"),
    "synchronous, graph on the device": ("history.pipeline=false", "trainer.graph_on=device"),
}
COMPUTE, BATCH, PULL, PUSH = LANES = ("compute", "batch", "pull", "push")
WARM_UP = 3
MARK = "lane_of_"
"""A kernel with this name, launched once on each stream, tells the profiler's numbers of the streams."""
ON_DEVICE = ("kernel", "gpu_memcpy", "gpu_memset")

Interval = tuple[float, float]
"""Start and end, in milliseconds."""


def main() -> None:
    parser = make_parser(__doc__, "--out", "--quick", rounds=1)
    arguments = parser.parse_args()
    import torch

    if not torch.cuda.is_available():
        sys.exit("benchmarks.step_trace needs a CUDA device; there is none here.")
    nodes = (f"dataset.num_nodes={16_934 if arguments.quick else 4 * 169_343}", "trainer.batch_parts=20")
    rows = [{"variant": name, **summary(traced((*nodes, *overrides)))} for name, overrides in VARIANTS.items()]
    write("step-trace-quick" if arguments.quick else "step-trace", rows, table, {}, arguments.out)
    draw(read("step-trace-quick" if arguments.quick else "step-trace", arguments.out), arguments.out / "step-trace.png")


def traced(overrides: Iterable[str]) -> dict[str, list[Interval]]:
    """What each lane was busy with during one epoch, after some of warm-up."""
    import torch
    from torch.profiler import ProfilerActivity, profile

    from benchmarks.lib.our_training import make_trainer
    from gas_cli.config.compose import compose_config
    from gas_cli.run import prepare

    settings = [*GRAPHS["arxiv-size"], *MODELS["gcn"], "device=cuda", "history.placement=pinned", "evaluation.every=null", *overrides]
    config = compose_config(settings)
    trainer = make_trainer(config, prepare(config))
    for _ in range(WARM_UP):
        trainer.train_epoch()
        trainer.progress.next_epoch()
    torch.cuda.synchronize()
    with profile(activities=[ProfilerActivity.CUDA]) as profiler:
        mark_lanes(trainer)
        torch.cuda.synchronize()
        trainer.train_epoch()
        torch.cuda.synchronize()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trace.json"
        profiler.export_chrome_trace(str(path))
        return lanes_of(json.loads(path.read_text(encoding="utf-8"))["traceEvents"])


def mark_lanes(trainer: Trainer) -> None:
    """Launch a kernel that bears the lane's name on each of the trainer's streams."""
    import torch

    from gas_cli.ops.kernels.nvrtc import Kernel
    from gas_cli.tables.streamed import StreamedTable
    from gas_cli.tables.streams import CudaStreams

    streams: dict[str, Any] = {COMPUTE: torch.cuda.current_stream()}
    side = getattr(trainer.loader.builder, "side", None) or trainer.epochs.side
    if side is not None:
        streams[BATCH] = side.stream
    for table in trainer.histories or ():
        if isinstance(table, StreamedTable) and isinstance(table.streams, CudaStreams):
            streams |= {PULL: table.streams.streams["read"], PUSH: table.streams.streams["write"]}
    for lane, stream in streams.items():
        with torch.cuda.stream(stream):
            name = MARK + lane
            source = partial('extern "C" __global__ void {}(float* x) {{}}'.format, name)
            Kernel(source, name).launch(1, torch.zeros(1, device=trainer.device))


def lanes_of(events: Iterable[Mapping[str, Any]]) -> dict[str, list[Interval]]:
    """The busy intervals of each lane, merged, from the epoch's first one on; streams without a mark are left out."""
    found = [event for event in events if event.get("ph") == "X" and event.get("cat") in ON_DEVICE]
    names = {event["args"]["stream"]: event["name"].removeprefix(MARK) for event in found if event["name"].startswith(MARK)}
    marked = max(event["ts"] + event["dur"] for event in found if event["name"].startswith(MARK))
    work = [event for event in found if event["args"]["stream"] in names and event["ts"] >= marked]
    start = min(event["ts"] for event in work)
    lanes: dict[str, list[Interval]] = {lane: [] for lane in LANES if lane in names.values()}
    for event in sorted(work, key=lambda event: float(event["ts"])):
        first = (event["ts"] - start) / 1000
        lanes[names[event["args"]["stream"]]].append((first, first + event["dur"] / 1000))
    return {lane: merged(intervals) for lane, intervals in lanes.items()}


def merged(intervals: Iterable[Interval], gap: float = 0.002) -> list[Interval]:
    """Ascending intervals with those joined that overlap, or are at most `gap` apart."""
    result: list[Interval] = []
    for start, stop in intervals:
        if result and start <= result[-1][1] + gap:
            result[-1] = (result[-1][0], max(stop, result[-1][1]))
        else:
            result.append((start, stop))
    return result


def busy(intervals: Iterable[Interval]) -> float:
    return sum(stop - start for start, stop in intervals)


def shared(one: list[Interval], other: list[Interval]) -> float:
    """How long both are busy at the same time; each is ascending and disjoint."""
    total, i, j = 0.0, 0, 0
    while i < len(one) and j < len(other):
        total += max(0.0, min(one[i][1], other[j][1]) - max(one[i][0], other[j][0]))
        if one[i][1] < other[j][1]:
            i += 1
        else:
            j += 1
    return total


def summary(lanes: dict[str, list[Interval]]) -> dict[str, Any]:
    """Milliseconds of the epoch and of each lane, and the shares of the side lanes that the computation hides."""
    compute = lanes[COMPUTE]
    end = max(stop for intervals in lanes.values() for _, stop in intervals)
    side = {lane: intervals for lane, intervals in lanes.items() if lane != COMPUTE}
    return {
        "epoch": end,
        "busy": {lane: busy(intervals) for lane, intervals in lanes.items()},
        "hidden": {lane: shared(intervals, compute) / busy(intervals) for lane, intervals in side.items() if intervals},
        "lanes": lanes,
    }


def table(content: Content) -> str:
    lines = [
        "# The streams of one epoch on a GPU",
        "",
        "GCN 3x256, four times ogbn-arxiv's size, histories in pinned memory, four steps of 20 of 80 parts, shuffled; milliseconds by the "
        "profiler. "
        "In brackets: the share of a lane's time during which the computing stream is busy as well. Without the pipeline, pulls and pushes "
        "are the host's, and the computing stream waits for them. Picture: step-trace.png.",
        "",
        f"| variant | epoch | {' | '.join(LANES)} | computing stream idle |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in content["rows"]:
        cells = [row["variant"], f"{row['epoch']:.1f}", f"{row['busy'][COMPUTE]:.1f}"]
        for lane in LANES[1:]:
            hidden = f" ({100 * row['hidden'][lane]:.0f} %)" if lane in row["hidden"] else ""
            cells.append(f"{row['busy'][lane]:.1f}{hidden}" if lane in row["busy"] else "–")
        lines.append(f"| {' | '.join(cells)} | {100 * (1 - row['busy'][COMPUTE] / row['epoch']):.0f} % |")
    return "\n".join(lines)


def draw(content: Content, path: Path) -> None:
    """A timeline for each variant, one below the other, on one scale."""
    import matplotlib.pyplot as plt

    colours = {COMPUTE: "#444444", BATCH: "#2a7f62", PULL: "#1f5fa8", PUSH: "#c2571a"}
    rows = content["rows"]
    figure, axes = plt.subplots(len(rows), 1, figsize=(10, 1.5 * len(rows) + 0.6), sharex=True, squeeze=False)
    for axis, row in zip(axes[:, 0], rows, strict=True):
        for place, lane in enumerate(reversed(LANES)):
            intervals = row["lanes"].get(lane, [])
            axis.broken_barh([(start, stop - start) for start, stop in intervals], (place - 0.4, 0.8), color=colours[lane])
        axis.set_yticks(range(len(LANES)), list(reversed(LANES)))
        axis.set_title(row["variant"], loc="left", fontsize=9)
        axis.spines[["top", "right"]].set_visible(False)
    axes[-1, 0].set_xlabel("milliseconds since the epoch's first kernel")
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    plt.close(figure)


if __name__ == "__main__":
    run_script(main)
