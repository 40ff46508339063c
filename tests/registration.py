"""What a test registers in this process ends with it."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest
from hydra.core.config_store import ConfigStore

from gas_cli.config.registered import _here


@pytest.fixture(autouse=True)
def nothing_stays_registered(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Hydra keeps what it was given for as long as the process lives, and would send the classes of one test along in another."""
    for group in _here:
        monkeypatch.setitem(_here, group, {})
        ConfigStore.instance().repo.pop(group, None)  # the shipped ones are files, and their schemas in another group
    yield
    for group in _here:
        ConfigStore.instance().repo.pop(group, None)
    for name in [name for name in sys.modules if name.startswith("example_")]:
        del sys.modules[name]
