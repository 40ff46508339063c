"""A study: the training runs behind one table or figure.

A study is a list of `Trial`s, one training run each. `run_trials` trains those that are not finished yet, in any number of processes; a
stopped study goes on when the same command is given again, in the middle of an epoch even.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from gas_cli.cli.environment import prepare_process
from gas_cli.errors import Interrupted, UserError

INTERRUPTED = 130
KEPT = ("test", "val", "seconds")
"""What a report holds of each run's summary."""


@dataclass(frozen=True)
class Trial:
    """One training run: `name` is its folder below the study's, `settings` are what `gas-train` would be given."""

    name: str
    settings: tuple[str, ...]


def run_trials(trials: Sequence[Trial], arguments: argparse.Namespace, own_process: bool = False) -> dict[str, dict[str, Any]]:
    """Train what is not finished, in the order given; the summaries of all finished trials by name.

    `own_process` starts a process for each: its peak memory then is its own.
    A trial that fails is reported and left out; the others go on. Exits with 130 after Ctrl-C, everything saved.
    """
    trials = [Trial(t.name, (*t.settings, f"dataset.root={arguments.root}", *arguments.set)) for t in trials]
    known = _kept(arguments, trials) if arguments.keep else {}
    if not arguments.report:
        left = [trial for trial in trials if trial.name not in known and finished(arguments.work, trial) is None]
        print(f"{len(trials)} runs, {len(trials) - len(left)} of them finished; folder {arguments.work}", flush=True)
        _train(left, arguments.work, arguments.jobs or _default_jobs(), own_process)
    summaries = {trial.name: finished(arguments.work, trial) or known.get(trial.name) for trial in trials}
    return {name: summary for name, summary in summaries.items() if summary is not None}


def records(arguments: argparse.Namespace, summaries: Mapping[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """What a report holds of each run, enough for `--keep` to go on from it on another machine."""
    return {name: _record(arguments.work / name, summary) for name, summary in summaries.items()}


def _record(folder: Path, summary: dict[str, Any]) -> dict[str, Any]:
    if "settings" in summary:  # kept from an earlier report
        return summary
    begun = json.loads((folder / "trial.json").read_text())
    return {"settings": _placeless(begun["settings"]), "code": begun["code"]} | {key: summary.get(key) for key in KEPT}


def _kept(arguments: argparse.Namespace, trials: Sequence[Trial]) -> dict[str, dict[str, Any]]:
    file = arguments.out / f"{arguments.name}.json"
    try:
        earlier = json.loads(file.read_text()).get("trials", {})
    except OSError:  # no report yet
        return {}
    except ValueError as error:
        raise UserError(f"{file} is not valid JSON ({error}): leave out --keep, or remove the file.") from error
    wanted = {trial.name: _placeless(trial.settings) for trial in trials}
    return {name: record for name, record in earlier.items() if wanted.get(name) == record["settings"]}


def _placeless(settings: Iterable[str]) -> list[str]:
    """Settings but for where the datasets are."""
    return [setting for setting in settings if not setting.startswith("dataset.root=")]


def at_hand(datasets: Sequence[str], arguments: argparse.Namespace) -> list[str]:
    """Those of `datasets` that can be loaded, downloads included; what is missing is said once, and left out."""
    from gas_cli.config.compose import compose_config
    from gas_cli.graph.load import load_graph

    found = []
    for dataset in datasets:
        try:
            load_graph(compose_config([f"dataset={dataset}", f"dataset.root={arguments.root}"]).dataset)
        except UserError as error:
            print(f"{dataset} is left out: {error}", file=sys.stderr, flush=True)
        else:
            found.append(dataset)
    return found


def finished(work: Path, trial: Trial) -> dict[str, Any] | None:
    """The summary of a finished trial. Raises UserError where its folder holds a run of other settings."""
    folder = work / trial.name
    _check_same(folder, trial)
    try:
        summary: dict[str, Any] = json.loads((folder / "summary.json").read_text())
    except (OSError, ValueError):  # not begun, or killed
        return None
    return summary if summary.get("status") == "finished" else None


def train(trial: Trial, work: Path) -> str:
    """Train one trial, or what is left of it; how it ended, in a word or a sentence. What it prints goes to `train.log` in its folder."""
    from gas_cli.config.compose import compose_config
    from gas_cli.report.machine import code_version
    from gas_cli.run import resume, run

    folder = work / trial.name
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "train.log").open("a") as log, contextlib.redirect_stderr(log):
        logging.basicConfig(level=logging.INFO, stream=log, format="%(asctime)s %(message)s", force=True)
        try:
            config = compose_config(trial.settings)
            begun = (folder / "checkpoints" / "last.pt").exists()
            if not begun:
                (folder / "trial.json").write_text(json.dumps({"settings": trial.settings, "code": code_version()}, indent=1) + "\n")
            resume(folder, config) if begun else run(config, folder)
        except UserError as error:
            return f"failed: {error}"
        except (Interrupted, KeyboardInterrupt):
            return "interrupted"
    return "finished"


def codes(work: Path, summaries: Mapping[str, dict[str, Any]]) -> list[str]:
    """The versions of the code with which these trials were begun."""
    kept = {summary["code"] for summary in summaries.values() if "code" in summary}
    files = [work / name / "trial.json" for name in summaries]
    return sorted(kept | {json.loads(file.read_text())["code"] for file in files if file.exists()})


def _check_same(folder: Path, trial: Trial) -> None:
    try:
        settings = tuple(json.loads((folder / "trial.json").read_text())["settings"])
    except (OSError, ValueError, KeyError):
        return
    if settings != trial.settings:
        differ = _difference(settings, trial.settings)
        raise UserError(f"{folder} holds a run of other settings ({differ}): remove that folder, or choose another with --work.")


def _difference(found: Sequence[str], expected: Sequence[str]) -> str:
    def only(some: Sequence[str], others: Sequence[str]) -> str:
        return " ".join(setting for setting in some if setting not in others) or "nothing more"

    return f"there {only(found, expected)}, here {only(expected, found)}"


def _train(trials: Sequence[Trial], work: Path, jobs: int, own_process: bool) -> None:
    if not trials:
        return
    threads = max(1, (os.cpu_count() or 1) // jobs)
    os.environ.setdefault("OMP_NUM_THREADS", str(threads))
    each = 1 if own_process else None
    with ProcessPoolExecutor(min(jobs, len(trials)), get_context("spawn"), _prepare_worker, (threads,), max_tasks_per_child=each) as pool:
        futures = {pool.submit(train, trial, work): trial for trial in trials}
        try:
            _watch(futures)
        except KeyboardInterrupt:
            pool.shutdown(wait=True, cancel_futures=True)
            print("Interrupted; what ran is saved. The same command again goes on.", file=sys.stderr)
            sys.exit(INTERRUPTED)


def _watch(futures: dict[Future[str], Trial]) -> None:
    """One line per trial as it ends."""
    left = set(futures)
    while left:
        done, left = wait(left, return_when=FIRST_COMPLETED)
        for future in done:
            try:
                outcome = future.result()
            except BrokenProcessPool as error:
                raise UserError("A training process died (out of memory, or killed): try fewer side by side, --jobs 1.") from error
            if outcome == "interrupted":
                raise KeyboardInterrupt
            print(f"[{len(futures) - len(left)}/{len(futures)}] {futures[future].name}: {outcome}", flush=True)


def _prepare_worker(threads: int) -> None:
    prepare_process()
    import torch

    torch.set_num_threads(threads)


def _default_jobs() -> int:
    import torch

    return 1 if torch.cuda.is_available() else min(os.cpu_count() or 1, 8)
