from __future__ import annotations

import stat
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


def test_a_size_that_is_a_lie(tmp_path: Path) -> None:
    """No more is read than the archive announces, whatever follows."""
    archive = make_zip(tmp_path, {"toy/raw/a.csv": bytes(5000), "toy/split/b.csv": b"2"})
    small, large = (10).to_bytes(4, "little"), (5000).to_bytes(4, "little")
    archive.write_bytes(archive.read_bytes().replace(large, small))
    assert_refused(archive, tmp_path / "out", "toy.zip cannot be unpacked")


def test_a_link_is_unpacked_as_a_file(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    archive = make_zip(tmp_path, {"toy/split/b.csv": b"2"})
    link = zipfile.ZipInfo("toy/raw/a.csv")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(archive, "a") as opened:
        opened.writestr(link, "../../secret")
    extract(archive, tmp_path / "out", NAMES)
    found = tmp_path / "out" / "raw" / "a.csv"
    assert not found.is_symlink() and found.read_text() == "../../secret"


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
