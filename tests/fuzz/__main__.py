"""python -m tests.fuzz: run cases of the fuzz suite.

--kind K --seed S            one case, as a line of JSON
--cases N [--seed S]         N cases of all kinds from number S on, a line each
--report --cases N --jobs J  the same on J processes, added to benchmarks/results/fuzz.json and .md as they come; from number S on where
                             --seed S is given, else from where the report ends
--again                      every short case of the report once more: what it is now
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import tempfile
import time
from pathlib import Path

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"  # before numpy and torch: a process that forks has one thread

from gas_cli.cli.environment import prepare_process  # noqa: E402

prepare_process()

from scripts.lib.report import RESULTS  # noqa: E402
from tests.fuzz.cases import KINDS, Bench, kind_of  # noqa: E402
from tests.fuzz.report import Report  # noqa: E402
from tests.fuzz.verdict import SHORT  # noqa: E402
from tests.fuzz.workers import results  # noqa: E402

WRITE_EVERY = 60.0
"""Seconds between two states of the report on the disk."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kind", choices=list(KINDS))
    parser.add_argument("--seed", type=int)
    parser.add_argument("--cases", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--report", action="store_true")
    parser.add_argument("--again", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="fuzz-", ignore_cleanup_errors=True) as place:
        bench = Bench(Path(place))
        if options.again:
            run_again(bench)
        elif options.report:
            run_reported(bench, options.seed, options.cases, options.jobs)
        else:
            for number in range(options.seed or 0, (options.seed or 0) + options.cases):
                print(json.dumps(bench.run(options.kind or kind_of(number), number), ensure_ascii=False), flush=True)


def run_reported(bench: Bench, seed: int | None, cases: int, jobs: int) -> None:
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # either signal leaves the report whole
    report = Report(RESULTS)
    first, written = report.next if seed is None else seed, time.monotonic()
    try:
        for result in results(bench, range(first, first + cases), jobs):
            if result is not None:
                report.add(result)
                if result["outcome"] == SHORT:
                    print(json.dumps(result), flush=True)
            if time.monotonic() > written + WRITE_EVERY:
                report.write()
                written = time.monotonic()
    except KeyboardInterrupt:
        print("Stopped; make fuzz goes on from here.")
    finally:
        report.write()


def run_again(bench: Bench) -> None:
    report = Report(RESULTS)
    for kind, case in report.shorts():
        result = bench.run(kind, case["seed"])
        case["now"] = result["outcome"] + (f" ({result['why']})" if result["outcome"] == SHORT else "")
        print(json.dumps(result), flush=True)
    report.write()


if __name__ == "__main__":
    sys.exit(main())
