"""Engines of a trained run on the real lakeFS: everything but the build itself, which needs a GPU (tests/gpu)."""

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from lakegate.canonical import sha256_bytes
from lakegate.declarations import EngineTable, ExportTable
from lakegate.engines.build_process import Probe
from lakegate.engines.calibration import read_inputs
from lakegate.engines.engine_key import BuildReport, EngineRecord, GpuDevice
from lakegate.engines.onnx_graphs import prepare
from lakegate.engines.onnx_session import OnnxModel
from lakegate.engines.quantisation import quantise
from lakegate.errors import BadInput, EngineNotBuilt, SetupProblem
from lakegate.lifecycle import engine_run, export_run, release, training_run
from lakegate.lifecycle.engine_run import NarrowedRun
from lakegate.lifecycle.training_run import recipe_digest
from lakegate.registry import runs
from lakegate.registry.store import REPOSITORY
from lakegate.settings import Settings
from tests.lifecycle.conftest import Workshop
from tests.squares import declare_model, write_squares

pytestmark = pytest.mark.services
GPU = Probe(
    tensorrt="11.4.0.106",
    device=GpuDevice(name="NVIDIA A10G", compute_capability="8.6", driver="595.00"),
    platform="linux-x86_64",
)
INT8, FP16 = EngineTable(compute_capability="8.6", precision="int8"), EngineTable(compute_capability="8.6")


RELEASE = """
import json, sys
from prefect import flow
from flows.build_engine import build_engine
from tasks import building, releasing

@flow
def release(model, version):
    plan = releasing.plan_release(model, version, -1, "ada")
    return [item.model_dump() for item in building.ensure_engines(build_engine, plan)]

print(json.dumps(release(sys.argv[1], sys.argv[2])))
"""


class Trained(Workshop):
    """A model with one exported run."""

    model, run = "", ""

    def train(self) -> None:
        self.publish(write_squares(self.folder / "one", range(24)), "v1")
        self.model = f"finder-{self.dataset[-8:]}"
        declare_model(self.checkout, self.model, [self.dataset])
        plan = release.plan_release(self.client, self.settings, self.model, f"{self.dataset}@v1", None)
        training_run.fit_run(self.client, self.settings, plan.training, "", self.lines.append)
        training_run.commit(self.client, self.settings, plan.training)
        self.run = plan.training.run_id
        export_run.export(self.client, self.settings, self.model, self.run, self.lines.append)

    @contextmanager
    def demanding(self, lines: str) -> Iterator[None]:
        """Let model.toml demand engines for a while."""
        path = self.checkout / "models" / self.model / "model.toml"
        before = path.read_text()
        path.write_text(f"{before}[[export.engines]]\n{lines}\n")
        try:
            yield
        finally:
            path.write_text(before)

    def narrowed(self, engine: EngineTable, folder: Path) -> NarrowedRun:
        reference = runs.reference(self.client, self.model, self.run)
        return engine_run.narrow_run(self.client, self.settings, self.model, reference, engine, folder)

    def files(self) -> set[str]:
        reference = runs.reference(self.client, self.model, self.run)
        return {entry.path for entry in self.client.list_objects(REPOSITORY, reference.commit, "")}


