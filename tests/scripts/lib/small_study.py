"""A study of three short runs on a tiny generated graph, one of which cannot work; run by test_study.py as a user would."""

from __future__ import annotations

from scripts.lib.command_line import STUDY, make_parser, run_script
from scripts.lib.report import write_report
from scripts.lib.study import Trial, codes, run_trials

GRAPH = ("dataset=generated", "dataset.num_nodes=60", "partitioner.num_parts=3", "trainer.batch_parts=1", "~tuned")
TRIALS = [
    Trial("first", (*GRAPH, "trainer.epochs=6", "trainer.checkpoint_every=2", "seed=1")),
    Trial("impossible", (*GRAPH, "dataset.split=7")),
    Trial("second", (*GRAPH, "trainer.epochs=2", "seed=2")),
]


def main() -> None:
    arguments = make_parser(__doc__, *STUDY, name="small").parse_args()
    summaries = run_trials(TRIALS, arguments)
    rows = [{"trial": name, "test": summary["test"]} for name, summary in summaries.items()]
    write_report(arguments.out, "small", "Small", ("trial", "test"), rows, [f"Code: {', '.join(codes(arguments.work, summaries))}."])


if __name__ == "__main__":
    run_script(main)
