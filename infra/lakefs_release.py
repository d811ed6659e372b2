"""The official lakeFS release, through the parts of the ``lakefs`` package's downloader, with timeouts and a checksum."""

import hashlib
import io
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import requests

from lakegate.errors import SetupProblem

REACH_TIMEOUT_S = 4.0
READ_TIMEOUT_S = 20.0
WAY = "official release"


def download_release(version: str, folder: Path, say: Callable[[str], None]) -> str:
    """Unpack the released ``lakefs`` and ``lakectl`` into ``folder``; return how the archive was checked, in words.

    Raises:
        SetupProblem: the site cannot be reached within seconds, has no such release, or the archive is not what its
            checksum promises.
    """
    from lakefs.__main__ import BINARY_DOWNLOAD_URL, _extract_binaries, _get_platform_info

    try:
        machine = _get_platform_info()
    except ValueError as error:
        raise SetupProblem(f"{WAY}: {error}") from error
    base = f"{BINARY_DOWNLOAD_URL}v{version}"
    archive = f"lakeFS_{version}_{machine.system}_{machine.machine}.tar.gz"
    _require_reachable(base)
    say(f"downloading the official release of lakeFS {version}")
    content = _fetch(f"{base}/{archive}")
    checked = _check(content, archive, f"{base}/checksums.txt")
    try:
        _extract_binaries(io.BytesIO(content), str(folder), machine)
    except (RuntimeError, KeyError) as error:
        raise SetupProblem(f"{WAY}: the archive does not unpack: {error}") from error
    return checked


def _require_reachable(url: str) -> None:
    """Raise within seconds where there is no way to the site; a name look-up has no timeout of its own, a thread has."""
    parts = urlsplit(url)
    if requests.utils.get_environ_proxies(url):
        return
    port = parts.port or (443 if parts.scheme == "https" else 80)
    errors: list[OSError] = []
    done = threading.Event()

    def reach() -> None:
        try:
            socket.create_connection((parts.hostname or "", port), timeout=REACH_TIMEOUT_S).close()
        except OSError as error:
            errors.append(error)
        done.set()

    threading.Thread(target=reach, daemon=True).start()
    if not done.wait(REACH_TIMEOUT_S) or errors:
        reason = str(errors[0]) if errors else f"no answer within {REACH_TIMEOUT_S:.0f} s"
        raise SetupProblem(f"{WAY}: {parts.hostname} cannot be reached ({reason})")


def _fetch(url: str) -> bytes:
    try:
        answer = requests.get(url, timeout=(REACH_TIMEOUT_S, READ_TIMEOUT_S))
        answer.raise_for_status()
    except requests.RequestException as error:
        raise SetupProblem(f"{WAY}: {url} could not be fetched: {error}") from error
    return answer.content


def _check(content: bytes, archive: str, checksums_url: str) -> str:
    try:
        checksums = _fetch(checksums_url).decode(errors="replace")
    except SetupProblem:
        return "not verified (the release's checksums were not to be had)"
    lines = [line.split() for line in checksums.splitlines()]
    promised = {line[1].lstrip("*").lower(): line[0] for line in lines if len(line) == 2}.get(archive.lower())
    if promised is None:
        return "not verified (the release's checksums do not list it)"
    digest = hashlib.sha256(content).hexdigest()
    if promised != digest:
        raise SetupProblem(f"{WAY}: SHA-256 of {archive} is {digest}, the release promises {promised}; not used")
    return "SHA-256 as the release's own checksums say"
