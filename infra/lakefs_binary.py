"""Where the lakeFS server program comes from: the machine, the cache, the official release, or a build with Go."""

import hashlib
import os
import platform
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from infra.lakefs_release import download_release
from lakegate.errors import SetupProblem
from lakegate.settings import Settings

LAKEFS_VERSION = "1.86.0"
LAKEFS_PACKAGE = "github.com/treeverse/lakefs/cmd/lakefs"
GO_MODULE = Path(__file__).parent / "lakefs"
BUILD_TIMEOUT_S = 1800

Say = Callable[[str], None]


@dataclass(frozen=True)
class LakefsBinary:
    """The program, and one sentence about where it came from."""

    path: Path
    origin: str


def find_or_build(settings: Settings, say: Say) -> LakefsBinary:
    """Return the first lakeFS program to be had; ``say`` gets one line for each way that failed, and for slow ones.

    ``LAKEGATE_LAKEFS`` names a program, ``LAKEGATE_CACHE`` moves the cache, ``LAKEGATE_DOWNLOAD=no`` skips the download.

    Raises:
        SetupProblem: no way worked; the message holds the reason for each and what to do.
    """
    found = existing_binary(say)
    if found:
        return found
    reasons: list[str] = []
    for way in (_from_release, _from_go):
        try:
            return way(settings, say)
        except SetupProblem as problem:
            reasons.append(str(problem))
            say(str(problem))
    raise SetupProblem(
        f"no lakeFS program: none on the PATH, LAKEGATE_LAKEFS not set, none cached; {'; '.join(reasons)}. "
        "Install Go 1.21 or newer (it fetches the toolchain that it needs), or put a "
        f"`lakefs` {LAKEFS_VERSION} program on the PATH or into LAKEGATE_LAKEFS"
    )


def existing_binary(say: Say) -> LakefsBinary | None:
    """Return the program that is on this machine already, without network and without building.

    Raises:
        SetupProblem: ``LAKEGATE_LAKEFS`` is set but is not a program.
    """
    named = os.environ.get("LAKEGATE_LAKEFS", "")
    if named:
        if not os.access(named, os.X_OK) or Path(named).is_dir():
            raise SetupProblem(f"LAKEGATE_LAKEFS is {named}, expected an executable file; correct it or unset it")
        return LakefsBinary(Path(named).resolve(), "named by LAKEGATE_LAKEFS")
    on_path = shutil.which("lakefs")
    if on_path and _is_server(Path(on_path)):
        return LakefsBinary(Path(on_path), "found on the PATH")
    if on_path:
        say(f"{on_path} on the PATH is not a lakeFS server that runs; passed over")
    cached = cached_path()
    if cached.is_file() and os.access(cached, os.X_OK):
        note = _origin_file(cached)
        return LakefsBinary(cached, f"cached, {note.read_text().strip() if note.exists() else 'origin unknown'}")
    return None


def cached_path() -> Path:
    """Return where the cached program of the pinned version is for this machine, whether it exists or not."""
    root = Path(os.environ.get("LAKEGATE_CACHE") or Path.home() / ".cache" / "lakegate")
    return root / f"lakefs-{LAKEFS_VERSION}" / f"{platform.system().lower()}-{platform.machine().lower()}" / "lakefs"


def _from_release(_settings: Settings, say: Say) -> LakefsBinary:
    if os.environ.get("LAKEGATE_DOWNLOAD", "").lower() in ("no", "off", "0", "false"):
        raise SetupProblem("official release: skipped, LAKEGATE_DOWNLOAD says no")
    aside = _aside("release")
    try:
        checked = download_release(LAKEFS_VERSION, aside, say)
        return _keep(aside / "lakefs", f"official release {LAKEFS_VERSION}, {checked}")
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _from_go(_settings: Settings, say: Say) -> LakefsBinary:
    go = shutil.which("go")
    if not go:
        raise SetupProblem("build with Go: no `go` on the PATH")
    if not (GO_MODULE / "go.sum").is_file():
        raise SetupProblem(f"build with Go: {GO_MODULE / 'go.sum'} is missing; take it from the repository")
    say(f"building lakeFS {LAKEFS_VERSION} with Go, once: some 4 minutes on two cores, 2 GB of Go cache")
    aside = _aside("build")
    environment = {**os.environ, "GOFLAGS": "-mod=readonly -buildvcs=false", "GOWORK": "off", "CGO_ENABLED": "0"}
    command = [go, "build", "-ldflags", "-s -w", "-o", str(aside / "lakefs"), LAKEFS_PACKAGE]
    try:
        built = subprocess.run(command, cwd=GO_MODULE, env=environment, capture_output=True, text=True, timeout=BUILD_TIMEOUT_S)
        if built.returncode:
            raise SetupProblem(f"build with Go: `go build` ended with {built.returncode}: {built.stderr.strip()[-600:]}")
        return _keep(aside / "lakefs", f"{LAKEFS_VERSION} built with Go from infra/lakefs/go.mod (a page without the web UI)")
    except subprocess.TimeoutExpired as error:
        raise SetupProblem(f"build with Go: not ready after {BUILD_TIMEOUT_S} s") from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _aside(purpose: str) -> Path:
    folder = cached_path().parent / f".{purpose}-{os.getpid()}"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _keep(program: Path, origin: str) -> LakefsBinary:
    target = cached_path()
    program.chmod(0o755)
    if not _is_server(program):
        raise SetupProblem(f"{origin}: the program does not run on this machine ({platform.system()} {platform.machine()})")
    digest = hashlib.sha256(program.read_bytes()).hexdigest()
    note = program.with_name("origin.txt")
    note.write_text(f"{origin}; SHA-256 {digest}\n")
    note.replace(_origin_file(target))
    program.replace(target)
    return LakefsBinary(target, f"{origin}; cached in {target.parent}")


def _origin_file(program: Path) -> Path:
    return program.with_name("origin.txt")


def _is_server(program: Path) -> bool:
    try:
        answer = subprocess.run([str(program), "--version"], capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return answer.returncode == 0 and "lakefs version" in answer.stdout.lower()
