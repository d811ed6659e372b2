"""One GPU for one flow run: checked again, held by one process, and let go when that process or its worker ends."""

import fcntl
import os
import subprocess
import sys
import time
from pathlib import Path

from infra import guardian
from infra.gpu import ask_gpus
from infra.run_code import RunRefused

GPU_WAIT_S = 20.0


def hold_gpu(pool: str, uuid: str, wait_s: float = GPU_WAIT_S) -> str:
    """Take the GPU ``uuid`` for this process until it ends, also over an exec; return what it is.

    Raises:
        RunRefused: the driver's answer does not fit the pool, another process holds the GPU, or the worker is gone.
    """
    words = check_capability(pool, uuid)
    _take(lock_file(uuid), uuid, wait_s)
    _set_guard(uuid)
    return words


def check_capability(pool: str, uuid: str) -> str:
    """Ask the driver again what the GPU is; return it in words."""
    if not uuid:
        raise RunRefused(
            f"pool '{pool}' needs a worker that has one GPU for itself, this one has LAKEGATE_GPU_UUID not set; "
            "start workers on GPUs with `lakegate worker` or `lakegate up`, not with `prefect worker start`"
        )
    answer = ask_gpus()
    gpu = next((gpu for gpu in answer.devices if gpu.uuid == uuid), None)
    if gpu is None:
        raise RunRefused(f"the worker's GPU {uuid} is gone: {answer.words}; look with `nvidia-smi`, start the worker again")
    if gpu.pool != pool:
        raise RunRefused(
            f"pool '{pool}' promises another compute capability than this GPU has: {gpu.words}, {uuid}, belongs to "
            f"'{gpu.pool}'; start the worker again with `lakegate worker`, which reads the capability itself"
        )
    return f"{gpu.words}, {uuid}"


def lock_file(uuid: str) -> Path:
    """Return the lock of a GPU; all state folders of one account share it."""
    root = Path(os.environ.get("LAKEGATE_CACHE") or Path.home() / ".cache" / "lakegate")
    return root / "locks" / f"{uuid}.lock"


def _take(path: Path, uuid: str, wait_s: float) -> None:
    """Lock ``path`` with a descriptor that nobody closes; the kernel lets go of it when the process ends."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    deadline = time.monotonic() + wait_s
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            if time.monotonic() > deadline:
                holder = os.pread(descriptor, 100, 0).decode(errors="replace").strip() or "unknown"
                os.close(descriptor)
                raise RunRefused(
                    f"GPU {uuid} is held by another process, pid {holder}, for more than {wait_s:.0f} s; wait for its end, "
                    "or end it, then run again"
                ) from None
        time.sleep(0.1)
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    os.set_inheritable(descriptor, True)  # kept over an exec; subprocess closes it in children


def _set_guard(uuid: str) -> None:
    """Start the guardian of this process group; returns when it watches."""
    worker = os.getppid()
    if f"LAKEGATE_GPU_UUID={uuid}".encode() not in _environment_of(worker):
        raise RunRefused(f"the worker of GPU {uuid} ended before this flow run began; run it again")
    command = [sys.executable, "-I", "-S", guardian.__file__, str(worker), str(os.getpid())]
    guard = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, start_new_session=True, close_fds=True
    )
    told = guard.stdout.readline().strip() if guard.stdout else ""
    if told != "on guard" or os.getppid() != worker:
        raise RunRefused(f"nothing would end this run with its worker {worker}: that ended, or the kernel is older than 5.3")


def _environment_of(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return b""
