"""Whether a job starts from published hyper-parameters: said in its log, since nothing else shows it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

GROUP = "tuned"


def describe_tuned(hydra: Any) -> str:
    """One sentence from Hydra's own node of a job: its choices, and the folders that it read configs from.

    The choice of an optional file stands there whether or not the file does.
    """
    choices = hydra.runtime.choices
    pair, named = choices.get(GROUP), f"model={choices.get('model')} on dataset={choices.get('dataset')}"
    if pair is None:
        return f"Published hyper-parameters are left out: using the defaults for {named}."
    folders = [Path(source.path) for source in hydra.runtime.config_sources if source.schema == "file"]
    if any((folder / GROUP / f"{pair}.yaml").is_file() for folder in folders):
        return f"Using the published hyper-parameters for {named} ({GROUP}/{pair}.yaml)."
    return f"No published hyper-parameters for {named}: using the defaults, which gas-train --cfg job shows."
