"""What this machine has and lacks for Lakegate, in plain words, with how to get it."""

import os
import platform
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import psutil

from infra import lakefs_server, page_server, prefect_server, processes
from infra.gpu import ask_gpus
from infra.lakefs_binary import LAKEFS_VERSION, existing_binary
from infra.triton_environment import check_platform, existing_environment
from lakegate.errors import SetupProblem
from lakegate.settings import Settings

GIB = 2**30
DISK_NEED_GIB = 10.0
MEMORY_NEED_GIB = 4.0
OLDEST_GO = (1, 21)
"""The first Go that fetches the newer toolchain named in a go.mod by itself."""

CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome")

State = Literal["ok", "missing", "note"]


@dataclass(frozen=True)
class Check:
    """One answer: ``missing`` stops Lakegate, ``note`` narrows what can be done here."""

    name: str
    state: State
    found: str
    advice: str = ""


def examine(settings: Settings) -> list[Check]:
    """Return all checks; changes nothing, needs no network and no running service."""
    return [
        check_python(sys.version_info[:3]),
        check_program("git", "every run records the code's commit"),
        check_program("make", "only for `make demo`, `make test`; the `lakegate` commands work without", needed=False),
        check_disk(settings.home),
        check_memory(),
        check_lakefs(),
        check_port(settings.home, lakefs_server.NAME, settings.lakefs_port, "LAKEGATE_LAKEFS_PORT"),
        check_port(settings.home, prefect_server.NAME, settings.prefect_port, "LAKEGATE_PREFECT_PORT"),
        check_port(settings.home, page_server.NAME, settings.reports_port, "LAKEGATE_REPORTS_PORT"),
        check_samples(settings.samples),
        check_triton(),
        check_chromium(),
        check_gpu(),
    ]


def check_python(version: tuple[int, ...]) -> Check:
    """Judge the version of Python."""
    words = ".".join(str(part) for part in version)
    if (3, 11) <= version[:2] <= (3, 13):
        return Check("python", "ok", words)
    return Check("python", "missing", words, "install Python 3.11, 3.12 or 3.13, then `make PYTHON=python3.12 up`")


def check_program(name: str, use: str, *, needed: bool = True) -> Check:
    """Look for a program on the PATH."""
    path = shutil.which(name)
    if path:
        return Check(name, "ok", path)
    advice = f"install `{name}` with your system's packages ({use})"
    return Check(name, "missing" if needed else "note", "not on the PATH", advice)


def check_disk(home: Path) -> Check:
    """Compare the free space below the state folder with what a demo and a training need."""
    existing = next(folder for folder in (home, *home.parents) if folder.exists())
    free_gib = shutil.disk_usage(existing).free / GIB
    found = f"{free_gib:.1f} GiB free for {home}"
    if free_gib >= DISK_NEED_GIB:
        return Check("disk", "ok", f"{found}, {DISK_NEED_GIB:.0f} needed")
    advice = f"free {DISK_NEED_GIB - free_gib:.1f} GiB, or set LAKEGATE_HOME to a folder on a larger disk"
    return Check("disk", "missing" if free_gib < 1 else "note", f"{found}, {DISK_NEED_GIB:.0f} needed", advice)


def check_memory() -> Check:
    """Compare the memory that is available with what services and a small training need."""
    available_gib = psutil.virtual_memory().available / GIB
    found = f"{available_gib:.1f} GiB available, {MEMORY_NEED_GIB:.0f} needed; {os.cpu_count()} cores"
    if available_gib >= MEMORY_NEED_GIB:
        return Check("memory", "ok", found)
    return Check("memory", "note", found, "close other programs; the services take about 1.5 GiB, a small training about 2")