@pytest.fixture(scope="module")
def trained(lakefs_stack: Settings, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    workshop = Trained(tmp_path_factory.mktemp("engines"), lakefs_stack)
    workshop.train()
    return workshop


def a_record(trained: Trained, narrowed: NarrowedRun, plan: bytes, built_at: str = "2026-01-01T00:00:00+00:00") -> EngineRecord:
    key = engine_run.engine_key(GPU, narrowed)
    return EngineRecord(
        model=trained.model,
        run_id=trained.run,
        file=key.file_name,
        key=key,
        device=GPU.device,
        source_sha256="a" * 64,
        metadata=narrowed.metadata,
        narrowing=dict(narrowed.model.report),
        calibration=narrowed.calibration,
        onnx_closeness=narrowed.closeness,
        build=BuildReport(
            tensorrt=GPU.tensorrt,
            plan_sha256=sha256_bytes(plan),
            plan_bytes=len(plan),
            tensors=(),
            layers="{}",
            warnings=(),
            duration_s=1.0,
        ),
        built_at=built_at,
        flow_run_id="",
    )


def test_int8_of_a_trained_run_is_calibrated_on_its_own_pinned_images(trained: Trained, tmp_path: Path) -> None:
    narrowed = trained.narrowed(INT8, tmp_path)
    assert narrowed.closeness.passed
    assert narrowed.closeness.n_images == 8
    assert narrowed.calibration is not None
    assert list(narrowed.calibration.commits) == [f"{trained.dataset}@v1"]
    assert len(narrowed.calibration.images) == narrowed.model.report["n_images"] > 10
    assert narrowed.metadata["run"] == trained.run
    assert engine_run.engine_key(GPU, narrowed).calibration_digest == narrowed.calibration.digest


def test_int8_scales_from_images_of_nothing_do_not_follow_the_model(trained: Trained, tmp_path: Path) -> None:
    narrowed = trained.narrowed(INT8, tmp_path)
    prepare(narrowed.source, (64, 64), tmp_path / "prepared.onnx")
    grey = [np.full_like(batch, 128) for batch in read_inputs(narrowed.pictures, (64, 64))]
    model, _ = quantise(tmp_path / "prepared.onnx", grey, tmp_path / "grey.onnx")
    (tmp_path / "grey.onnx").write_bytes(model.SerializeToString())
    inputs = np.concatenate(list(read_inputs(narrowed.pictures, (64, 64))))
    right, wrong, expected = (
        OnnxModel(path).infer(inputs)[1] for path in (narrowed.model.path, tmp_path / "grey.onnx", narrowed.source)
    )
    assert np.abs(wrong - expected).mean() > 3 * np.abs(right - expected).mean()


def test_a_precision_that_moves_the_answers_beyond_its_limits_is_refused(trained: Trained, tmp_path: Path) -> None:
    strict = INT8.model_copy(update={"max_score_error": 1e-6})
    with pytest.raises(EngineNotBuilt, match=r"in int8 does not compute what model\.onnx does: batch 1, slot 0: scores off by"):
        trained.narrowed(strict, tmp_path)


def test_a_stored_engine_is_found_again_and_the_newest_counts(trained: Trained, tmp_path: Path) -> None:
    narrowed = trained.narrowed(FP16, tmp_path)
    assert engine_run.find_engine(trained.client, trained.model, trained.run, FP16) is None
    (tmp_path / "engine.plan").write_bytes(b"a plan")
    record = a_record(trained, narrowed, b"a plan")
    assert engine_run.commit(trained.client, record, tmp_path / "engine.plan") == record
    assert engine_run.find_engine(trained.client, trained.model, trained.run, FP16) == record
    assert {record.file, engine_run.record_name(record.file)} <= trained.files()
    assert runs.reference(trained.client, trained.model, trained.run).model_sha256  # still the same exported run

    slower = a_record(trained, narrowed, b"a plan of another moment", "2026-01-02T00:00:00+00:00")
    (tmp_path / "engine.plan").write_bytes(b"a plan of another moment")
    assert engine_run.commit(trained.client, slower, tmp_path / "engine.plan") == record  # the first stays


def test_a_plan_that_is_not_the_checked_one_is_not_stored(trained: Trained, tmp_path: Path) -> None:
    record = a_record(trained, trained.narrowed(INT8, tmp_path), b"a plan")
    (tmp_path / "engine.plan").write_bytes(b"half a pl")
    before = trained.files()
    with pytest.raises(EngineNotBuilt, match="is not the plan that was checked"):
        engine_run.commit(trained.client, record, tmp_path / "engine.plan")
    assert trained.files() == before


def test_where_tensorrt_cannot_be_loaded_nothing_is_added_to_the_run(trained: Trained) -> None:
    if importlib.util.find_spec("tensorrt"):
        pytest.skip("TensorRT is installed here")
    before = trained.files()
    with pytest.raises(SetupProblem, match=r"pip install lakegate\[tensorrt\]"):
        engine_run.build(trained.client, trained.settings, trained.model, trained.run, INT8, trained.lines.append)
    assert trained.files() == before


def test_a_gpu_of_another_capability_is_refused() -> None:
    assert engine_run.require_machine(GPU, FP16) == GPU
    with pytest.raises(SetupProblem, match=r"for compute capability 8\.9, this GPU \(NVIDIA A10G\) has 8\.6"):
        engine_run.require_machine(GPU, EngineTable(compute_capability="8.9"))


def test_a_demanded_engine_that_is_absent_keeps_the_model_from_production(trained: Trained, tmp_path: Path) -> None:
    built = engine_run.outcome(FP16, a_record(trained, trained.narrowed(FP16, tmp_path), b"a plan"))
    absent = engine_run.outcome(INT8, None, "no live worker serves 'gpu-cc86'")
    assert engine_run.engines_gate([]) == engine_run.engines_gate([built]) == ""
    sentence = engine_run.engines_gate([built, absent])
    assert "demands 2 engines, not built: int8 for 8.6 (no live worker serves 'gpu-cc86')" in sentence
    assert (built.outcome, absent.outcome, absent.file) == ("built", "not built", "")


def test_demanding_an_engine_retrains_nothing_and_a_declared_limit_is_used(trained: Trained) -> None:
    plain = training_run.plan_run(trained.client, trained.settings, trained.model, [f"{trained.dataset}@v1"])
    export = plain.declaration.export.model_copy(update={"engines": (FP16,)})
    demanding = plain.declaration.model_copy(update={"export": export})
    assert recipe_digest(demanding) == recipe_digest(plain.declaration)
    with trained.demanding('compute_capability = "8.6"\nmax_box_error_px = 0.25'):
        found = engine_run.demanded(trained.settings, trained.model, "8.6", "fp16")
    assert found.max_box_error_px == 0.25
    assert engine_run.demanded(trained.settings, trained.model, "8.6", "int8") == INT8
    with pytest.raises(BadInput, match="fp8"):
        engine_run.demanded(trained.settings, trained.model, "8.6", "fp8")


def test_a_release_goes_on_without_an_engine_and_says_why(trained: Trained, tmp_path: Path) -> None:
    if importlib.util.find_spec("tensorrt"):
        pytest.skip("TensorRT is installed here")
    settings = trained.settings
    own = {
        "LAKEGATE_HOME": str(settings.home),
        "LAKEGATE_CHECKOUT": str(trained.checkout),
        "LAKEGATE_LAKEFS_ENDPOINT": settings.lakefs_endpoint,
        "LAKEGATE_LAKEFS_ACCESS_KEY_ID": settings.lakefs_access_key_id,
        "LAKEGATE_LAKEFS_SECRET_ACCESS_KEY": settings.lakefs_secret_access_key.get_secret_value(),
        "LAKEGATE_ALLOW_DIRTY_RELEASE": "1",
        "PREFECT_HOME": str(tmp_path / "prefect"),
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
        "PYTHONPATH": str(Path(__file__).resolve().parents[2]),
    }
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_API_URL")} | own
    command = [sys.executable, "-c", RELEASE, trained.model, f"{trained.dataset}@v1"]
    with trained.demanding('compute_capability = "8.9"\nprecision = "int8"'):
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=400, check=False)
    assert done.returncode == 0, done.stderr
    (engine,) = json.loads(done.stdout.strip().splitlines()[-1])
    assert (engine["outcome"], engine["compute_capability"], engine["precision"]) == ("not built", "8.9", "int8")
    assert "TensorRT cannot be loaded" in engine["sentence"]


def test_an_engine_is_declared_once_for_one_capability() -> None:
    for wrong in ("any", ">=8.0", "86"):
        with pytest.raises(ValueError, match="one compute capability"):
            EngineTable(compute_capability=wrong)
    with pytest.raises(ValueError, match=r"an engine stands twice: fp16 for 8\.6"):
        ExportTable(engines=(FP16, FP16))
