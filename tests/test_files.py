"""A file is replaced whole or not at all, whoever writes it and however that fails."""

from __future__ import annotations

import errno
import io
from collections.abc import Callable
from pathlib import Path
from typing import IO

import numpy as np
import pytest
import torch

from gas_cli.files import replaced, write_atomically
from tests.disks import full_disk

TENSORS = {"a": torch.arange(3000.0), "b": torch.arange(500.0)}
ARRAYS = {name: tensor.numpy() for name, tensor in TENSORS.items()}
WRITERS: dict[str, Callable[[IO[bytes]], object]] = {
    "bytes": lambda file: file.write(bytes(15000)),
    "lines": lambda file: file.writelines(bytes(100) for _ in range(150)),
    "torch": lambda file: torch.save(TENSORS, file),
    "npz": lambda file: np.savez(file, **ARRAYS),  # type: ignore[arg-type]
}


def old(path: Path) -> Path:
    path.write_bytes(b"old")
    return path


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("writer", WRITERS)
def test_the_content_is_what_was_written(tmp_path: Path, writer: str) -> None:
    wanted = io.BytesIO()
    WRITERS[writer](wanted)
    (tmp_path / "file.tmp").write_bytes(bytes(50000))  # of a process that was killed
    with replaced(old(tmp_path / "file")) as file:
        WRITERS[writer](file)
        assert (tmp_path / "file").read_bytes() == b"old" and names(tmp_path) == ["file", "file.tmp"]
    assert names(tmp_path) == ["file"]
    if writer != "npz":  # which holds the time
        assert (tmp_path / "file").read_bytes() == wanted.getvalue()
    else:
        assert all(np.array_equal(array, ARRAYS[name]) for name, array in np.load(tmp_path / "file").items())


@pytest.mark.parametrize("writer", WRITERS)
def test_a_full_disk_is_an_oserror_that_says_so_wherever_it_is_met(tmp_path: Path, writer: str, recwarn: pytest.WarningsRecorder) -> None:
    path, whole = old(tmp_path / "file"), io.BytesIO()
    WRITERS[writer](whole)
    size = len(whole.getvalue())
    for limit in [*range(0, size, 311), size - 1]:
        with full_disk(limit), pytest.raises(OSError, match="File too large") as caught, replaced(path) as file:
            WRITERS[writer](file)
        assert caught.value.errno == errno.EFBIG
        assert path.read_bytes() == b"old" and names(tmp_path) == ["file"]
    with full_disk(size), replaced(path) as file:
        WRITERS[writer](file)
    assert path.stat().st_size == size
    assert not recwarn.list  # nothing is raised where nobody hears it, say by a writer that is thrown away


def test_an_array_of_numpy_is_written_past_the_file_and_raises_an_oserror_too(tmp_path: Path) -> None:
    path = old(tmp_path / "file")
    with full_disk(5000), pytest.raises(OSError, match="written"), replaced(path) as file:
        np.save(file, ARRAYS["a"])
    assert path.read_bytes() == b"old" and names(tmp_path) == ["file"]
    with replaced(path) as file:
        np.save(file, ARRAYS["a"])
    assert np.array_equal(np.load(path), ARRAYS["a"])


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError, RuntimeError])
@pytest.mark.parametrize("written", [10, 100000])
def test_another_failure_stays_what_it_is(tmp_path: Path, error: type[BaseException], written: int) -> None:
    path = old(tmp_path / "file")

    def failing(file: IO[bytes]) -> None:
        file.write(bytes(written))
        raise error("mine")

    with pytest.raises(error, match="mine"), replaced(path) as file:
        failing(file)
    assert path.read_bytes() == b"old" and names(tmp_path) == ["file"]


def test_ctrl_c_on_a_full_disk_stays_ctrl_c(tmp_path: Path) -> None:
    path = old(tmp_path / "file")

    def interrupted(file: IO[bytes]) -> None:
        try:
            file.write(bytes(100000))
        except OSError:
            raise KeyboardInterrupt from None

    with full_disk(1000), pytest.raises(KeyboardInterrupt), replaced(path) as file:
        interrupted(file)
    assert path.read_bytes() == b"old" and names(tmp_path) == ["file"]


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        write_atomically(tmp_path / "none" / "file", "text")
    assert names(tmp_path) == []


def test_text_is_utf_8(tmp_path: Path) -> None:
    write_atomically(tmp_path / "file", "h̄ ∈ ℝ\n")
    assert (tmp_path / "file").read_bytes() == "h̄ ∈ ℝ\n".encode()
