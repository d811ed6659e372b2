"""The build in a process of its own: TensorRT may end it by a signal, and that must end nothing else.

``python -m lakegate.engines.build_process probe|build FOLDER`` reads ``job.json`` and leaves ``answer.json`` or ``error.json``.
"""

import ctypes
import os
import platform
import signal
import subprocess
import sys
import time
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from lakegate.code_version import code_root
from lakegate.declarations import ModelDeclaration, Precision
from lakegate.engines.closeness import Limits, measure
from lakegate.engines.engine_key import BuildOptions, BuildReport, GpuDevice, Profile
from lakegate.errors import EngineNotBuilt, LakegateError, SetupProblem
from lakegate.imaging import read_image

PLAN, JOB, ANSWER, ERROR, LOG = "engine.plan", "job.json", "answer.json", "error.json", "build.log"
LIMIT_S = 3600.0
LOG_LINES_SHOWN = 8
DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG


class _Document(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Probe(_Document):
    """What this machine can build."""

    tensorrt: str
    device: GpuDevice
    platform: str


class BuildJob(_Document):
    """What the build process is told."""

    onnx: Path  # in its precision
    reference: Path  # model.onnx of the run
    precision: Precision
    profiles: dict[str, Profile]
    options: BuildOptions
    timing_cache: Path
    declaration: ModelDeclaration
    limits: Limits
    pictures: tuple[Path, ...]
    threads: int


class _Refusal(_Document):
    is_setup: bool
    words: str


def probe(folder: Path) -> Probe:
    """Ask a process of its own which TensorRT and GPU are here.

    Raises:
        SetupProblem: TensorRT cannot be loaded, or no GPU is to be seen.
    """
    return Probe.model_validate_json(_run("probe", folder, 300.0))


def build(folder: Path, job: BuildJob, limit_s: float = LIMIT_S) -> tuple[Path, BuildReport]:
    """Build and check in a process of its own; return the plan's file and the report.

    Raises:
        EngineNotBuilt: refused, not close enough to model.onnx, ended by a signal, or not finished within ``limit_s``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / JOB).write_bytes(job.model_dump_json(by_alias=True).encode())
    return folder / PLAN, BuildReport.model_validate_json(_run("build", folder, limit_s))


def _run(what: str, folder: Path, limit_s: float) -> bytes:
    folder.mkdir(parents=True, exist_ok=True)
    for name in (ANSWER, ERROR, PLAN):
        (folder / name).unlink(missing_ok=True)
    command = [sys.executable, "-m", __name__, what, str(folder), str(os.getpid())]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(code_root()), os.environ.get("PYTHONPATH", "")])}
    with (folder / LOG).open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=environment, cwd=folder)
        try:
            code = process.wait(limit_s)
        except subprocess.TimeoutExpired as error:
            raise EngineNotBuilt(f"the {what} did not end within {limit_s:g} s; {_last_lines(folder)}") from error
        finally:
            process.kill()
            process.wait()
    if (folder / ERROR).exists():
        refusal = _Refusal.model_validate_json((folder / ERROR).read_bytes())
        raise (SetupProblem if refusal.is_setup else EngineNotBuilt)(refusal.words)
    if code or not (folder / ANSWER).exists():
        raise EngineNotBuilt(f"the {what} process ended by {_name_end(code)}; {_last_lines(folder)}")
    return (folder / ANSWER).read_bytes()


def _name_end(code: int) -> str:
    return f"the signal {signal.Signals(-code).name}" if code < 0 else f"exit status {code}"


def _last_lines(folder: Path) -> str:
    lines = (folder / LOG).read_text(errors="replace").strip().splitlines()[-LOG_LINES_SHOWN:]
    return "its last words:" + "".join(f"\n  {line}" for line in lines or ["(none)"])


def read_device() -> GpuDevice:
    """Return the first GPU that this process sees (``CUDA_VISIBLE_DEVICES`` chooses it).

    Raises:
        SetupProblem: torch sees no GPU.
    """
    import torch

    if not torch.cuda.is_available():
        raise SetupProblem("torch sees no GPU in this process; run this in a worker of a pool gpu-ccXX (`lakegate worker`)")
    found = torch.cuda.get_device_properties(0)
    return GpuDevice(name=found.name, compute_capability=f"{found.major}.{found.minor}", driver=_read_driver())


def _read_driver() -> str:
    import pynvml

    try:
        pynvml.nvmlInit()
        return str(pynvml.nvmlSystemGetDriverVersion())
    except pynvml.NVMLError as error:
        return f"unknown ({error})"


def _probe_here() -> Probe:
    from lakegate.engines.tensorrt_builder import load_tensorrt

    trt = load_tensorrt()
    where = f"{platform.system().lower()}-{platform.machine()}"
    return Probe(tensorrt=str(trt.__version__), device=read_device(), platform=where)


def _build_here(folder: Path) -> BuildReport:
    from lakegate.engines.engine_session import EngineModel
    from lakegate.engines.onnx_session import OnnxModel
    from lakegate.engines.tensorrt_builder import build_plan, load_tensorrt

    job = BuildJob.model_validate_json((folder / JOB).read_bytes())
    started = time.monotonic()
    trt = load_tensorrt()
    plan, report = build_plan(trt, job.onnx, job.profiles, job.precision, job.options, job.timing_cache)
    pictures = [read_image(path) for path in job.pictures]
    closeness = measure(EngineModel(trt, plan), OnnxModel(job.reference, job.threads), pictures, job.declaration, job.limits)
    if not closeness.passed:
        raise EngineNotBuilt(
            f"the {job.precision} engine does not compute what model.onnx does: {'; '.join(closeness.failures)}; "
            "declare another precision, or raise the limits of this engine in [export] engines"
        )
    (folder / PLAN).write_bytes(plan)
    return report.model_copy(update={"closeness": closeness, "duration_s": round(time.monotonic() - started, 3)})


def main(words: list[str]) -> int:
    """Do one job; 0 where ``answer.json`` was written, 3 where ``error.json`` says why not."""
    what, folder, parent = words[0], Path(words[1]), int(words[2])
    _die_with(parent)
    answer: BaseModel
    try:
        answer = _probe_here() if what == "probe" else _build_here(folder)
    except LakegateError as error:
        (folder / ERROR).write_text(_Refusal(is_setup=isinstance(error, SetupProblem), words=str(error)).model_dump_json())
        return 3
    (folder / ANSWER).write_bytes(answer.model_dump_json().encode())
    return 0


def _die_with(parent: int) -> None:
    """Let the kernel kill this process when its parent dies: a killed worker's build must not hold the GPU."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(DIE_WITH_PARENT, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
