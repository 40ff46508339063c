"""Whether two states of the code compute the same numbers, to the last bit.

    python -m scripts.same_numbers --before STATE [--after STATE] [--only 'gcn-*' ...] [--expected NAME ...]

STATE is a commit, a folder with a checkout (`--after`: this one), or the .json file that an earlier comparison left in --work. Each state
trains the cases of scripts/lib/same_cases.py in a separate process. Compared are loss, learning rate and metrics of every epoch and the
predicted probabilities. The report has one line per case; exit code 1 where a case differs that --expected does not name.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from gas_cli.errors import UserError
from gas_cli.report.machine import describe_machine
from scripts.lib.command_line import make_parser, run_script
from scripts.lib.report import REPOSITORY, RESULTS, write_report
from scripts.lib.same_cases import CASES
from scripts.lib.same_state import NUMBERS, THREADS

State = dict[str, Any]
"""What same_state.py writes, and `name`, `code`, `machine`, `seconds`."""
EQUAL, EXPECTED, LEFT_OUT, DIFFERENT = "equal", "differs, as expected", "differs, a setting was left out", "DIFFERENT"
COLUMNS = ("case", "verdict", "where", "before", "after", "relative difference")
WORKER = "lib.same_state"
"""Found by the folder scripts/ of this checkout; `scripts` would be that of the other state."""
MACHINE = ("cpu", "python", "versions")
"""What has to agree for two files of numbers to be comparable."""


@dataclass(frozen=True)
class Difference:
    """The first one of a case: `where` names epoch and number, `relative` is |a - b| / max(|a|, |b|)."""

    where: str
    before: Any
    after: Any
    relative: float | None = None


def main() -> None:
    parser = make_parser(__doc__, "--work", name="same-numbers")
    parser.add_argument("--before", required=True, metavar="STATE", help="commit, folder, or .json file")
    parser.add_argument("--after", default=str(REPOSITORY), metavar="STATE", help="the same (default: this checkout)")
    parser.add_argument("--only", nargs="+", default=["*"], metavar="NAME", help="cases by name; * stands for any text")
    parser.add_argument("--expected", nargs="+", default=[], metavar="NAME", help="cases that may differ; * stands for any text")
    parser.add_argument("--out", type=Path, default=RESULTS / "same-numbers", help="the report's files, without their endings")
    arguments = parser.parse_args()
    sys.exit(judge(arguments))


def judge(arguments: argparse.Namespace) -> int:
    """Compare two states, write the report, and give the exit code."""
    chosen = [case.name for case in CASES if _any(case.name, arguments.only)]
    _check_names([*arguments.only, *arguments.expected])
    before, after = (state_of(getattr(arguments, side), side, chosen, arguments.work) for side in ("before", "after"))
    rows = [row(name, before, after, _any(name, arguments.expected)) for name in chosen]
    title = f"The same numbers: {before['code']} and {after['code']}"
    states = {side: {key: state[key] for key in ("code", "seconds")} for side, state in {"before": before, "after": after}.items()}
    write_report(arguments.out.parent, arguments.out.name, title, COLUMNS, rows, notes(rows, before, after), states=states)
    return int(any(line["verdict"] == DIFFERENT for line in rows))


# -- states --------------------------------------------------------------------------------------------------------------------------------


def state_of(given: str, side: str, cases: Sequence[str], work: Path) -> State:
    """The numbers of a state, read from a file or computed and kept as `<work>/<side>.json`."""
    if given.endswith(".json"):
        return _read(Path(given))
    work.mkdir(parents=True, exist_ok=True)
    with _checkout(given) as folder:
        state = _computed(folder, cases, work / f"{side}.log") | {"code": _code(folder)}
    (work / f"{side}.json").write_text(json.dumps(state, indent=1) + "\n")
    print(f"{side}: {state['code']}, {len(cases)} cases in {state['seconds']:.0f} seconds", flush=True)
    return state


def _read(path: Path) -> State:
    try:
        state: State = json.loads(path.read_text())
        _ = state["cases"], state["code"], state["seconds"], state["machine"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} cannot be read ({error}): expected a file that same_numbers.py left in --work.") from error
    return state


@contextmanager
def _checkout(given: str) -> Iterator[Path]:
    """A folder as it is, or a commit in a worktree that is removed afterwards."""
    if Path(given).is_dir():
        if not (Path(given) / "gas_cli").is_dir():
            raise UserError(f"{given} holds no gas_cli: expected a checkout of this repository, a commit, or a .json file.")
        yield Path(given).resolve()
        return
    found = _git("rev-parse", "--verify", "--quiet", f"{given}^{{commit}}")
    if found.returncode:
        raise UserError(f"{given} is neither a folder nor a commit here: expected one of them, or a .json file.")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "checkout"
        added = _git("worktree", "add", "--quiet", "--detach", str(folder), found.stdout.strip())
        if added.returncode:
            raise UserError(f"{given} cannot be checked out: {added.stderr.strip()}")
        try:
            yield folder
        finally:
            _git("worktree", "remove", "--force", str(folder))


def _git(*arguments: str, at: Path = REPOSITORY) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["git", "-C", str(at), *arguments], capture_output=True, text=True, check=False)


def _code(folder: Path) -> str:
    return _git("describe", "--always", "--dirty", "--abbrev=7", at=folder).stdout.strip() or str(folder)


def _computed(folder: Path, cases: Sequence[str], log: Path) -> State:
    """Train the cases in a process that imports `gas_cli` from `folder`; what it prints goes to `log`."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        temporary = Path(name).resolve()
        work, out = temporary / "work", temporary / "out.json"
        work.mkdir()
        command = [sys.executable, "-m", WORKER, "--work", str(work), "--out", str(out), "--only", *cases]
        with log.open("w") as file:
            process = subprocess.run(
                command, env=_environment(folder, temporary / "kernels"), cwd=work, stdout=file, stderr=file, check=False
            )
        if process.returncode:
            raise UserError(
                f"The process of {folder} ended with code {process.returncode}: the last case of {log} and what follows it say why."
            )
        state: State = json.loads(out.read_text())
    if Path(state["package"]) != folder / "gas_cli":
        raise UserError(f"The process of {folder} imported {state['package']}: take the package out of that folder, or out of sys.path.")
    return state | {"machine": describe_machine(), "seconds": round(time.monotonic() - began, 1)}