def check_lakefs() -> Check:
    """Say which lakeFS program would be used, or which way there is to one."""
    rejected: list[str] = []
    try:
        binary = existing_binary(rejected.append)
    except SetupProblem as problem:
        return Check("lakefs", "missing", str(problem), "correct LAKEGATE_LAKEFS")
    if binary:
        return Check("lakefs", "ok", f"{binary.path}: {binary.origin}")
    go = go_version()
    if go and go >= OLDEST_GO:
        words = ".".join(str(part) for part in go)
        found = f"none yet; `lakegate up` tries the official release, else builds {LAKEFS_VERSION} with Go {words}"
        return Check("lakefs", "note", found)
    return Check(
        "lakefs",
        "note",
        "none yet, and no Go 1.21 or newer; `lakegate up` can only try the official release",
        "where that cannot be reached: install Go (from go.dev, or your system's packages), or put a "
        f"`lakefs` {LAKEFS_VERSION} program on the PATH or into LAKEGATE_LAKEFS",
    )


def go_version() -> tuple[int, ...] | None:
    """Return the version of the Go on the PATH, None without one."""
    go = shutil.which("go")
    if not go:
        return None
    environment = {**os.environ, "GOTOOLCHAIN": "local"}
    answer = subprocess.run([go, "env", "GOVERSION"], capture_output=True, text=True, env=environment)
    match = re.match(r"go(\d+)\.(\d+)(?:\.(\d+))?", answer.stdout.strip())
    return tuple(int(part) for part in match.groups() if part) if match else None


def check_port(home: Path, name: str, port: int, variable: str) -> Check:
    """Say whether the service's port is free, ours, or whose it is."""
    label = f"port of {name}"
    running = processes.living(home, name)
    if running:
        return Check(label, "ok", f"{running.port}: this Lakegate's own {name}, pid {running.pid}")
    if port == 0:
        return Check(label, "ok", "any free one")
    if processes.port_is_free(port):
        return Check(label, "ok", f"{port} is free")
    found = f"port {port} is taken by {processes.port_owner(port)}"
    return Check(label, "missing", found, f"stop that process, or set {variable} to another port (0 picks a free one)")


def check_samples(samples: Path | None) -> Check:
    """Look for the folder with the real sample images."""
    if samples and (samples / "bccd").is_dir():
        return Check("sample images", "ok", str(samples))
    advice = "the demo makes its own small set from what scikit-learn ships; for the real one set LAKEGATE_SAMPLES"
    return Check("sample images", "note", f"{samples} is absent or has no bccd/", advice)


def check_triton() -> Check:
    """Say whether models can be served here, and whether tritonserver is here already."""
    try:
        check_platform()
    except SetupProblem as problem:
        return Check("tritonserver", "note", str(problem), "releases work without; they say that they were not served")
    environment = existing_environment()
    if environment:
        return Check("tritonserver", "ok", str(environment.program))
    return Check("tritonserver", "ok", "none yet; `lakegate up` fetches it, once, 53 MB (LAKEGATE_TRITON=no leaves it out)")


def check_chromium() -> Check:
    """Look for a Chromium, which only tests of pages use."""
    path = find_chromium()
    if path:
        return Check("chromium", "ok", str(path))
    return Check("chromium", "note", "not on the PATH", "only tests that look at pages need it; they are skipped without")


def find_chromium() -> Path | None:
    """Return the first Chromium on the PATH."""
    return next((Path(path) for path in map(shutil.which, CHROMIUM_NAMES) if path), None)


def check_gpu() -> Check:
    """Ask NVML; a machine without a GPU is an ordinary machine."""
    answer = ask_gpus()
    if answer.state == "devices":
        return Check("GPU", "ok", answer.words)
    advice = {
        "no library": f"training runs on the CPU ({platform.machine()}); for a GPU install NVIDIA's driver",
        "error": "run `nvidia-smi`; after a driver update restart the machine; until then `lakegate worker` refuses",
        "no device": "run `nvidia-smi`; a container must be started with the GPU",
    }[answer.state]
    return Check("GPU", "note", answer.words, advice)
