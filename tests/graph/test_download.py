from __future__ import annotations

import hashlib
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from gas_cli.errors import UserError
from gas_cli.graph.download import DownloadError, Patience, RemoteFile, download, ensure_files

if TYPE_CHECKING:
    from tests.graph.conftest import WebServer

QUICK = Patience(attempts=3, pause=0.0, timeout=5.0)
CONTENT = bytes(range(256)) * 5000


def fetch(server: WebServer, folder: Path, size: int | None = None, sha256: str | None = None) -> Path:
    return download(RemoteFile("data.bin", server.url, size, sha256), folder, progress=False, patience=QUICK)


def test_file_arrives_whole_and_checked(web_server: WebServer, tmp_path: Path) -> None:
    web_server.content = CONTENT
    path = fetch(web_server, tmp_path, len(CONTENT), hashlib.sha256(CONTENT).hexdigest())
    assert path == tmp_path / "data.bin" and path.read_bytes() == CONTENT
    assert [p.name for p in tmp_path.iterdir()] == ["data.bin"]


def test_interrupted_transfer_goes_on_where_it_stopped(web_server: WebServer, tmp_path: Path) -> None:
    web_server.content, web_server.cut = CONTENT, [1000, 500]
    assert fetch(web_server, tmp_path).read_bytes() == CONTENT
    assert web_server.asked == [None, "bytes=1000-", "bytes=1500-"]


def test_part_of_an_earlier_run_is_continued(web_server: WebServer, tmp_path: Path) -> None:
    web_server.content = CONTENT
    (tmp_path / "data.bin.part").write_bytes(CONTENT[:777])
    assert fetch(web_server, tmp_path).read_bytes() == CONTENT
    assert web_server.asked == ["bytes=777-"]


def test_part_that_is_already_whole(web_server: WebServer, tmp_path: Path) -> None:
    web_server.content = CONTENT
    (tmp_path / "data.bin.part").write_bytes(CONTENT)
    assert fetch(web_server, tmp_path).read_bytes() == CONTENT


def test_part_longer_than_the_file_starts_over(web_server: WebServer, tmp_path: Path) -> None:
    web_server.content = CONTENT
    (tmp_path / "data.bin.part").write_bytes(CONTENT + b"more")
    assert fetch(web_server, tmp_path).read_bytes() == CONTENT


def test_server_without_ranges_starts_over(web_server: WebServer, tmp_path: Path) -> None:
    web_server.content, web_server.ranges, web_server.cut = CONTENT, False, [1000]
    assert fetch(web_server, tmp_path).read_bytes() == CONTENT


def test_busy_server_is_asked_again(web_server: WebServer, tmp_path: Path) -> None:
    web_server.content, web_server.status = CONTENT, [503, 429]
    assert fetch(web_server, tmp_path).read_bytes() == CONTENT


def test_attempts_end(web_server: WebServer, tmp_path: Path) -> None:
    web_server.content, web_server.cut = CONTENT, [1, 1, 1]
    with pytest.raises(DownloadError, match=r"stopped after 3 of 1280000 bytes, after 3 attempts"):
        fetch(web_server, tmp_path)
    assert (tmp_path / "data.bin.part").read_bytes() == CONTENT[:3]


def test_absent_file_is_not_asked_for_twice(web_server: WebServer, tmp_path: Path) -> None:
    web_server.status = [404]
    with pytest.raises(DownloadError, match="answered 404"):
        fetch(web_server, tmp_path)
    assert len(web_server.asked) == 1


@pytest.mark.parametrize("content_type", ["text/html; charset=utf-8", "application/octet-stream"])
def test_web_page_in_place_of_the_file(web_server: WebServer, tmp_path: Path, content_type: str) -> None:
    web_server.content, web_server.content_type = b"\n<!DOCTYPE html><html>Please log in</html>", content_type
    with pytest.raises(DownloadError, match="sent a web page instead of the file"):
        fetch(web_server, tmp_path)
    assert not (tmp_path / "data.bin").exists()


def test_wrong_size_leaves_nothing(web_server: WebServer, tmp_path: Path) -> None:
    web_server.content = CONTENT
    with pytest.raises(DownloadError, match="gave 1280000 bytes where 99 were expected"):
        fetch(web_server, tmp_path, size=99)
    assert list(tmp_path.iterdir()) == []


def test_wrong_sha256_leaves_nothing(web_server: WebServer, tmp_path: Path) -> None:
    web_server.content = CONTENT
    with pytest.raises(DownloadError, match=r"sha256 .* where 00 was expected"):
        fetch(web_server, tmp_path, sha256="00")
    assert list(tmp_path.iterdir()) == []


def test_without_network_one_sentence_says_what_to_do(tmp_path: Path) -> None:
    def nobody_there(missing: list[str]) -> None:
        download(RemoteFile("a.npz", "http://127.0.0.1:9/a.npz"), tmp_path, False, Patience(attempts=1, timeout=1.0))

    with pytest.raises(
        UserError, match=r"'toy' needs a.npz, b.npz in .*cannot be reached.*or use dataset=generated, which needs none"
    ) as error:
        ensure_files("toy", tmp_path / "raw", ["a.npz", "b.npz"], True, nobody_there)
    assert str((tmp_path / "raw").absolute()) in str(error.value)


def test_download_forbidden_never_fetches(tmp_path: Path) -> None:
    (tmp_path / "a.npz").touch()
    with pytest.raises(UserError, match=r"'toy' needs b.npz in .*dataset.download=false"):
        ensure_files("toy", tmp_path, ["a.npz", "b.npz"], False, lambda missing: pytest.fail("fetched"))
    assert [p.name for p in tmp_path.iterdir()] == ["a.npz"]


def test_only_missing_files_are_fetched(tmp_path: Path) -> None:
    (tmp_path / "a.npz").touch()
    asked: list[str] = []

    def fetch_missing(missing: list[str]) -> None:
        asked.extend(missing)
        (tmp_path / "b.npz").touch()

    for _ in range(2):
        ensure_files("toy", tmp_path, ["a.npz", "b.npz"], True, fetch_missing)
    assert asked == ["b.npz"]


def test_fetch_that_brings_nothing(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="they were not in the download"):
        ensure_files("toy", tmp_path, ["a.npz"], True, lambda missing: None)


def test_unwritable_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"'toy' cannot be stored in .*file/raw \(Not a directory\)"):
        ensure_files("toy", tmp_path / "file" / "raw", ["a.npz"], True, lambda missing: None)


def test_two_at_once_download_once(web_server: WebServer, tmp_path: Path) -> None:
    web_server.content = CONTENT

    def job() -> None:
        ensure_files("toy", tmp_path, ["data.bin"], True, lambda missing: fetch(web_server, tmp_path) and None)

    threads = [threading.Thread(target=job) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(web_server.asked) == 1 and (tmp_path / "data.bin").read_bytes() == CONTENT