def _environment(folder: Path, kernels: Path) -> dict[str, str]:
    """Of a state's process. Kernels are compiled anew: numba's cache does not notice a change in a file that a kernel's file imports."""
    paths = f"{folder}{os.pathsep}{REPOSITORY / 'scripts'}"
    settings = {"PYTHONPATH": paths, "NUMBA_CACHE_DIR": str(kernels), "OMP_NUM_THREADS": str(THREADS), "CUDA_VISIBLE_DEVICES": ""}
    return {"OMP_WAIT_POLICY": "PASSIVE", "THP_MEM_ALLOC_ENABLE": "1"} | os.environ | settings


# -- comparison ----------------------------------------------------------------------------------------------------------------------------


def row(name: str, before: State, after: State, expected: bool) -> dict[str, Any]:
    """A line of the report."""
    cases = [state["cases"].get(name) for state in (before, after)]
    found, left_out = first_difference(*cases), _left_out(*cases)
    if found is None:
        error = cases[0]["error"]
        return {"case": name, "verdict": EQUAL, "where": f"both: {error}" if error else left_out}
    uneven = all(cases) and cases[0]["left_out"] != cases[1]["left_out"]
    return {
        "case": name,
        "verdict": EXPECTED if expected else LEFT_OUT if uneven else DIFFERENT,
        "where": f"{found.where} ({left_out})" if left_out else found.where,
        "before": str(found.before),
        "after": str(found.after),
        "relative difference": found.relative,
    }


