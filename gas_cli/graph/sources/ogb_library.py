"""The two things taken from the `ogb` package: its table of datasets and its Evaluator.

`import ogb` starts a thread that asks a server for newer versions and sets an environment variable; `import ogb.nodeproppred` also
imports loaders that fail on today's torch. So the package is located without being imported, and its two files are read on their own.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from gas_cli.errors import UserError


@dataclass(frozen=True)
class OgbMetadata:
    """One column of ogb's `master.csv`.

    download_name  top folder of the zip; `ogbn_<download_name>` on disk
    split          name of the split scheme, a folder below `split/`
    metric         `acc` or `rocauc`
    """

    name: str
    url: str
    download_name: str
    split: str
    num_classes: int
    add_inverse_edge: bool
    metric: str


class OgbEvaluator(Protocol):
    """`eval({"y_true": [N, tasks], "y_pred": [N, tasks]})` -> `{metric: value between 0 and 1}`, numpy arrays or tensors."""

    name: str
    eval_metric: str

    def eval(self, input_dict: dict[str, Any]) -> dict[str, float]: ...


def ogb_metadata(name: str) -> OgbMetadata:
    """What ogb knows about the dataset `name`, such as "ogbn-arxiv". Raises `UserError` for a name that ogb does not have."""
    import pandas as pd

    table = pd.read_csv(ogb_folder() / "nodeproppred" / "master.csv", index_col=0, keep_default_na=False, dtype=str)
    if name not in table:
        raise UserError(f"OGB has no dataset {name!r}: expected one of {', '.join(table)}.")
    column = table[name]
    return OgbMetadata(
        name=name,
        url=column["url"],
        download_name=column["download_name"],
        split=column["split"],
        num_classes=int(column["num classes"]),
        add_inverse_edge=column["add_inverse_edge"] == "True",
        metric=column["eval metric"],
    )


def ogb_evaluator(name: str) -> OgbEvaluator:
    """ogb's own Evaluator of the dataset `name`: the official metric. Raises `UserError` for a name that ogb does not have."""
    ogb_metadata(name)  # the Evaluator prints the name before it complains
    path = ogb_folder() / "nodeproppred" / "evaluate.py"
    spec = importlib.util.spec_from_file_location("gas_cli_ogb_evaluate", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    evaluator: OgbEvaluator = module.Evaluator(name)
    return evaluator


def ogb_folder() -> Path:
    """Where the package lies. Raises `UserError` where it is not installed."""
    spec = importlib.util.find_spec("ogb")  # locates a top-level package without running it
    if spec is None or not spec.submodule_search_locations:
        raise UserError(
            "The package ogb is not installed, but the ogbn-* datasets need its metadata and Evaluator: type `pip install ogb`."
        )
    return Path(spec.submodule_search_locations[0])
