"""Tests marked `gpu` need a CUDA device and say so where there is none; no test leaves its logging to the next one."""

import logging
import os
import signal
from collections.abc import Iterator

import pytest

from gas_cli.cli.environment import prepare_process

prepare_process()  # as the command line does

import torch  # noqa: E402
from hypothesis import settings  # noqa: E402

settings.register_profile("gas-cli", deadline=None)  # the first example of a test may compile a kernel
settings.load_profile("gas-cli")

# A shell without job control starts what it puts into the background (`make test &`) deaf to Ctrl-C, and so would be what the tests start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if torch.cuda.is_available():
        return
    for item in items:
        if item.get_closest_marker("gpu"):
            item.add_marker(pytest.mark.skip(reason="needs a CUDA device; run `make test-gpu` on a machine that has one"))


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What tests prepare does not go into the user's cache, nor comes from there; commands that they start find the same folder."""
    before = os.environ.get("XDG_CACHE_HOME")
    os.environ["XDG_CACHE_HOME"] = str(tmp_path_factory.mktemp("cache"))
    yield
    if before is None:
        del os.environ["XDG_CACHE_HOME"]
    else:
        os.environ["XDG_CACHE_HOME"] = before


@pytest.fixture(autouse=True)
def _own_logging() -> Iterator[None]:
    """A command that runs inside a test logs to that test's terminal and files, which are closed by the time of the next test."""
    before = list(logging.root.handlers)
    yield
    for handler in list(logging.root.handlers):
        if handler not in before and type(handler) in (logging.StreamHandler, logging.FileHandler):
            logging.root.removeHandler(handler)
            handler.close()
