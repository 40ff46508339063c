"""Hydra's loader of configurations with a memory: a command asks several times for what takes a tenth of a second to compose."""

from __future__ import annotations

import copy
from typing import Any

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.config_search_path import ConfigSearchPath
from hydra.types import RunMode
from omegaconf import DictConfig


class RememberingLoader(ConfigLoaderImpl):
    """Lives as long as one command. A launcher sends it to another process without what it remembers."""

    def __init__(self, config_search_path: ConfigSearchPath) -> None:
        super().__init__(config_search_path)
        self._known: dict[tuple[Any, ...], DictConfig] = {}

    def load_configuration(
        self,
        config_name: str | None,
        overrides: list[str],
        run_mode: RunMode,
        from_shell: bool = True,
        validate_sweep_overrides: bool = True,
    ) -> DictConfig:
        """A copy that the caller may change. `from_shell` only changes errors, which are not remembered."""
        key = (config_name, *overrides, run_mode, validate_sweep_overrides)
        if key not in self._known:
            self._known[key] = super().load_configuration(config_name, overrides, run_mode, from_shell, validate_sweep_overrides)
        return copy.deepcopy(self._known[key])

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_known": {}}
