"""Everything behind `make bench` and `make bench-gpu`.

python -m benchmarks.run --device cpu|cuda [--root ../shared/datasets]
"""

from __future__ import annotations

import argparse
import subprocess
import sys


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--root", default="../shared/datasets", help="real datasets; what is missing is left out")
    arguments = parser.parse_args()
    commands = [["benchmarks.epoch_time", "--device", arguments.device, "--root", arguments.root]]
    if arguments.device == "cpu":
        commands += [["benchmarks.attention"], ["benchmarks.layers", "--root", arguments.root]]
    if arguments.device == "cuda":
        commands = [[*commands[0], "--cases", "arxiv-size gcn"], ["benchmarks.history_placement"]]
    failed = [command[0] for command in commands if subprocess.run([sys.executable, "-m", *command], check=False).returncode]
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
