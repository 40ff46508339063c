"""Trains the cases of `same_cases.py` with the `gas_cli` that is imported here, and writes their numbers; started by `same_numbers.py`.

    PYTHONPATH=CHECKOUT:scripts python -m lib.same_state --work DIR --out FILE.json --only NAME ...

Uses only what every state of the code has: the composition of settings, `run`, `resume`, `predict` and the files in a run's folder.
"""

from __future__ import annotations

import argparse
import hashlib
import inspect
import json
import logging
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from .same_cases import CASES, Case
from .same_data import write_data

THREADS = 2
NUMBERS = ("loss", "lr", "train", "val", "test")
STOPPED = ("Interrupted", "KeyboardInterrupt")
"""What a run that a signal stopped may raise, by name."""


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--work", type=Path, required=True)
    options.add_argument("--out", type=Path, required=True)
    options.add_argument("--only", nargs="+", default=[case.name for case in CASES])
    arguments = options.parse_args()
    sys.modules["matplotlib"] = None  # type: ignore[assignment]  # pictures have no numbers, and take longer than the runs
    import torch

    torch.set_num_threads(THREADS)
    logging.basicConfig(level=logging.WARNING)
    content = {"package": _package(), "threads": THREADS, "cases": numbers([c for c in CASES if c.name in arguments.only], arguments.work)}
    arguments.out.write_text(json.dumps(content, indent=1) + "\n")


def numbers(cases: Sequence[Case], work: Path) -> dict[str, dict[str, Any]]:
    """Of each case by name: `settings`, `left_out`, `runs` (numbers of the epochs), `predictions` (digests), `error`, `seconds`.

    Files are below `work`, an empty folder; those of a case are removed once it has been read.
    """
    write_data(work / "data")
    found = {}
    for case in cases:
        print(case.name, file=sys.stderr, flush=True)
        found[case.name] = _numbers_of(case, work)
        shutil.rmtree(work / "run", ignore_errors=True)
    return found


def _numbers_of(case: Case, work: Path) -> dict[str, Any]:
    began, folder = time.monotonic(), work / "run"
    found: dict[str, Any] = {"settings": [*case.settings, *case.optional, *case.more], "left_out": [], "runs": {}, "predictions": {}}
    error = ""
    try:
        settings = _train(case, work, folder, found["left_out"])
        found["runs"] = epochs(folder)
        found["predictions"] = {name: _predicted(folder, name, settings) for name in found["runs"]}
    except Exception as raised:  # a state of the code may fail in any way: this is one of its results
        traceback.print_exc()
        error = _told(raised, work)
    return {**found, "error": error, "seconds": round(time.monotonic() - began, 2)}


def _train(case: Case, work: Path, folder: Path, left_out: list[str]) -> list[str]:
    """Train, and resume where the case says so; the settings it was done with. Adds to `left_out` what this state does not know."""
    from gas_cli.config.compose import compose_config
    from gas_cli.run import resume, run

    cache = f"partitioner.cache={work / 'partitions'}"
    settings = [setting.replace("DATA", str(work / "data")) for setting in case.settings] + [cache]
    for setting in case.optional:
        if _is_known(settings, setting):
            settings.append(setting)
        else:
            left_out.append(setting)
    folder.mkdir()  # as the command line does
    if case.stop_after:
        with _stopping(case.stop_after):
            run(compose_config(settings), folder)
        resume(folder, compose_config(settings))
    else:
        run(compose_config(settings), folder)
    if case.more:
        resume(folder, compose_config([*settings, *case.more]))
    return settings


def _is_known(settings: list[str], setting: str) -> bool:
    """Whether this state has the key of `setting`. Other objections to it are raised."""
    from gas_cli.config.compose import compose_config

    try:
        compose_config([*settings, setting])
    except Exception as error:
        key = setting.partition("=")[0]
        if not _is_user_error(error) or key not in str(error) or f"{key}=" in str(error):  # the latter objects to the value
            raise
        return False
    return True


@contextmanager
def _stopping(steps: int) -> Iterator[None]:
    """SIGINT after so many steps of torch's optimizers, which stops the run inside. Raises RuntimeError where nothing was stopped."""
    from torch.optim.optimizer import register_optimizer_step_post_hook

    done = 0

    def count(*_: Any) -> None:
        nonlocal done
        done += 1
        if done == steps:
            signal.raise_signal(signal.SIGINT)

    hook = register_optimizer_step_post_hook(count)
    try:
        yield
    except BaseException as error:
        if type(error).__name__ not in STOPPED or done < steps:
            raise
    else:
        raise RuntimeError(f"not stopped after {steps} steps: the run made {done}")
    finally:
        hook.remove()


def epochs(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """The numbers of every epoch, by the folder of each run below `folder`, which is "." for a single one."""
    return {
        str(file.parent.relative_to(folder)): [_exact(json.loads(line)) for line in file.read_text().splitlines()]
        for file in sorted(folder.rglob("metrics.jsonl"))
    }


def _exact(record: dict[str, Any]) -> dict[str, Any]:
    """What is compared of an epoch; floats as their bits."""
    values = {name: record.get(name) for name in NUMBERS}
    return {"epoch": record["epoch"], **{k: v.hex() if isinstance(v, float) else v for k, v in values.items()}}


def _predicted(folder: Path, run: str, settings: list[str]) -> dict[str, str]:
    """A digest of the probabilities by mode: from histories only where training keeps some of all nodes, by the weights that score."""
    one_part = "partitioner.num_parts=1" in settings
    averaged = any(setting.startswith("trainer.average=") for setting in settings)
    other_method = any(setting.startswith("method=") and setting != "method=gas" for setting in settings)
    inductive = any(setting in ("dataset=ppi", "dataset=cluster") for setting in settings)
    digests = {}
    for mode in ("exact",) if other_method or inductive or one_part or averaged else ("exact", "history"):
        nodes, values = _nodes_and_probabilities(folder / run, mode)
        state = f"{nodes.dtype}{nodes.shape}{values.dtype}{values.shape}".encode()
        digests[mode] = hashlib.blake2b(state + nodes.tobytes() + values.tobytes(), digest_size=16).hexdigest()
    return digests


def _nodes_and_probabilities(run: Path, mode: str) -> tuple[Any, Any]:
    """Earlier states write a file, later ones return an object."""
    from gas_cli.prediction import predict

    if "out" in inspect.signature(predict).parameters:
        with np.load(predict(run, mode, run / f"{mode}.npz")) as file:
            return file["nodes"], file["probabilities"]
    found = predict(run, mode=mode)
    return found.nodes, found.probabilities


def _told(error: Exception, work: Path) -> str:
    """A user error by its text, without this state's paths; others by their type."""
    text = str(error).replace(str(work), "WORK")
    return f"UserError: {text}" if _is_user_error(error) else f"{type(error).__name__} (its text is not compared)"


def _is_user_error(error: Exception) -> bool:
    return any(kind.__name__ == "UserError" for kind in type(error).__mro__)


def _package() -> str:
    import gas_cli

    return str(Path(gas_cli.__file__).resolve().parent)


if __name__ == "__main__":
    main()
