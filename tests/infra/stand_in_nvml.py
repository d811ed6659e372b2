"""Builds the stand-in for NVIDIA's management library and says in which environment a process sees its devices."""

import shutil
import subprocess
from pathlib import Path

import pytest

TURING = "Stand-in T4:7.5:15360:GPU-75000000-0000-4000-8000-{}"
AMPERE = "Stand-in A10:8.6:24576:GPU-86000000-0000-4000-8000-{}"


def build(folder: Path) -> Path:
    """Compile the library into ``folder``; skips where there is no compiler."""
    gcc = shutil.which("gcc")
    if not gcc:
        pytest.skip("gcc is absent; it compiles the stand-in for NVML")
    source = Path(__file__).with_name("fake_nvml.c")
    subprocess.run([gcc, "-shared", "-fPIC", "-o", str(folder / "libnvidia-ml.so.1"), str(source)], check=True)
    return folder


def environment(folder: Path, *devices: str) -> dict[str, str]:
    """Return the variables under which a process sees ``devices``."""
    return {"LD_LIBRARY_PATH": str(folder), "FAKE_NVML": ",".join(devices)}


def devices_of(serial: str) -> tuple[str, str]:
    """Return a GPU of 7.5 and one of 8.6 whose UUIDs end in ``serial`` (12 characters)."""
    return TURING.format(serial), AMPERE.format(serial)
