import pytest

from lakegate.canonical import sha256_bytes, sha256_file
from lakegate.code_version import CodeVersion
from lakegate.detections import POSTPROCESSING_DIGEST
from lakegate.engines.parity import ParityGrid, ParityRow
from lakegate.errors import BadInput
from lakegate.imaging import PREPROCESSING_DIGEST
from lakegate.settings import Settings
from lakegate.training.job import BIT_IDENTICAL, GpuFacts, TrainingResult
from lakegate.training.record import Request, RunRecord, build_record, parameters_of
from tests.training.synthetic import make_model, make_version

DIRTY = CodeVersion("a" * 40, "b" * 64, True, "--- a/lakegate/x.py\n+++ b/lakegate/x.py\n")


def a_result(folder, **more):
    path = folder / "model.pt"
    path.write_bytes(b"weights")
    return TrainingResult(
        model_path=path,
        model_sha256=sha256_file(path),
        metrics={"loss": 0.25},
        durations_s={"prepare": 1.0, "training": 55.123456789, "total": 57.0},
        peak_memory_bytes=900_000_000,
        epochs_run=2,
        resumed_from_epoch=None,
        determinism=BIT_IDENTICAL,
        threads=2,
        n_samples={"squares": 8},
        history=({"loss": 0.5}, {"loss": 0.25}),
        notes=("a checkpoint was set aside",),
        **more,
    )


def a_record(folder, code=DIRTY, **more):
    folder.mkdir(exist_ok=True)
    (folder / "requirements.lock").write_text("numpy==2.0\n")
    return build_record(
        Request(run_id="abc", requested_by="ada", flow_run_id="flow-1", wandb_id="abc-train", wandb_mode="offline"),
        make_model(train='["squares:first"]', extra="seed = 3"),
        [make_version(folder / "images").version],
        ["bright", "dark"],
        a_result(folder, **more),
        code,
        Settings(checkout=folder),
        seed=7,
        overrides={"epochs": 2},
        notes=["trained for a test"],
    )


def test_a_record_holds_what_is_needed_to_repeat_the_run(tmp_path):
    record = a_record(tmp_path)
    (dataset,) = record.datasets
    assert (dataset.dataset, dataset.tag, dataset.commit, dataset.content_digest) == ("squares", "v1", "c" * 64, "d" * 64)
    assert (dataset.references, dataset.n_train_samples) == (["squares:first"], 8)
    assert (record.code_commit, record.code_is_dirty, record.code_patch) == ("a" * 40, True, DIRTY.patch)
    assert "not committed" in record.code_problem
    assert (record.seed, record.determinism, record.environment.threads) == (7, BIT_IDENTICAL, 2)
    assert record.environment.lock_sha256 == sha256_bytes(b"numpy==2.0\n")
    assert {"torch", "numpy", "onnxruntime"} <= set(record.environment.packages)
    assert (record.preprocessing_digest, record.postprocessing_digest) == (PREPROCESSING_DIGEST, POSTPROCESSING_DIGEST)
    assert record.artifacts["model.pt"].sha256 == sha256_bytes(b"weights")
    assert (record.requested_by, record.requester_is_authenticated) == ("ada", False)
    assert (record.flow_run_id, record.wandb_id, record.wandb_mode) == ("flow-1", "abc-train", "offline")
    assert record.notes == ["a checkpoint was set aside", "trained for a test"]
    assert record.environment.gpu is None


def test_every_parameter_says_where_its_value_comes_from(tmp_path):
    origins = {item.name: (item.value, item.origin) for item in a_record(tmp_path).parameters}
    assert origins["training.epochs"] == (2, "override")
    assert origins["training.batch_size"] == (4, "model.toml")
    assert origins["training.seed"] == (7, "override")
    assert origins["training.weight_decay"] == (1e-3, "default")
    assert origins["architecture.input_px"] == ([64, 64], "model.toml")
    assert origins["operating.score_threshold"] == (0.3, "default")
    assert {name for name, _ in origins.items() if name.startswith("gate")} == set()


def test_the_declared_seed_counts_as_declared_and_full_names_override_too():
    parameters = {item.name: item.origin for item in parameters_of(make_model(extra="seed = 3"), {"training.epochs": 2}, 3)}
    assert (parameters["training.seed"], parameters["training.epochs"]) == ("model.toml", "override")


def test_a_record_survives_the_way_to_a_file_and_back_to_the_same_bytes(tmp_path):
    record = a_record(tmp_path / "run")
    record.save(tmp_path / "record.json")
    again = RunRecord.load(tmp_path / "record.json")
    assert again == record
    assert again.to_bytes() == (tmp_path / "record.json").read_bytes()
    assert again.durations_s["training"] == 55.123456789


def test_an_export_is_added_with_its_parity_and_the_rest_stays(tmp_path):
    record = a_record(tmp_path)
    row = ParityRow(
        batch=1, height_px=64, width_px=64, max_abs_boxes_px=1e-5, max_abs_scores=1e-7, worst_slot=0, passed=True
    )
    (tmp_path / "model.onnx").write_bytes(b"onnx")
    added = record.with_export("model.onnx", tmp_path / "model.onnx", ParityGrid(atol=1e-4, n_images=1, rows=(row,)), 4.5)
    assert added.artifacts["model.onnx"].size_bytes == 4
    assert added.artifacts["model.pt"] == record.artifacts["model.pt"]
    assert added.durations_s["export model.onnx"] == 4.5
    assert RunRecord.from_bytes(added.to_bytes()) == added


def test_code_outside_of_git_is_said_to_be_so(tmp_path):
    record = a_record(tmp_path, code=CodeVersion("", "b" * 64, True, ""))
    assert record.code_commit == ""
    assert "not in a git repository" in record.code_problem


def test_a_gpu_is_recorded(tmp_path):
    record = a_record(tmp_path, gpu=GpuFacts("NVIDIA A10", "8.6", "550.1", 24 * 1024**3))
    assert record.environment.gpu is not None
    assert record.environment.gpu.compute_capability == "8.6"
    assert RunRecord.from_bytes(record.to_bytes()) == record


def test_a_record_with_an_unknown_key_or_a_wrong_type_is_refused_by_field(tmp_path):
    text = a_record(tmp_path).to_bytes().decode()
    with pytest.raises(BadInput, match="seeed"):
        RunRecord.from_bytes(text.replace('"seed":', '"seeed":').encode())
    with pytest.raises(BadInput, match="epochs_run"):
        RunRecord.from_bytes(text.replace('"epochs_run": 2', '"epochs_run": "two"').encode())
    with pytest.raises(BadInput, match=r"absent\.json: cannot be read"):
        RunRecord.load(tmp_path / "absent.json")
