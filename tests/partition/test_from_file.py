from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gas_cli.errors import UserError
from gas_cli.partition.from_file import file_digest, read_parts


@given(parts=st.lists(st.integers(0, 2**31 - 1), min_size=1, max_size=20))
def test_both_formats_come_back(tmp_path_factory: pytest.TempPathFactory, parts: list[int]) -> None:
    folder = tmp_path_factory.mktemp("parts")
    np.save(folder / "parts.npy", np.array(parts))
    np.savetxt(folder / "parts.txt", parts, fmt="%d")
    assert read_parts(str(folder / "parts.npy"), len(parts)).tolist() == parts
    assert read_parts(str(folder / "parts.txt"), len(parts)).tolist() == parts


def test_line_ends_and_blanks_around_ids_are_accepted(tmp_path: Path) -> None:
    (tmp_path / "graph.part.3").write_bytes(b"0\r\n 2\r\n1 \r\n\r\n")
    assert read_parts(str(tmp_path / "graph.part.3"), 3).tolist() == [0, 2, 1]


@pytest.mark.parametrize(
    ("content", "row", "shown"),
    [
        (b"0\n-1\n1\n", "row 1 (line 2)", "'-1'"),
        (b"0\n1\n1.5\n", "row 2 (line 3)", "'1.5'"),
        (b"0\n\n1\n", "row 1 (line 2)", "''"),
        (b"part\n0\n1\n", "row 0 (line 1)", "'part'"),
        (b"0\n1\n99999999999999999999999\n", "row 2 (line 3)", "99999"),
        (b"0\n1 2\n3\n", "row 1 (line 2)", "'1 2'"),
        (b"\xff\xfe0\n1\n2\n", "row 0 (line 1)", ""),
        ("0\n٣\n2\n".encode(), "row 1 (line 2)", "٣"),
        (b"", "row 0 (line 1)", "''"),
    ],
)
def test_bad_text_is_named_by_row(tmp_path: Path, content: bytes, row: str, shown: str) -> None:
    path = tmp_path / "parts.txt"
    path.write_bytes(content)
    with pytest.raises(UserError) as error:
        read_parts(str(path), 3)
    message = str(error.value)
    assert str(path) in message
    assert row in message
    assert shown in message
    assert "np.savetxt" in message


@pytest.mark.parametrize(
    ("array", "found"),
    [
        (np.array([0, -2, 1]), "row 1, holds part id -2"),
        (np.array([0.0, 1.0, 2.0]), "row 0, holds float64 values"),
        (np.array([0, 2**40, 1]), "row 1, holds part id 1099511627776"),
        (np.array([0, 2**64 - 1, 1], np.uint64), "row 1, holds part id 18446744073709551615"),
        (np.array([[0], [1], [2]]), "shape (3, 1)"),
        (np.array(["a", "b", "c"]), "<U1 values"),
        (np.array([True, False, True]), "bool values"),
    ],
)
def test_bad_arrays_are_described(tmp_path: Path, array: np.ndarray, found: str) -> None:
    np.save(tmp_path / "parts.npy", array)
    with pytest.raises(UserError, match=r"np\.save") as error:
        read_parts(str(tmp_path / "parts.npy"), 3)
    assert found in str(error.value)
    exec("np.save(" + str(error.value).partition("np.save(")[2].rstrip("."), {"np": np, "path": tmp_path / "parts.npy", "parts": array})
    assert len(read_parts(str(tmp_path / "parts.npy"), 3)) == 3, "what the message says to type"


@pytest.mark.parametrize("content", [b"", b"not an array", b"\x93NUMPY\x01\x00"])
def test_a_damaged_npy_is_an_error_of_the_file(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "parts.npy").write_bytes(content)
    with pytest.raises(UserError, match=r"not a complete \.npy file"):
        read_parts(str(tmp_path / "parts.npy"), 3)


def test_truncated_and_pickled_npy_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "whole.npy", np.arange(100))
    (tmp_path / "short.npy").write_bytes((tmp_path / "whole.npy").read_bytes()[:-9])
    np.save(tmp_path / "pickle.npy", np.array([{}], object), allow_pickle=True)
    for name in ("short.npy", "pickle.npy"):
        with pytest.raises(UserError, match=r"not a complete \.npy file"):
            read_parts(str(tmp_path / name), 100)


@pytest.mark.parametrize("length", [2, 4])
def test_the_length_must_be_the_number_of_nodes(tmp_path: Path, length: int) -> None:
    np.save(tmp_path / "parts.npy", np.zeros(length, np.int64))
    with pytest.raises(UserError, match=f"holds {length} part ids for a graph of 3 nodes"):
        read_parts(str(tmp_path / "parts.npy"), 3)


def test_missing_files_and_folders_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nowhere\.npy: not found"):
        read_parts(str(tmp_path / "nowhere.npy"), 3)
    with pytest.raises(UserError, match="cannot be read"):
        read_parts(str(tmp_path), 3)


def test_the_home_folder_is_expanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "parts.txt").write_text("1\n0\n")
    assert read_parts("~/parts.txt", 2).tolist() == [1, 0]
    assert file_digest("~/parts.txt") == file_digest(str(tmp_path / "parts.txt"))