def first_difference(one: Mapping[str, Any] | None, other: Mapping[str, Any] | None) -> Difference | None:
    """Between the numbers of one case in two states; None where there is none."""
    if one is None or other is None:
        return Difference("the case", *("missing" if case is None else "there" for case in (one, other)))
    for key in ("settings", "error"):
        if one[key] != other[key]:
            return Difference(key, one[key] or "none", other[key] or "none")
    if list(one["runs"]) != list(other["runs"]):
        return Difference("runs", list(one["runs"]), list(other["runs"]))
    for run, records in one["runs"].items():
        found = _first_in_epochs(records, other["runs"][run], "" if run == "." else f"{run}: ")
        if found is not None:
            return found
    return _first_in_predictions(one["predictions"], other["predictions"])


def _first_in_epochs(records: Sequence[Mapping[str, Any]], others: Sequence[Mapping[str, Any]], prefix: str) -> Difference | None:
    for record, other in zip(records, others, strict=False):
        for name in ("epoch", *NUMBERS):
            if record[name] != other[name]:
                a, b = _value(record[name]), _value(other[name])
                return Difference(f"{prefix}epoch {record['epoch']}, {name}", a, b, _relative(a, b))
    if len(records) != len(others):
        return Difference(f"{prefix}number of epochs", len(records), len(others))
    return None


def _first_in_predictions(one: Mapping[str, Mapping[str, str]], other: Mapping[str, Mapping[str, str]]) -> Difference | None:
    flat, others = ({(run, mode): digest for run, modes in side.items() for mode, digest in modes.items()} for side in (one, other))
    for run, mode in dict.fromkeys([*flat, *others]):
        a, b = (side.get((run, mode), "none") for side in (flat, others))
        if a != b:
            return Difference(f"{'' if run == '.' else f'{run}: '}probabilities, mode={mode}", a, b)
    return None


def _value(kept: Any) -> Any:
    """A number as it was before same_state.py wrote it as text."""
    return float.fromhex(kept) if isinstance(kept, str) else kept


def _relative(a: Any, b: Any) -> float | None:
    if not isinstance(a, float) or not isinstance(b, float):
        return None
    return abs(a - b) / max(abs(a), abs(b)) if a != b else 0.0


def _left_out(one: Mapping[str, Any] | None, other: Mapping[str, Any] | None) -> str:
    """Which settings which state does not have."""
    sides = {"before": one, "after": other}
    said = [f"no {setting} {side}" for side, case in sides.items() if case is not None for setting in case["left_out"]]
    return ", ".join(said)


# -- report --------------------------------------------------------------------------------------------------------------------------------


def notes(rows: Sequence[Mapping[str, Any]], before: State, after: State) -> list[str]:
    verdicts = [line["verdict"] for line in rows]
    counts = [f"{verdicts.count(verdict)} {verdict}" for verdict in dict.fromkeys(verdicts)]
    failing = [line["case"] for line in rows if line["verdict"] == EQUAL and line["where"].startswith("both: ")]
    said = [
        f"{len(rows)} cases: {', '.join(counts)}. {before['code']}: {before['seconds']:.0f} s, {after['code']}: {after['seconds']:.0f} s."
    ]
    if failing:
        said.append(f"Fail in both states, and so compare nothing: {', '.join(failing)}.")
    elsewhere = [key for key in MACHINE if before["machine"].get(key) != after["machine"].get(key)]
    if elsewhere:
        said.append(f"The numbers were computed on different machines ({', '.join(elsewhere)}), which alone may change them.")
    return said


def _check_names(patterns: Sequence[str]) -> None:
    """Raise UserError where a pattern names no case."""
    for pattern in patterns:
        if not any(fnmatchcase(case.name, pattern) for case in CASES):
            raise UserError(f"No case is named {pattern}. Cases: {', '.join(case.name for case in CASES)}.")


def _any(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


if __name__ == "__main__":
    run_script(main)
