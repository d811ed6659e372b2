"""The ONNX file that a comparison judges: the run's model.onnx, or the same network in the precision of an engine."""

import tempfile
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from lakegate.canonical import exact_json, sha256_bytes, sha256_file
from lakegate.declarations import Precision
from lakegate.engines.precision import RECIPE_VERSION
from lakegate.lake.client import LakeClient
from lakegate.lifecycle.engine_run import CalibratedRun, open_run
from lakegate.registry import runs
from lakegate.registry.documents import RunReference
from lakegate.settings import Settings

AS_SERVED: Precision = "fp32"


@dataclass(frozen=True)
class JudgedFile:
    """An ONNX file, and the SHA-256 that it must have."""

    path: Path
    sha256: str


def judged_file(client: LakeClient, settings: Settings, model: str, run: RunReference, precision: Precision) -> JudgedFile:
    """Return the file; a narrowed one is made once and kept in the cache, by everything that determines it.

    Raises:
        BadInput: the run is no detector; only those have engines.
        EngineNotBuilt: this network cannot be had in this precision.
    """
    if precision == AS_SERVED:
        return JudgedFile(runs.fetch_file(client, settings, run, runs.ONNX), run.model_sha256)
    opened = open_run(client, settings, model, run, precision)
    folder = settings.cache_dir / "narrowed" / _digest(opened, run, precision)[:32]
    found = next((path for path in folder.glob("*.onnx") if sha256_file(path) == path.stem), None)
    if found is not None:
        return JudgedFile(found, found.stem)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".making-", dir=folder) as aside:
        made = opened.narrow(Path(aside) / "narrowed.onnx")
        return JudgedFile(made.path.replace(folder / f"{made.sha256}.onnx"), made.sha256)


def _digest(opened: CalibratedRun, run: RunReference, precision: Precision) -> str:
    calibrated = "" if opened.calibration is None else opened.calibration.digest
    tools = [RECIPE_VERSION, version("onnxruntime"), version("onnx")]
    input_px = list(opened.declaration.architecture.input_px)
    return sha256_bytes(exact_json([run.model_sha256, precision, input_px, calibrated, tools]))


def runtime_words(runtime: str, precision: Precision) -> str:
    """Say what the models ran on.

    >>> runtime_words("onnxruntime 1.24", "fp32")
    'onnxruntime 1.24'
    >>> runtime_words("onnxruntime 1.24", "int8")
    'onnxruntime 1.24, the candidate in int8 as engines are built from it, a baseline as it is served; no engine was run'
    """
    if precision == AS_SERVED:
        return runtime
    words = f"the candidate in {precision} as engines are built from it, a baseline as it is served"
    return f"{runtime}, {words}; no engine was run"
