"""Tests marked `gpu` need a CUDA device and say so where there is none."""

import pytest

from gas_cli.cli.environment import prepare_process

prepare_process()  # as the command line does: before torch is loaded

import torch  # noqa: E402
from hypothesis import settings  # noqa: E402

settings.register_profile("gas-cli", deadline=None)  # the first example of a test may compile a kernel
settings.load_profile("gas-cli")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if torch.cuda.is_available():
        return
    for item in items:
        if item.get_closest_marker("gpu"):
            item.add_marker(pytest.mark.skip(reason="needs a CUDA device; run `make test-gpu` on a machine that has one"))
