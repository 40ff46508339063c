"""The tables of benchmarks.epoch_time."""

from __future__ import annotations

from typing import Any

from scripts.lib.report import Content, left_out, rounds_of

RATIOS = {"pyg": "to PyG on edge_index", "pyg-sparse-tensor": "to PyG on SparseTensor", "full_batch": "to our full batch"}
PHASES = ("batch", "pull", "compute", "push")


def table(content: Content) -> str:
    settings, rows = content["settings"], content["rows"]
    counts = [row["rounds"] for row in rows if "rounds" in row]
    lines = [
        "# Seconds per training epoch",
        "",
        f"{settings.get('device', 'cpu')}; medians of {rounds_of(counts) if counts else 'the rounds'} in turns (smallest to largest in "
        "brackets). Ratios are medians of the ratios within a round. Peak memory: of the process, dataset and libraries included; on "
        "CUDA, the allocator's. `batch` is the wait for batches (PyG's loaders: their work). PyG's models "
        "have the same layers and parameters, but for PNA: ours is the layer of the published GAS runs, PyG's its `PNAConv`.",
        "",
        f"| case | variant | seconds | {' | '.join(RATIOS.values())} | peak GiB | batch / pull / compute / push, % |",
        f"|---|---|---|{'---|' * len(RATIOS)}---|---|",
        *map(epoch_row, rows),
        *details(rows),
        *left_out(settings.get("missing", {})),
    ]
    return "\n".join(lines)


def epoch_row(row: dict[str, Any]) -> str:
    ratios = [f"{row[key]:.2f}x" if (key := f"ratio_to_{other}") in row else "–" for other in RATIOS]
    phases = row.get("phases")
    total = sum(phases.values()) if phases else 0
    shares = " / ".join(f"{100 * phases[name] / total:.1f}" if name in phases else "–" for name in PHASES) if phases else "–"
    spread = f"{row['seconds']:.4f} ({row['spread'][0]:.4f}–{row['spread'][1]:.4f})"
    name = row["case"] if "case" in row else row["graph"]
    return f"| {name} | {row['variant']} | {spread} | {' | '.join(ratios)} | {row['peak_memory'] / 2**30:.2f} | {shares} |"


def details(rows: list[dict[str, Any]]) -> list[str]:
    """What only ours can tell: preparation, batches, traffic, evaluation."""
    ours = [row for row in rows if "building" in row]
    if not ours:
        return []
    return [
        "",
        "Before and outside the epochs. METIS: in its own process, symmetrising included; the rest of the preparation: quality of the "
        "parts, node order, weights, and the loading of compiled kernels. Building: one epoch's batches, by themselves (in training a "
        "thread of its own does it ahead). Pulled and pushed: the histories' rows of an epoch, read and written once each; the share is "
        "that of the memory's measured bandwidth which the phases pull and push reach (on CUDA they overlap with the computation, so "
        "none is given). Evaluation: one exact pass over the graph, and one of the last layer from histories.",
        "",
        "| case | variant | METIS, s | rest, s | building, s | halo / targets | pulled + pushed, MiB | share of the bandwidth "
        "| exact evaluation, s | from histories, s |",
        "|---|---|---|---|---|---|---|---|---|---|",
        *map(detail_row, ours),
    ]


def detail_row(row: dict[str, Any]) -> str:
    moved, evaluation = row["pulled"] + row["pushed"], row["evaluation"]
    cells = [row["case"], row["variant"], f"{row['prepared']['metis']:.2f}", f"{row['prepared']['rest']:.2f}", f"{row['building']:.4f}"]
    cells += [f"{row['halo'] / row['targets']:.2f}", f"{moved / 2**20:.1f}" if moved else "–", traffic_share(row)]
    cells += [f"{evaluation[name]:.4f}" if name in evaluation else "–" for name in ("exact", "history")]
    return f"| {' | '.join(cells)} |"


def traffic_share(row: dict[str, Any]) -> str:
    """A row is read in one place and written in another: twice its bytes."""
    seconds = row["phases"]["pull"] + row["phases"]["push"]
    if not row.get("bandwidth") or seconds <= 0:
        return "–"
    return f"{100 * 2 * (row['pulled'] + row['pushed']) / seconds / row['bandwidth']:.0f} %"
