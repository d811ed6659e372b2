import json

import numpy as np
import onnx
import pytest
import torch

from lakegate.canonical import sha256_file
from lakegate.engines.onnx_export import compare, export_onnx, grid_batches, grid_sizes, load_network
from lakegate.engines.onnx_session import OnnxModel
from lakegate.errors import BadInput, BrokenModelFile, ParityFailed, UnsafeModelFile
from lakegate.imaging import PREPROCESSING_DIGEST, read_image, to_input
from lakegate.training.architectures import build
from tests.engines.random_model import LABELS, declare, write_weights
from tests.training.synthetic import make_version


def test_an_exported_model_computes_what_torch_does_on_real_images_over_all_batches_and_sizes(exported):
    assert exported.parity.passed
    assert exported.parity.n_images == 3
    assert {row.batch for row in exported.parity.rows} == {1, 2, 3}
    assert {(row.height_px, row.width_px) for row in exported.parity.rows} == {(96, 96), (64, 64), (128, 64)}
    assert exported.parity.worst_boxes_px > 0  # two programs, not one compared with itself


def test_the_file_is_whole_and_carries_labels_sizes_digests_and_provenance(exported):
    model = OnnxModel(exported.path)
    assert model.labels == LABELS
    assert model.input_px == (96, 96)
    assert model.metadata["preprocessing_digest"] == PREPROCESSING_DIGEST
    assert model.metadata["lakefs.commit"] == "c" * 64
    assert json.loads(model.metadata["opset"]) == exported.opset >= 18
    assert exported.sha256 == sha256_file(exported.path) == model.sha256
    assert [path.name for path in exported.path.parent.iterdir() if "onnx" in path.name] == ["model.onnx"]


def test_the_file_names_no_folder_of_this_machine(exported):
    data = exported.path.read_bytes()
    for part in (b"site-packages", b"lakegate/training", b".py"):
        assert part not in data


def test_batch_height_and_width_are_free_and_named(exported):
    shape = onnx.load(str(exported.path)).graph.input[0].type.tensor_type.shape.dim
    assert [item.dim_param or item.dim_value for item in shape] == ["batch", 3, "32*h32", "32*w32"]


def test_a_larger_size_than_any_compared_still_computes_the_same(exported, real_images):
    network = load_network(exported.path.with_name("model.pt"), declare(), LABELS)
    images = to_input(read_image(real_images[0]), (480, 640)).pixels[None]
    boxes, scores = OnnxModel(exported.path, threads=2).infer(images)
    with torch.inference_mode():
        expected_boxes, expected_scores = network(torch.from_numpy(images))
    assert np.abs(boxes - expected_boxes.numpy()).max() < 1e-3
    assert np.abs(scores - expected_scores.numpy()).max() < 1e-4


def test_other_weights_than_the_exported_ones_fail_the_comparison_row_by_row(exported, real_images):
    network = load_network(exported.path.with_name("model.pt"), declare(), LABELS)
    with torch.no_grad():
        network.classes.bias += 0.5
    grid = compare(network, OnnxModel(exported.path), declare(), [read_image(path) for path in real_images])
    assert not any(row.passed for row in grid.rows)
    assert len(grid.failures) == 9


def test_a_branch_that_the_exporter_froze_is_found_and_no_file_is_left(tmp_path):
    version = make_version(tmp_path / "images", n=2)
    declaration = declare("make_branching")
    weights = write_weights(tmp_path / "model.pt", declaration)
    images = [item.path for item in version.images.values()]
    with pytest.raises(ParityFailed, match="64 × 64 px"):
        export_onnx(weights, declaration, LABELS, tmp_path / "out" / "model.onnx", {}, images)
    assert list((tmp_path / "out").iterdir()) == []


def test_images_of_a_batch_that_see_each_other_are_found(tmp_path):
    version = make_version(tmp_path / "images", n=3)
    declaration = declare("make_cross_talk")
    weights = write_weights(tmp_path / "model.pt", declaration)
    images = [item.path for item in version.images.values()]
    with pytest.raises(ParityFailed, match=r"batch 2, .*batch 3, "):
        export_onnx(weights, declaration, LABELS, tmp_path / "model.onnx", {}, images)


def test_without_an_image_or_with_a_reserved_key_nothing_is_exported(tmp_path):
    with pytest.raises(BadInput, match="at least one real image"):
        export_onnx(tmp_path / "model.pt", declare(), LABELS, tmp_path / "model.onnx", {}, [])
    with pytest.raises(BadInput, match="reserved keys labels"):
        export_onnx(tmp_path / "model.pt", declare(), LABELS, tmp_path / "model.onnx", {"labels": "x"}, [])


def test_weights_of_another_network_or_with_code_are_refused(tmp_path):
    weights = write_weights(tmp_path / "model.pt", declare(), n_classes=5)
    with pytest.raises(BrokenModelFile, match="not of 'tiny-detector' with 2 labels"):
        load_network(weights, declare(), LABELS)
    torch.save(build("tiny-detector", 2, (64, 64)), tmp_path / "whole.pt")
    with pytest.raises(UnsafeModelFile):
        load_network(tmp_path / "whole.pt", declare(), LABELS)


def test_the_grid_covers_the_declared_batches_and_one_two_and_the_smallest_size():
    assert grid_batches((1, 8, 8)) == [1, 2, 8]
    assert grid_batches((4, 8, 16)) == [1, 2, 4, 8, 16]
    assert grid_sizes((320, 320)) == [(320, 320), (64, 64), (352, 288)]
    assert grid_sizes((64, 64)) == [(64, 64), (96, 64)]
