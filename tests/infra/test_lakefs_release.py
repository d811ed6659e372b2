"""The way through the official release, against a site on this machine that is laid out like the real one."""

import functools
import hashlib
import http.server
import io
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path

import lakefs.__main__ as downloader
import pytest

from infra.lakefs_release import download_release
from infra.processes import free_port
from lakegate.errors import SetupProblem

VERSION = "1.2.3"


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Write nothing."""


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of one release; the downloader's address leads here."""
    folder = tmp_path / "site" / f"v{VERSION}"
    folder.mkdir(parents=True)
    handler = functools.partial(QuietHandler, directory=str(folder.parent))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setattr(downloader, "BINARY_DOWNLOAD_URL", f"http://127.0.0.1:{server.server_port}/")
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        yield folder
        server.shutdown()


def write_release(site: Path) -> Path:
    machine = downloader._get_platform_info()
    archive = site / f"lakeFS_{VERSION}_{machine.system}_{machine.machine}.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        for name in ("lakefs", "lakectl"):
            content = f"program {name}".encode()
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return archive


def test_an_archive_that_matches_its_checksum_is_unpacked(site: Path, tmp_path: Path) -> None:
    archive = write_release(site)
    (site / "checksums.txt").write_text(f"{hashlib.sha256(archive.read_bytes()).hexdigest()}  {archive.name}\n")
    checked = download_release(VERSION, tmp_path, print)
    assert checked.startswith("SHA-256")
    assert (tmp_path / "lakefs").read_text() == "program lakefs"


def test_an_archive_that_does_not_match_its_checksum_is_not_unpacked(site: Path, tmp_path: Path) -> None:
    archive = write_release(site)
    (site / "checksums.txt").write_text(f"{'0' * 64}  {archive.name}\n")
    with pytest.raises(SetupProblem, match="not used"):
        download_release(VERSION, tmp_path, print)
    assert not (tmp_path / "lakefs").exists()


def test_where_there_are_no_checksums_it_is_said(site: Path, tmp_path: Path) -> None:
    write_release(site)
    assert download_release(VERSION, tmp_path, print).startswith("not verified")


@pytest.mark.usefixtures("site")
def test_a_release_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(SetupProblem, match=f"v{VERSION}/lakeFS_{VERSION}.*404"):
        download_release(VERSION, tmp_path, print)


def test_a_site_that_cannot_be_reached_is_given_up_within_seconds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downloader, "BINARY_DOWNLOAD_URL", f"http://127.0.0.1:{free_port()}/")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with pytest.raises(SetupProblem, match=r"127\.0\.0\.1 cannot be reached"):
        download_release(VERSION, tmp_path, print)
