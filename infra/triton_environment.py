"""Where tritonserver comes from: the wheel of nvidia-pytriton in a virtual environment of its own."""

import fcntl
import os
import platform
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lakegate.canonical import sha256_file
from lakegate.errors import SetupProblem

LOCK_FILE = Path(__file__).parent / "triton" / "requirements.lock"
INSTALL_TIMEOUT_S = 900
DIGEST_LENGTH = 12
NEWEST_PYTHON = (3, 12)
_VERSION = f"{sys.version_info[0]}.{sys.version_info[1]}"

Say = Callable[[str], None]


@dataclass(frozen=True)
class TritonEnvironment:
    """A virtual environment with tritonserver, its Python backend, and the packages that a version directory needs."""

    folder: Path

    @property
    def packages(self) -> Path:
        return self.folder / "lib" / f"python{_VERSION}" / "site-packages"

    @property
    def program(self) -> Path:
        return self.packages / "pytriton" / "tritonserver" / "bin" / "tritonserver"

    @property
    def backends(self) -> Path:
        return self.packages / "pytriton" / "tritonserver" / "backends"

    @property
    def variables(self) -> dict[str, str]:
        """What the server's process needs so that its backend runs this Python with these packages.

        The backend's Python is isolated: it ignores ``PYTHONPATH`` and ``PYTHONHOME``, and takes the ``python3`` of the PATH.
        """
        path = [str(self.folder / "bin"), os.environ.get("PATH", os.defpath)]
        return {"PATH": os.pathsep.join(path), "LD_LIBRARY_PATH": str(_library_dir())}


def cached_path() -> Path:
    """Return where the folder for this lock file and this Python is, whether it exists or not."""
    root = Path(os.environ.get("LAKEGATE_CACHE") or Path.home() / ".cache" / "lakegate")
    return root / f"triton-{sha256_file(LOCK_FILE)[:DIGEST_LENGTH]}-py{_VERSION}"


def existing_environment() -> TritonEnvironment | None:
    """Return the folder that is on this machine already; starts and fetches nothing."""
    environment = TritonEnvironment(cached_path())
    return environment if environment.program.is_file() else None


def find_or_install(say: Say) -> TritonEnvironment:
    """Return the folder, installed once from the lock file: aside, then renamed; two installers wait for each other.

    Raises:
        SetupProblem: there is no tritonserver for this machine, or the packages are not to be had.
    """
    check_platform()
    environment = existing_environment()
    if environment:
        return environment
    target = cached_path()
    target.parent.mkdir(parents=True, exist_ok=True)
    with _locked(target.with_name(f".{target.name}.lock")):
        environment = existing_environment()
        if environment:
            return environment
        say("tritonserver: fetching 53 MB with its Python packages, once")
        aside = target.with_name(f".{target.name}-{os.getpid()}")
        try:
            _install(TritonEnvironment(aside))
            _complete(TritonEnvironment(aside))
            shutil.rmtree(target, ignore_errors=True)
            aside.rename(target)
        finally:
            shutil.rmtree(aside, ignore_errors=True)
    return TritonEnvironment(target)


def check_platform() -> None:
    """Refuse a machine that the wheel was not built for.

    Raises:
        SetupProblem: not Linux on x86-64 with glibc, or a Python without its shared library.
    """
    machine = f"{platform.system()} {platform.machine()}"
    if machine != "Linux x86_64" or platform.libc_ver()[0] != "glibc":
        raise SetupProblem(
            f"tritonserver runs on Linux x86_64 with glibc 2.35 or newer; this is {machine}, no models are served here"
        )
    if sys.version_info[:2] > NEWEST_PYTHON:
        raise SetupProblem(
            f"tritonserver's Python backend needs NumPy 1.26, which Python {_VERSION} cannot run; "
            "use Python 3.11 or 3.12 to have models served here"
        )
    library = _library_dir() / f"libpython{_VERSION}.so.1.0"
    if not library.exists():
        raise SetupProblem(
            f"tritonserver's Python backend needs {library}, which is not there; "
            "use a Python that was built with --enable-shared"
        )


def _library_dir() -> Path:
    """Return the folder of this Python's shared library."""
    return Path(sysconfig.get_config_var("LIBDIR") or Path(sys.base_prefix) / "lib")


def _install(environment: TritonEnvironment) -> None:
    """Make the virtual environment and install exactly what the lock file names, its digests checked.

    No script in it is used and its ``pyvenv.cfg`` names the base Python only, so the folder may be renamed afterwards.
    """
    _run([sys.executable, "-m", "venv", "--clear", "--without-pip", str(environment.folder)])
    uv = shutil.which("uv", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]))
    if uv:
        command = [uv, "pip", "install", "--quiet", "--no-deps", "--require-hashes", "--python", sys.executable]
    else:
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--require-hashes"]
    _run([*command, "--target", str(environment.packages), "-r", str(LOCK_FILE)])


def _run(command: list[str]) -> None:
    what = "tritonserver's environment"
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_TIMEOUT_S)
    except subprocess.TimeoutExpired as error:
        raise SetupProblem(f"{what} was not ready after {INSTALL_TIMEOUT_S} s; try again") from error
    if done.returncode:
        raise SetupProblem(
            f"{what} cannot be made (exit status {done.returncode}): {done.stderr.strip()[-600:]}; "
            "it needs glibc 2.35 or newer and the package index that pip uses"
        )


def _complete(environment: TritonEnvironment) -> None:
    """Put the stub for this Python where the Python backend looks for it."""
    stub = environment.backends.parent / "python_backend_stubs" / _VERSION / "triton_python_backend_stub"
    if not stub.is_file():
        raise SetupProblem(f"this tritonserver has no backend for Python {_VERSION}; use Python 3.11 or 3.12")
    target = environment.backends / "python" / stub.name
    shutil.copyfile(stub, target)
    for program in (target, environment.program):
        program.chmod(0o755)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold the lock file; it ends with its process."""
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
