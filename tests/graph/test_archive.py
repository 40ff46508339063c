from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from gas_cli.graph.archive import extract
from gas_cli.graph.download import DownloadError

NAMES = ["raw/a.csv", "split/b.csv"]


def make_zip(folder: Path, members: dict[str, bytes]) -> Path:
    path = folder / "toy.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def test_expected_names_only(tmp_path: Path) -> None:
    archive = make_zip(
        tmp_path, {"toy/raw/a.csv": b"1", "toy/split/b.csv": b"2", "toy/other.py": b"3", "toy/../../evil": b"4", "/etc/evil": b"5"}
    )
    extract(archive, tmp_path / "out", NAMES)
    files = {str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file()}
    assert files == {"toy.zip", "out/raw/a.csv", "out/split/b.csv"}
    assert (tmp_path / "out/raw/a.csv").read_bytes() == b"1"


def assert_refused(archive: Path, out: Path, reason: str, **options: int) -> None:
    with pytest.raises(DownloadError, match=reason):
        extract(archive, out, NAMES, **options)
    assert not archive.exists() and list(out.iterdir()) == []


def test_absent_name(tmp_path: Path) -> None:
    assert_refused(make_zip(tmp_path, {"toy/raw/a.csv": b"1"}), tmp_path / "out", "it lacks split/b.csv")


def test_too_large(tmp_path: Path) -> None:
    archive = make_zip(tmp_path, {"toy/raw/a.csv": bytes(1000), "toy/split/b.csv": bytes(1000)})
    assert_refused(archive, tmp_path / "out", "2000 bytes, more than the 1999 allowed", max_bytes=1999)


def test_not_a_zip(tmp_path: Path) -> None:
    archive = tmp_path / "toy.zip"
    archive.write_bytes(b"nonsense")
    assert_refused(archive, tmp_path / "out", "toy.zip cannot be unpacked")


def test_damaged_member(tmp_path: Path) -> None:
    archive = make_zip(tmp_path, {"toy/raw/a.csv": bytes(range(200)), "toy/split/b.csv": b"2"})
    content = bytearray(archive.read_bytes())
    content[60:90] = bytes(30)
    archive.write_bytes(content)
    assert_refused(archive, tmp_path / "out", "toy.zip cannot be unpacked")
