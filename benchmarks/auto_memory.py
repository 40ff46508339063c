"""What `partitioner.num_parts=auto` takes for the memory of a training step, next to what the step takes.

    python -m benchmarks.auto_memory [--nodes 200000 500000] [--cases gcn sage gat gcnii] [--quick]

Generated graphs with 15 edges per node and 100 features, on the CPU. Each model trains for one step on the whole graph, as one part, and
for one step on one of 8 parts of METIS. Estimate: `Load.step` of gas_cli/partition/auto.py. Peak: the largest resident size of the process
during the step, libraries, graph and histories included; every step runs in a separate process; of several --rounds
the largest peak counts. Writes results/auto-memory.md and .json.
"""

from __future__ import annotations

import tempfile
from typing import Any

from benchmarks.lib.cases import MODELS
from benchmarks.lib.processes import Outcome, Task, in_process, parse
from scripts.lib.command_line import add_choices, make_parser, run_script
from scripts.lib.report import Content, write

MODULE = "benchmarks.auto_memory"
CASES = ("gcn", "sage", "gat", "gcnii")
GRAPH = ("dataset=generated", "dataset.average_degree=15", "dataset.num_features=100", "dataset.num_communities=40")
PARTS = (1, 8)
QUICK_NODES = 20_000


def main() -> None:
    parser = make_parser(__doc__, "--rounds", "--quick", "--out", rounds=1)
    parser.add_argument("--nodes", type=int, nargs="+", default=[200_000, 500_000])
    add_choices(parser, "--cases", CASES)
    arguments = parse(parser, work)
    if arguments.quick:
        arguments.nodes = [QUICK_NODES]
    with tempfile.TemporaryDirectory(prefix="gas-auto-") as cache:
        cases = [(nodes, model, parts) for nodes in arguments.nodes for model in arguments.cases for parts in PARTS]
        rows = [measure(*case, cache, arguments.rounds) for case in cases]
    write("auto-memory-quick" if arguments.quick else "auto-memory", rows, table, {}, arguments.out)


def measure(nodes: int, model: str, parts: int, cache: str, rounds: int) -> dict[str, Any]:
    settings = [*GRAPH, *MODELS[model], f"dataset.num_nodes={nodes}", f"partitioner.num_parts={parts}", f"partitioner.cache={cache}"]
    outcomes = [in_process(MODULE, {"settings": settings}) for _ in range(rounds)]
    return {"model": model, "nodes": nodes, "parts": parts, **max(outcomes, key=lambda outcome: outcome.get("peak", 0))}


def work(task: Task) -> Outcome:
    """One step of one of the parts, in this process. Bytes: the `estimate` of a step, and the `peak`."""
    import torch

    from benchmarks.lib.our_training import make_trainer
    from gas_cli.config.compose import compose_config
    from gas_cli.measure.memory import release_free_memory
    from gas_cli.run import prepare
    from gas_cli.training.parts import step_load

    config = compose_config([*task["settings"], "trainer.batch_parts=1", "trainer.max_steps=1", "device=cpu"])
    problem = prepare(config)
    trainer = make_trainer(config, problem)
    for history in trainer.histories or ():
        history.write([(0, history.num_rows)], torch.ones(history.num_rows, history.width))  # zeros never written take no memory
    release_free_memory()
    trainer.train_epoch()
    return {
        "estimate": step_load(config.model, problem.graph, config.device).step(config.partitioner.parts),
        "peak": trainer.memory.peaks["resident"]["train"],
    }


def table(content: Content) -> str:
    lines = [
        "# Memory of a step: estimated for num_parts=auto, and measured",
        "",
        "CPU; MiB, libraries, graph and histories included. Ratio: the estimate over the peak.",
        "",
        "| model | nodes | parts | estimate | peak | ratio |",
        "|---|---|---|---|---|---|",
    ]
    for row in content["rows"]:
        head = f"| {row['model']} | {row['nodes']:,} | {row['parts']} |"
        if "missing" in row:
            lines.append(f"{head} – | – | {row['missing']} |")
            continue
        lines.append(f"{head} {row['estimate'] / 2**20:,.0f} | {row['peak'] / 2**20:,.0f} | {row['estimate'] / row['peak']:.2f} |")
    return "\n".join(lines)


if __name__ == "__main__":
    run_script(main)
