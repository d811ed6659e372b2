"""Where a run ran: Python, packages, lock file, CPU and GPU."""

import platform
from importlib import metadata
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from lakegate.canonical import sha256_file
from lakegate.settings import Settings
from lakegate.training.job import TrainingResult

LOCK_FILE = "requirements.lock"
PACKAGES = (
    "lakegate",
    "torch",
    "numpy",
    "onnx",
    "onnxruntime",
    "onnxscript",
    "opencv-python-headless",
    "pillow",
    "simplejpeg",
    "wandb",
    "prefect",
    "lakefs",
)
UNKNOWN = "unknown"


class Strict(BaseModel):
    """Unknown keys and wrong types are refused; values cannot be changed."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Gpu(Strict):
    """The GPU that was used."""

    name: str
    compute_capability: str
    driver: str
    memory_bytes: int


class Environment(Strict):
    """Where the run ran. ``lock_sha256`` is empty where there is no lock file beside the code."""

    python: str
    platform: str
    cpu: str
    threads: int
    lock_sha256: str
    packages: dict[str, str]
    gpu: Gpu | None


def read_environment(settings: Settings, result: TrainingResult) -> Environment:
    """Read what this machine and this Python are."""
    lock = settings.checkout / LOCK_FILE
    gpu = result.gpu
    return Environment(
        python=platform.python_version(),
        platform=platform.platform(),
        cpu=_cpu_name(),
        threads=result.threads,
        lock_sha256=sha256_file(lock) if lock.is_file() else "",
        packages=package_versions(),
        gpu=Gpu(**vars(gpu)) if gpu else None,
    )


def package_versions() -> dict[str, str]:
    """Return the installed versions of the packages that a result may depend on; absent ones are left out."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def _cpu_name() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or UNKNOWN
