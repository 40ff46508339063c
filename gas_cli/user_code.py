"""Running code of the user's: their file is imported, and what it raises becomes one message with file and line."""

from __future__ import annotations

import hashlib
import importlib
import inspect
import logging
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

import torch

from gas_cli.errors import UserCodeError, UserError

T = TypeVar("T")
log = logging.getLogger(__name__)


def load_module(name: str) -> ModuleType:
    """The module `name`: a file, executed once per content, or one that is installed. Its code runs."""
    if Path(name).suffix != ".py" and not Path(name).is_absolute():
        log.info("Importing model.module=%s, which runs its code.", name)
        with blaming(name, f"model.module={name}"):
            return importlib.import_module(name)
    try:
        source = Path(name).read_bytes()
    except OSError as error:
        raise UserError(f"model.module={name} cannot be read: {error.strerror}. Expected a Python file.") from error
    return _execute(name, source)


@lru_cache(maxsize=16)
def _execute(path: str, source: bytes) -> ModuleType:
    """The file as a module of its own name. Modules beside it can be imported by it while it is executed."""
    folder = str(Path(path).parent)
    module = ModuleType(f"{Path(path).stem}_{hashlib.blake2b(source + path.encode(), digest_size=4).hexdigest()}")
    module.__file__ = path
    sys.modules[module.__name__] = module  # where dataclasses and PyG look up the names that annotations use
    sys.path.append(folder)
    log.info("Importing model.module=%s, which runs its code.", path)
    try:
        with blaming(path, "while it is imported"):
            exec(compile(source, path, "exec"), module.__dict__)
    except UserError:
        del sys.modules[module.__name__]
        raise
    finally:
        sys.path.remove(folder)
    return module


def implementation(where: Any, base: type[T], what: str) -> type[T]:
    """The class below `base` that the setting `what` stands for: `where` is the class itself, or names it as in
    `my_package.models:MyModel`. Raises `UserError` without one."""
    found = named(where, what)
    if not (inspect.isclass(found) and issubclass(found, base)):
        raise UserError(f"{what}: {where or 'nothing'} is not a subclass of {base.__module__}.{base.__qualname__}.")
    return found


def named(where: Any, what: str) -> Any:
    """What `module:attribute` names; anything but a text stands for itself."""
    if not isinstance(where, str) or not where:
        return where
    name, _, attribute = where.partition(":")
    with blaming(name, f"{what}, registered as {where}"):
        return getattr(importlib.import_module(name), attribute)


def source_of(where: Any) -> bytes:
    """The code behind an `implementation` of somebody else's: the file of the module that a text names, the class itself where it is one;
    empty for this package's own, and where the source is not known."""
    if isinstance(where, str):
        name = where.partition(":")[0]
        file = importlib.import_module(name).__file__ if name and not name.startswith("gas_cli.") else None
        return Path(file).read_bytes() if file else b""
    try:
        return inspect.getsource(where).encode()
    except (OSError, TypeError):  # typed into an interpreter
        return b""


def classes_of(module: ModuleType) -> dict[str, type[torch.nn.Module]]:
    """The concrete classes of `torch.nn.Module` that the module defines, or a part of a package that it is the face of."""
    own = (module.__name__, f"{module.__name__}.")
    members = {name: value for name, value in vars(module).items() if inspect.isclass(value)}
    return {
        name: value
        for name, value in members.items()
        if issubclass(value, torch.nn.Module)
        and not inspect.isabstract(value)
        and (value.__module__ == own[0] or value.__module__.startswith(own[1]))
    }


def place_of(thing: Any) -> str:
    """`file:line` of a class or function of the user's, as far as it is known."""
    try:
        return f"{inspect.getsourcefile(thing)}:{inspect.getsourcelines(thing)[1]}"
    except (OSError, TypeError):
        return str(getattr(thing, "__module__", thing))


@contextmanager
def blaming(file: str, doing: str) -> Iterator[None]:
    """Turn exceptions of the user's code in the block into a `UserCodeError` that names the last line of `file` on the way to it.

    What may be nobody's mistake passes: memory that is used up, and errors that are explained already.
    """
    try:
        yield
    except (UserError, MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:  # anything at all: it is not our code
        raise UserCodeError(f"{_line(error, file)}: {type(error).__name__} ({doing}): {_message(error)}") from error


def _line(error: Exception, file: str) -> str:
    if isinstance(error, SyntaxError) and error.filename == file:
        return f"{file}:{error.lineno}"
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
    return f"{file}:{lines[-1]}" if lines else file


def _message(error: Exception) -> str:
    text = error.msg if isinstance(error, SyntaxError) else str(error)
    return " ".join(text.split()) or "no message"
