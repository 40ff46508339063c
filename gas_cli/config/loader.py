"""Hydra's loader of configurations with a memory: to compose one takes a tenth of a second, and most compositions begin alike."""

from __future__ import annotations

import copy
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from hydra._internal.config_loader_impl import ConfigLoaderImpl, get_overrides_dirname
from hydra._internal.config_repository import ConfigRepository
from hydra._internal.utils import create_config_search_path
from hydra.core.config_search_path import ConfigSearchPath, SearchPathQuery
from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.plugins.config_source import ConfigResult
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

MOST = 32
"""Remembered choices of files, of some 100 kB each."""


class RememberingRepository(ConfigRepository):
    """Reads each file once. What is in Hydra's store is looked up every time."""

    _read: dict[str, ConfigResult]

    def load_config(self, config_path: str) -> ConfigResult | None:
        """A copy: Hydra moves the nodes of a file into what it composes."""
        if config_path not in self._read:
            result = super().load_config(config_path)
            if result is None or result.path.startswith("structured:"):
                return result
            self._read[config_path] = result
        return copy.deepcopy(self._read[config_path])

    def initialize_sources(self, config_search_path: ConfigSearchPath) -> None:
        """Another search path finds other files."""
        super().initialize_sources(config_search_path)
        self._read = {}

    def __deepcopy__(self, memo: dict[int, Any]) -> RememberingRepository:
        """Hydra copies the repository for every composition because another search path replaces `sources`; what was read is shared."""
        other = object.__new__(type(self))
        vars(other).update(vars(self))
        return other

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_read": {}}


class RememberingLoader(ConfigLoaderImpl):
    """Composes a choice of files once, and applies the overrides that are values to a copy. A launcher sends it to another process without
    what it remembers."""

    def __init__(self, config_search_path: ConfigSearchPath) -> None:
        super().__init__(config_search_path)
        self.repository = RememberingRepository(config_search_path)
        self._known: dict[tuple[Any, ...], DictConfig] = {}

    def load_configuration(
        self,
        config_name: str | None,
        overrides: list[str],
        run_mode: RunMode,
        from_shell: bool = True,
        validate_sweep_overrides: bool = True,
    ) -> DictConfig:
        """A copy that the caller may change, equal to what Hydra composes. `from_shell` only changes errors, which are not remembered."""
        parsed: list[Override] = OverridesParser.create().parse_overrides(overrides)
        if validate_sweep_overrides:
            self.validate_sweep_overrides_legal(parsed, run_mode, from_shell)
        later = [override for override in parsed if self._is_value(override)] if self._searches_here(config_name, parsed) else []
        first = [text for text, override in zip(overrides, parsed, strict=True) if override not in later]
        key = (config_name, *first, run_mode, os.getcwd())
        if key not in self._known:
            composed = super().load_configuration(config_name, first, run_mode, from_shell, validate_sweep_overrides)
            while len(self._known) >= MOST:
                self._known.pop(next(iter(self._known)))
            self._known[key] = composed
        config = copy.deepcopy(self._known[key])
        if later:
            self._apply(later, parsed, config)
        return config

    def _apply(self, later: list[Override], parsed: list[Override], config: DictConfig) -> None:
        """What Hydra does with overrides that are values, after it has merged the files."""
        self._apply_overrides_to_config(later, config)
        task, job = [override for override in parsed if not override.is_hydra_override()], config.hydra.job
        config.hydra.overrides.task = [override.input_line for override in task]
        config.hydra.overrides.hydra = [override.input_line for override in parsed if override.is_hydra_override()]
        form = job.config.override_dirname
        job.override_dirname = get_overrides_dirname(
            overrides=task, kv_sep=form.kv_sep, item_sep=form.item_sep, exclude_keys=form.exclude_keys
        )

    def _is_value(self, override: Override) -> bool:
        """Whether it neither chooses files nor sets what Hydra reads while it composes."""
        key = override.key_or_group
        return not (override.is_sweep_override() or key.startswith("hydra.job.") or self.repository.group_exists(key))

    def _searches_here(self, config_name: str | None, parsed: Sequence[Override]) -> bool:
        """Whether all files lie on the search path of this loader, so that it knows what a group is."""
        if config_name is None or any(override.key_or_group == "hydra.searchpath" for override in parsed):
            return False
        primary = self.repository.load_config(config_name)
        return primary is not None and OmegaConf.select(primary.config, "hydra.searchpath") is None

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_known": {}}


def loader_of(folder: Path, further: Sequence[Path] = ()) -> RememberingLoader:
    """A loader of the files in `folder` and, before them, in `further`."""
    search_path = create_config_search_path(str(folder))
    for other in further:
        search_path.prepend("command-line", f"file://{other.resolve()}", SearchPathQuery(provider="schema"))
    return RememberingLoader(search_path)


class SharedLoader:
    """The loader that lasts as long as the files of a folder and the content of Hydra's store stay the same."""

    def __init__(self) -> None:
        self._files: list[tuple[str, int, int]] = []
        self._stored: list[Any] = []
        self._loader: RememberingLoader | None = None

    def of(self, folder: Path) -> RememberingLoader:
        files, stored = sorted(_files(str(folder))), list(_leaves(ConfigStore.instance().repo))
        same = len(stored) == len(self._stored) and all(one is other for one, other in zip(stored, self._stored, strict=True))
        if self._loader is None or files != self._files or not same:
            self._loader, self._files, self._stored = loader_of(folder), files, stored
        return self._loader


def _files(folder: str) -> Iterator[tuple[str, int, int]]:
    """Path, time of the last change and size of every file below `folder`."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir():
                yield from _files(entry.path)
            else:
                status = entry.stat()
                yield entry.path, status.st_mtime_ns, status.st_size


def _leaves(tree: Any) -> Iterator[Any]:
    """What lies in nested dicts."""
    if isinstance(tree, dict):
        for value in tree.values():
            yield from _leaves(value)
    else:
        yield tree
