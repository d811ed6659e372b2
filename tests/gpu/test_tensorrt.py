"""A real engine, built and compared. Not run on a GPU yet: do ``pytest tests/gpu`` on such a machine and say what came."""

import importlib.util

import pytest
import torch

from lakegate.declarations import EngineTable
from lakegate.engines import build_process
from lakegate.engines.build_process import BuildJob
from lakegate.engines.closeness import limits_of
from lakegate.engines.engine_key import BuildOptions, input_profiles
from lakegate.engines.onnx_export import export_onnx
from lakegate.engines.precision import narrow
from lakegate.errors import EngineNotBuilt
from lakegate.training.checkpoints import load_tensors, save_tensors
from tests.engines.random_model import LABELS, declare, write_weights
from tests.training.synthetic import make_version

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no NVIDIA GPU: no engine can be built or run"),
    pytest.mark.skipif(importlib.util.find_spec("tensorrt") is None, reason="no TensorRT: pip install lakegate[tensorrt]"),
]


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    folder = tmp_path_factory.mktemp("gpu")
    pictures = [image.path for image in make_version(folder / "images", n=3).images.values()]
    weights = write_weights(folder / "model.pt", declare())
    return export_onnx(weights, declare(), LABELS, folder / "model.onnx", {}, pictures).path, pictures


def a_job(folder, exported, precision, **changes):
    source, pictures = exported
    folder.mkdir()
    narrowed = narrow(source, precision, declare().architecture.input_px, folder / "narrowed.onnx", pictures)
    job = BuildJob(
        onnx=narrowed.path,
        reference=source,
        precision=precision,
        profiles=input_profiles(declare()),
        options=BuildOptions(),
        timing_cache=folder.parent / "a.timing",
        declaration=declare(),
        limits=limits_of(EngineTable(compute_capability=build_process.read_device().compute_capability, precision=precision)),
        pictures=tuple(pictures),
        threads=2,
    )
    return job.model_copy(update=changes)


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_an_engine_computes_what_onnx_does_in_every_slot_of_every_batch(exported, tmp_path, precision):
    plan, report = build_process.build(tmp_path / "build", a_job(tmp_path / "job", exported, precision))
    assert plan.stat().st_size == report.plan_bytes > 0
    assert report.closeness is not None
    assert report.closeness.passed
    assert [row.batch for row in report.closeness.rows] == [1, 2, 3]
    assert {item.name for item in report.tensors} == {"images", "boxes", "scores"}
    assert (tmp_path / "a.timing").stat().st_size > 0


def test_an_engine_of_another_model_is_refused(exported, tmp_path):
    network = write_weights(tmp_path / "other.pt", declare())
    state = load_tensors(network)
    state["classes.bias"] += 2
    save_tensors(state, network)
    source = export_onnx(network, declare(), LABELS, tmp_path / "other.onnx", {}, exported[1]).path
    with pytest.raises(EngineNotBuilt, match=r"does not compute what model\.onnx does"):
        build_process.build(tmp_path / "build", a_job(tmp_path / "job", exported, "fp32", reference=source))
