"""The jobs of a sweep: which ones a command line asks for, and the folder of each, which depends only on what the job runs."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gas_cli.config.dataset import FOLDER, name_of_path
from gas_cli.config.flat import flat
from gas_cli.config.removed import without_removed
from gas_cli.errors import UserError

RESOLVER = "job_folder"
"""`hydra.sweep.subdir: ${job_folder:}` in conf/config.yaml."""
RUN_NAME = "run_name"
"""`${run_name:}` in `hydra.run.dir` of conf/config.yaml: graph and model."""
MAX_LABEL = 80


def planned_jobs(arguments: Sequence[str], sweeper: Any) -> list[list[str]]:
    """The overrides of every job that Hydra's own sweeper makes of `arguments`, in its order.

    `sweeper` is the composed `hydra.sweeper`. Empty for other sweepers, which decide while they run. Raises HydraException for
    what cannot be parsed or swept over.
    """
    from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
    from hydra.core.override_parser.overrides_parser import OverridesParser

    if not str(sweeper.get("_target_", "")).endswith("BasicSweeper"):
        return []
    params = [f"{key}={value}" for key, value in (sweeper.get("params") or {}).items()]
    parsed = [override for override in OverridesParser.create().parse_overrides([*params, *arguments]) if not override.is_hydra_override()]
    (jobs,) = BasicSweeper.split_arguments(parsed, None)
    return jobs


def register_job_folders(jobs: Sequence[Sequence[str]] = ()) -> None:
    """Make `${job_folder:}` and `${run_name:}` known to OmegaConf; launchers with processes of their own take it
    there. Names show what differs in `jobs`."""
    from omegaconf import OmegaConf

    keys = [override.partition("=")[0] for job in jobs for override in job]
    values = {key: {override for job in jobs for override in job if override.partition("=")[0] == key} for key in dict.fromkeys(keys)}
    differing = tuple(key for key, found in values.items() if len(found) > 1)
    OmegaConf.register_new_resolver(RESOLVER, functools.partial(_job_folder, differing), replace=True)
    OmegaConf.register_new_resolver(RUN_NAME, _run_name, replace=True)


def identity(composed: Any) -> str:
    """Ten hexadecimal digits that stand for a job's whole configuration, without the `hydra` node and `resume`.

    The content of the file behind `model.module` counts, too: it is what the job runs.
    """
    settings = _settings(composed)
    settings.pop("resume", None)
    digest = hashlib.blake2b(json.dumps(settings, sort_keys=True, default=str).encode(), digest_size=5)
    module = (settings.get("model") or {}).get("module")
    if module and Path(module).is_file():
        digest.update(Path(module).read_bytes())
    return digest.hexdigest()


def flat_settings(path: Path) -> dict[str, Any]:
    """A configuration file as plain values by dotted names; interpolations stay text. Raises `UserError` for an unreadable file."""
    from gas_cli.config.compose import read_settings

    return flat(without_removed(read_settings(path, interpolated=True)))


def _job_folder(differing: Sequence[str], *, _root_: Any) -> str:
    """The folder's name below hydra.sweep.dir: that of an earlier job with the same identity, or a new one."""
    digest, parent = identity(_root_), Path(str(_root_.hydra.sweep.dir))
    earlier = sorted(path.name for path in parent.glob(f"*-{digest}") if path.is_dir())
    if earlier:
        return earlier[0]
    shown = [override.lstrip("+~") for override in _root_.hydra.overrides.task if override.partition("=")[0] in differing]
    return f"{_label(shown or [_graph_name(_root_), _root_.model.name, f'seed={_root_.seed}'])}-{digest}"


def _run_name(*, _root_: Any) -> str:
    return f"{_label([_graph_name(_root_)])}-{_root_.model.name}"


def _graph_name(composed: Any) -> str:
    """As `DatasetConfig.title`, of settings that are not checked yet."""
    dataset = composed.dataset
    return name_of_path(str(dataset.get("path") or "")) if dataset.name == FOLDER else str(dataset.name)


def _label(words: Sequence[str]) -> str:
    """`model=gcn,seed=0`: for people; `identity` keeps folders apart."""
    return re.sub(r"[^\w=,.+-]+", "_", ",".join(words), flags=re.ASCII)[:MAX_LABEL].strip("._-,") or "job"


def _settings(composed: Any) -> dict[str, Any]:
    """The checked configuration as plain values, paths absolute; where it cannot be had, what was composed."""
    from omegaconf import OmegaConf, open_dict

    from gas_cli.config.compose import to_config

    own = composed.copy()
    with open_dict(own):
        own.pop("hydra", None)
    try:
        return dataclasses.asdict(to_config(own))
    except UserError:  # the job itself reports it, in this folder
        raw: dict[str, Any] = OmegaConf.to_container(own)  # type: ignore[assignment]
        return raw
