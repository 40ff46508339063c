"""Tests marked `gpu` need a CUDA device and say so where there is none; no test leaves its logging to the next one.

What makes the suite quick, measured in docs/log.md: processes side by side share the cores; a collection of garbage passes over what was
imported; coverage looks at the first cases of a parametrised test only, and neither into Hydra nor into OmegaConf; Hydra reads a shipped
file once per process.
"""

import copy
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


def remember_shipped_files() -> None:
    """Hydra reads and checks the files that Hydra and gas_cli ship at every composition, a third of its time; here each of them once.

    Files of other folders and registered schemas are looked up as always, and before the shipped ones, as Hydra does.
    """
    from hydra._internal.config_repository import CachingConfigRepository, ConfigRepository
    from hydra.core.object_type import ObjectType
    from hydra.plugins.config_source import ConfigResult, ConfigSource

    from gas_cli.config.compose import config_directory

    shipped = str(config_directory())
    known: dict[tuple[Any, ...], ConfigResult] = {}
    load = ConfigRepository.load_config

    def state(source: ConfigSource, name: str) -> tuple[Any, ...] | None:
        if source.scheme() == "pkg":
            return source.path, source.provider, name
        if source.scheme() != "file" or source.path != shipped:
            return None
        status = os.stat(os.path.join(shipped, f"{name.removesuffix('.yaml')}.yaml"))
        return source.path, source.provider, name, status.st_mtime_ns, status.st_size

    def load_once(repository: ConfigRepository, config_path: str) -> ConfigResult | None:
        source = repository._find_object_source(config_path=config_path, object_type=ObjectType.CONFIG)
        key = state(source, config_path) if source else None
        if key is None:
            return load(repository, config_path)
        if key not in known:
            known[key] = load(repository, config_path)
        return copy.deepcopy(known[key])

    def begin(caching: CachingConfigRepository, delegate: ConfigRepository) -> None:
        caching.delegate = copy.copy(delegate)  # `initialize_sources` makes a new list; a source never changes
        caching.cache = {}

    ConfigRepository.load_config = load_once  # type: ignore[method-assign]
    CachingConfigRepository.__init__ = begin  # type: ignore[method-assign]


def pytest_configure(config: pytest.Config) -> None:
    remember_shipped_files()
    if config.pluginmanager.hasplugin("_cov"):
        from hydra._internal.config_loader_impl import ConfigLoaderImpl
        from omegaconf import DictConfig, OmegaConf

        ConfigLoaderImpl.load_configuration = untraced(ConfigLoaderImpl.load_configuration)  # type: ignore[method-assign]
        DictConfig.__deepcopy__ = untraced(DictConfig.__deepcopy__)  # type: ignore[method-assign]
        for name in ("create", "merge", "structured", "to_yaml", "load"):  # `to_object` runs the checks of our dataclasses
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
