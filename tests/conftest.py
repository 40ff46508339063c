"""Tests marked `gpu` need a CUDA device and say so where there is none; no test leaves its logging to the next one.

What makes the suite quick, measured in docs/log.md: processes side by side share the cores and begin with the longest files; a collection
of garbage passes over what earlier tests have imported; coverage looks at the first case of a parametrised test only, and neither into
Hydra and OmegaConf nor into processes that a test starts.
"""

import functools
import gc
import json
import logging
import os
import signal
import sys
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

from gas_cli.cli.environment import prepare_process

prepare_process()  # as the command line does
if "PYTEST_XDIST_WORKER_COUNT" in os.environ:  # two threads on each of two processes wait for each other: steps take three times as long
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // int(os.environ["PYTEST_XDIST_WORKER_COUNT"]))))

import torch  # noqa: E402
from hypothesis import settings  # noqa: E402

settings.register_profile("gas-cli", deadline=None)  # the first example of a test may compile a kernel
settings.load_profile("gas-cli")

# A shell without job control starts what it puts into the background (`make test &`) deaf to Ctrl-C, and so would be what the tests start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


COVERED = 1
"""Cases of a parametrised test that coverage follows; the others run the same lines. What is not followed only lowers the percentage."""
UNFOLLOWED = pytest.StashKey[bool]()
SECONDS = Path(__file__).resolve().parents[1] / "benchmarks" / "results" / "check-time.json"
"""Of every test file, from an earlier run of all tests."""


def untraced(function: Callable[..., Any]) -> Callable[..., Any]:
    """The same without coverage's tracer, which is called for every line of other packages too."""

    @functools.wraps(function)
    def call(*arguments: Any, **keywords: Any) -> Any:
        tracer = sys.gettrace()
        if tracer is None:
            return function(*arguments, **keywords)
        sys.settrace(None)
        try:
            return function(*arguments, **keywords)
        finally:
            sys.settrace(tracer)

    return call


def pytest_configure(config: pytest.Config) -> None:
    if config.pluginmanager.hasplugin("_cov"):
        from hydra._internal.config_loader_impl import ConfigLoaderImpl
        from hydra.core.override_parser.overrides_parser import OverridesParser
        from omegaconf import DictConfig, OmegaConf

        OverridesParser.parse_overrides = untraced(OverridesParser.parse_overrides)  # type: ignore[method-assign]
        ConfigLoaderImpl.load_configuration = untraced(ConfigLoaderImpl.load_configuration)  # type: ignore[method-assign]
        DictConfig.__deepcopy__ = untraced(DictConfig.__deepcopy__)  # type: ignore[method-assign]
        for name in ("create", "merge", "structured", "to_yaml", "load", "update"):  # `to_object` runs the checks of our dataclasses
            setattr(OmegaConf, name, staticmethod(untraced(getattr(OmegaConf, name))))


def pytest_collection_finish() -> None:
    freeze()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if "PYTEST_XDIST_WORKER" in os.environ:
        longest_first(items)
    cases: Counter[str] = Counter()
    for item in items:
        test = item.nodeid.partition("[")[0]
        cases[test] += 1
        item.stash[UNFOLLOWED] = cases[test] > COVERED
    if torch.cuda.is_available():
        return
    for item in items:
        if item.get_closest_marker("gpu"):
            item.add_marker(pytest.mark.skip(reason="needs a CUDA device; run `make test-gpu` on a machine that has one"))


def longest_first(items: list[pytest.Item]) -> None:
    """Sort the files by their measured seconds, so that the processes end together; the tests of a file keep their order.

    A file that was not measured comes first: it may be long. Where xdist sorts files itself, it is by their number of tests.
    """
    seconds: dict[str, float] = json.loads(SECONDS.read_text(encoding="utf-8"))["settings"]["seconds"] if SECONDS.exists() else {}
    items.sort(key=lambda item: -seconds.get(item.nodeid.partition("::")[0], float("inf")))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Stop coverage for a test that it does not follow, with its fixtures; afterwards spare the garbage collection what is left of it."""
    plugin = item.config.pluginmanager.getplugin("_cov")
    controller = plugin.cov_controller if plugin is not None and item.stash[UNFOLLOWED] else None
    passes = full_collections()
    if controller is not None:
        controller.pause()
    try:
        return (yield)
    finally:
        if controller is not None:
            controller.resume()
        if full_collections() > passes:
            freeze()


def full_collections() -> int:
    return gc.get_stats()[-1]["collections"]


def freeze() -> None:
    """Later collections pass over what lives now: modules that a test has imported and their tables. Every command ends with one.

    Only between tests, so that within a test every object is collected as it would be.
    """
    gc.collect()
    gc.freeze()


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
