"""Tests marked `gpu` need a CUDA device and say so where there is none; no test leaves its logging to the next one.

What makes the suite quick, measured in docs/log.md: processes side by side share the cores; a collection of garbage passes over what was
imported; coverage looks at the first cases of a parametrised test only, and neither into Hydra nor into OmegaConf.
"""

import functools
import gc
import logging
import os
import signal
import sys
from collections import Counter
from collections.abc import Callable, Iterator
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


COVERED = 2
"""Cases of a parametrised test that coverage follows, which takes as much time as the case itself; later ones run the same lines."""


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
    gc.collect()
    gc.freeze()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    cases: Counter[str] = Counter()
    for item in items:
        test = item.nodeid.partition("[")[0]
        cases[test] += 1
        if cases[test] > COVERED and item.config.pluginmanager.hasplugin("_cov"):
            item.add_marker(pytest.mark.no_cover)
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
