"""Settings and values of earlier versions: named where somebody types them, translated in the files that those versions have written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

REMOVED = {
    "trainer.sum_features_once": "A x is computed once wherever the model allows it. Leave it out.",
    "optimizer.name": "Adam is the only optimizer. Leave it out.",
    "partitioner.recursive": "METIS always divides by its k-way scheme. Leave it out.",
    "partitioner.order": "The nodes of a part always stand breadth first. Leave it out.",
    "evaluation.monitor_every": "Use evaluation.monitor=N to measure every N epochs.",
    "logger.name": "Use logger=tensorboard, or logger=null.",
}
"""What to do instead, by the dotted name."""
SPELLINGS: dict[str, dict[str, Any]] = {
    "trainer.patience": {"0": None},
    "trainer.max_steps": {"0": None},
    "optimizer.grad_norm": {"0": None, "0.0": None},
    "optimizer.schedule": {"none": None},
    "history.refresh": {"never": None, "epoch": 1},
    "evaluation.every": {"0": None},
    "evaluation.monitor": {"true": 1, "false": None},
    "partitioner.cache": {"": None},
    "partitioner.cache_limit": {"": None},
    "logger": {"none": None},
    "model.normalization": {"none": None},
}
"""The value of today by the text of an earlier one."""
ADDED: dict[str, Any] = {
    "dataset.make_split": None,
    "dataset.shares": [0.6, 0.2, 0.2],
    "dataset.split_by": None,
    "dataset.split_seed": 0,
    "dataset.folds": None,
    "dataset.features": None,
    "dataset.normalize": None,
    "dataset.task": "auto",
    "dataset.encode": None,
    "dataset.types": None,
    "dataset.columns.source": None,
    "dataset.columns.target": None,
    "dataset.columns.weight": None,
    "dataset.columns.id": None,
    "dataset.columns.label": None,
    "dataset.columns.split": None,
    "dataset.columns.type": None,
    "dataset.columns.relation": None,
    "dataset.columns.ignore": [],
    "history.waves": 0,
    "method.gradients": "cut",
    "method.trust": 1,
    "trainer.accumulate": 1,
    "trainer.average": 0.0,
    "trainer.loss": None,
    "trainer.patience_rule": "best",
    "trainer.class_weights": None,
    "trainer.label_smoothing": 0.0,
    "evaluation.select": None,
}
"""Settings that checkpoints of earlier versions do not have, with the value that means what these versions did."""
NOT_OF_APPNP = ("model.batch_norm", "model.residual", "model.track_running_stats")
DECISIVE = ("trainer.sum_features_once",)
"""Its checkpoints are of another computation, and stay refused."""


def instead(key: str, value: Any) -> str:
    """' Use history.refresh=1.' for a value of an earlier version; nothing for any other one."""
    found = SPELLINGS.get(key, {})
    text = _text(value)
    return f" Use {key}={'null' if found[text] is None else found[text]}." if text in found else ""


def without_removed(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a saved file as they are spelled today; of a file of today, the same. What is no mapping of settings stays."""
    logger, evaluation = settings.get("logger"), settings.get("evaluation")
    kept = {group: dict(_translated(group, settings)) if isinstance(inner, Mapping) else inner for group, inner in settings.items()}
    if isinstance(logger, Mapping):  # it was a group of one setting
        kept["logger"] = _today("logger", logger.get("name"), logger.get("name"))
    if isinstance(evaluation, Mapping) and evaluation.get("monitor") is True:
        kept["evaluation"]["monitor"] = evaluation.get("monitor_every", 1)
    return kept


def renamed(settings: Mapping[str, str]) -> dict[str, str]:
    """The same for a checkpoint's settings: the `repr` of each by its dotted name."""
    of_appnp = _text(settings.get("model.name", "")) == "appnp"
    return {
        key: repr(_today(key, text, text)) if _is_old(key, text) else text for key, text in settings.items() if not _gone(key, of_appnp)
    }


def _translated(group: str, settings: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    model = settings.get("model")
    of_appnp = isinstance(model, Mapping) and model.get("name") == "appnp"
    for key, value in settings[group].items():
        if key and f"{group}.{key}" not in REMOVED and not _gone(f"{group}.{key}", of_appnp):
            yield key, _today(f"{group}.{key}", value, value)


def _gone(name: str, of_appnp: bool) -> bool:
    return (name in REMOVED and name not in DECISIVE) or (of_appnp and name in NOT_OF_APPNP)


def _is_old(key: str, value: Any) -> bool:
    return _text(value) in SPELLINGS.get(key, {}) or _counts_epochs(key, value)


def _today(key: str, value: Any, otherwise: Any) -> Any:
    if _counts_epochs(key, value):
        return int(_text(value))
    return SPELLINGS.get(key, {}).get(_text(value), otherwise)


def _counts_epochs(key: str, value: Any) -> bool:
    """A number of epochs between two refreshes was text."""
    return key == "history.refresh" and isinstance(value, str) and _text(value).isdecimal() and len(value) < 20


def _text(value: Any) -> str:
    """As it is typed, without quotes."""
    text = str(value).strip("'\"")
    return text.lower() if text in ("True", "False") else text
