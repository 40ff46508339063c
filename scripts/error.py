"""How far histories and mini-batches are from the exact embeddings, by depth: errors per layer over the epochs, and their caps.

    python -m scripts.error --root DIR [--models gcn gcnii appnp] [--depths 2 4 8 16 32 64] [--dataset cora] [--epochs 200] [--every 10]

Trains with the published settings of the pair but for the depth, with the monitor on, and never refreshes a history: after a refresh there
would be nothing to see. Without dropout, so that the error of a history comes only from its age (docs/error-monitor.md).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from scripts.lib.command_line import STUDY, add_choices, make_parser, run_script
from scripts.lib.report import write_report
from scripts.lib.study import Trial, at_hand, codes, run_trials

MODELS = ("gcn", "gcnii", "appnp")
DEPTHS = (2, 4, 8, 16, 32, 64)
COLUMNS = (
    "model", "layers", "test", "history error", "staleness", "closeness", "closeness of scores",
    "cap / closeness", "above cap", "gradient bias",
)  # fmt: skip
QUANTITIES = {"closeness": "closeness e", "staleness": "staleness s", "cap": "cap of e"}
SHOWN_LAYERS = 8
"""Lines in one panel; of more layers these many are drawn, the first and the last among them."""


def main() -> None:
    parser = make_parser(__doc__, *STUDY, name="error")
    add_choices(parser, "--models", MODELS)
    parser.add_argument("--depths", nargs="+", type=int, default=list(DEPTHS), help="message-passing layers")
    parser.add_argument("--dataset", default="cora", help="any name of the group dataset; generated needs no files")
    parser.add_argument("--epochs", type=int, default=200)
    parser.add_argument("--every", type=int, default=10, help="epochs between two measurements")
    arguments = parser.parse_args()
    if not at_hand([arguments.dataset], arguments):
        return
    wanted = {
        (model, depth): trial(model, depth, arguments.dataset, arguments.epochs, arguments.every)
        for depth in arguments.depths
        for model in arguments.models
    }
    summaries = run_trials(list(wanted.values()), arguments)
    done = {key: monitored(arguments.work / t.name) for key, t in wanted.items() if t.name in summaries}
    rows = [row(*key, summaries[wanted[key].name]["test"], records[-1]["monitor"]) for key, records in sorted(done.items()) if records]
    arguments.out.mkdir(parents=True, exist_ok=True)
    pictures = [name for model in arguments.models if (name := draw(arguments.out, model, done))]
    notes = (
        f"{arguments.dataset}, {arguments.epochs} epochs, no refresh, no dropout; errors of the last measured epoch. `test` in %. Errors "
        "of the last layer's inputs are means over nodes, in % of the mean norm; `cap / closeness` compares means over the scores; "
        "`above cap` counts nodes and layers, and has to be 0; `gradient bias` is ‖mean of batch gradients − full gradient‖ over "
        "‖full gradient‖.",
        *(f"![Errors per layer over the epochs]({name})" for name in pictures),
        f"Code: {', '.join(codes(arguments.work, summaries))}.",
    )
    curves = {f"{model}-{depth}": series(points(records)) for (model, depth), records in done.items()}
    write_report(arguments.out, "error", "Errors of histories by depth", COLUMNS, rows, notes, curves=curves)


def trial(model: str, depth: int, dataset: str, epochs: int, every: int) -> Trial:
    settings = (
        f"dataset={dataset}",
        f"model={model}",
        f"model.num_layers={depth}",
        "model.dropout=0",
        "history.refresh=null",
        f"trainer.epochs={epochs}",
        "trainer.checkpoint_every=50",
        f"evaluation.monitor={every}",
    )
    return Trial(f"{dataset}-{model}-{depth}", settings)


def monitored(folder: Path) -> list[dict[str, Any]]:
    """The epochs in which a run was measured."""
    records = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [record for record in records if record.get("monitor")]


def row(model: str, depth: int, test: float, monitor: dict[str, Any]) -> dict[str, Any]:
    last = monitor["layers"][-1] if monitor["layers"] else None
    scores = monitor["scores"]
    return {
        "model": model,
        "layers": depth,
        "test": f"{100 * test:.2f}",
        **{name: percent(relative(last, key)) for name, key in (("history error", "history_error"), ("staleness", "staleness"))},
        "closeness": percent(relative(last, "closeness")),
        "closeness of scores": percent(relative(scores, "closeness")),
        "cap / closeness": ratio(scores["cap"]["mean"], scores["closeness"]["mean"]),
        "above cap": sum(part["cap"]["exceeded"] for part in (*monitor["layers"], scores)),
        "gradient bias": monitor["gradient"]["total"],
    }


def relative(part: dict[str, Any] | None, quantity: str) -> float | None:
    """The mean of a quantity in units of the mean norm; None where either is not a number, or there is nothing to divide by."""
    if part is None or not part["norm"]["mean"] or part.get(quantity, {}).get("mean") is None:
        return None
    return float(part[quantity]["mean"] / part["norm"]["mean"])


def percent(value: float | None) -> str | None:
    return None if value is None else f"{100 * value:.3g}"


def ratio(one: float | None, other: float | None) -> str | None:
    return f"{one / other:.3g}" if one is not None and other else None


def points(records: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """What the figures show: per epoch and layer the means in units of the mean norm; layer L stands for the scores."""
    for record in records:
        measured = record["monitor"]
        for layer, part in enumerate([*measured["layers"], measured["scores"]], start=1):
            yield {"epoch": record["epoch"], "layer": layer, **{name: relative(part, name) for name in ("history_error", *QUANTITIES)}}


def series(found: Iterable[dict[str, Any]]) -> dict[str, dict[str, str]]:
    """The same for a file: per layer the values of each quantity over the epochs, to four digits, in one line each."""
    lines: dict[str, dict[str, list[str]]] = {}
    for point in found:
        layer = lines.setdefault(f"layer {point['layer']}", {})
        for name in ("epoch", "history_error", *QUANTITIES):
            layer.setdefault(name, []).append("–" if point[name] is None else f"{point[name]:.4g}")
    return {layer: {name: " ".join(values) for name, values in quantities.items()} for layer, quantities in lines.items()}


def draw(out: Path, model: str, done: dict[tuple[str, int], list[dict[str, Any]]]) -> str | None:
    """One figure per model, a row per depth: closeness, staleness and cap of every layer over the epochs. Its name; None without plots."""
    depths = sorted(depth for name, depth in done if name == model and depth > 1 and done[name, depth])
    try:
        from matplotlib.figure import Figure
    except ImportError:
        print("No figures: they need an extra, pip install 'gas-cli[plots]'.")
        return None
    if not depths:
        return None
    figure = Figure(figsize=(11, 2.6 * len(depths)), layout="constrained")
    panels = figure.subplots(len(depths), len(QUANTITIES), squeeze=False, sharex=True)
    for depth, line in zip(depths, panels, strict=True):
        curves = list(points(done[model, depth]))
        for axes, (quantity, title) in zip(line, QUANTITIES.items(), strict=True):
            draw_panel(axes, curves, quantity, f"{model}, {depth} layers: {title} / norm")
        line[0].sharey(line[-1])  # an error next to its cap
        line[-1].autoscale(axis="y")
        drawn = {str(curve.get_label()): curve for axes in (line[1], line[-1]) for curve in axes.lines}
        line[-1].legend(drawn.values(), drawn.keys(), loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize=7)
    for axes in panels[-1]:
        axes.set_xlabel("epoch")
    name = f"error-{model}.png"
    figure.savefig(out / name, dpi=100, format="png")
    return name


def draw_panel(axes: Any, curves: Sequence[dict[str, Any]], quantity: str, title: str) -> None:
    """One line per layer. Zeros (layer 1 is exact) have no place on a logarithmic axis, and are left out."""
    layers = sorted({point["layer"] for point in curves})
    for layer in chosen(layers):
        line = [(point["epoch"], point[quantity]) for point in curves if point["layer"] == layer and (point[quantity] or 0) > 1e-6]
        if line:
            label = "scores" if layer == layers[-1] else f"layer {layer}"
            axes.plot(*zip(*line, strict=True), label=label, color=(layer / len(layers), 0.2, 1 - layer / len(layers)))
    from matplotlib.ticker import FormatStrFormatter, LogLocator, NullFormatter

    axes.set_title(title, fontsize=9)
    axes.grid(alpha=0.3)
    if axes.lines:
        axes.set_yscale("log")
        low, high = axes.get_ylim()
        axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 3.0) if high < 1e4 * low else (1.0,)))
        axes.yaxis.set_major_formatter(FormatStrFormatter("%g"))
        axes.yaxis.set_minor_formatter(NullFormatter())


def chosen(layers: Sequence[int]) -> list[int]:
    """At most `SHOWN_LAYERS` of them, evenly apart."""
    if len(layers) <= SHOWN_LAYERS:
        return list(layers)
    return [layers[round(k * (len(layers) - 1) / (SHOWN_LAYERS - 1))] for k in range(SHOWN_LAYERS)]


if __name__ == "__main__":
    run_script(main)
