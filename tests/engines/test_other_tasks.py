"""Classifiers and segmenters exported: one output of probabilities, the task in the metadata, parity over every size."""

import numpy as np
import pytest
import torch

from lakegate.engines.onnx_export import compare, export_onnx, load_network
from lakegate.engines.onnx_session import OnnxModel
from lakegate.errors import BrokenModelFile
from lakegate.imaging import read_image, to_input
from lakegate.training.architectures import build
from lakegate.training.checkpoints import save_tensors
from tests.training.other_tasks import LABELS, make_other_model, make_other_version

SHAPES = {"classification": (1, 2), "segmentation": (1, 3, 80, 48)}
NETWORKS = {"classification": "tiny-classifier", "segmentation": "tiny-segmenter"}


def write_weights(path, name, task):
    """Random weights with statistics of random batches, so that no output is trivial."""
    torch.manual_seed(0)
    network = build(name, len(LABELS), (64, 64), task).train()
    with torch.no_grad():
        for _ in range(20):
            network.raw(torch.rand(4, 3, 64, 64) * 255)
        if hasattr(network, "classes"):
            network.classes.weight *= 0.1  # else nearly all probabilities are 0 or 1
    save_tensors(network.state_dict(), path)
    return path


class Exported:
    """A network with random weights and its ONNX file."""

    def __init__(self, folder, name, task):
        self.declaration, self.task = make_other_model(name), task
        self.images = [item.path for item in make_other_version(folder / "images", task, n=2).images.values()]
        self.weights = write_weights(folder / "model.pt", name, task)
        self.export = export_onnx(
            self.weights, self.declaration, LABELS, folder / "model.onnx", {"run": "abc"}, self.images, 2, task
        )

    def network(self):
        return load_network(self.weights, self.declaration, LABELS, self.task)


@pytest.fixture(scope="module", params=list(NETWORKS))
def exported(request, tmp_path_factory):
    return Exported(tmp_path_factory.mktemp(request.param), NETWORKS[request.param], request.param)




def test_an_exported_network_computes_probabilities_as_torch_does(exported):
    parity = exported.export.parity
    assert parity.passed and len(parity.rows) == 4
    assert parity.worst_boxes_px is None and parity.worst_scores <= 1e-4
    model = OnnxModel(exported.export.path, threads=2)
    assert (model.task, model.output_names, model.labels) == (exported.task, ("probabilities",), LABELS)


def test_a_size_that_was_not_compared_gives_the_same_and_the_probabilities_sum_to_one(exported):
    pixels = to_input(read_image(exported.images[0]), (160, 96)).pixels[None]
    (came,) = OnnxModel(exported.export.path, threads=2).infer(pixels)
    assert came.shape == SHAPES[exported.task]
    assert np.abs(came.sum(axis=1) - 1).max() < 1e-5
    with torch.inference_mode():
        expected = exported.network()(torch.from_numpy(pixels)).numpy()
    assert np.abs(came - expected).max() < 1e-4


def test_other_weights_than_the_exported_ones_fail_every_row_in_words(exported):
    network = exported.network()
    with torch.no_grad():
        network.classes.bias += torch.arange(float(len(network.classes.bias)))
    pictures = [read_image(path) for path in exported.images]
    grid = compare(network, OnnxModel(exported.export.path), exported.declaration, pictures)
    assert not any(row.passed for row in grid.rows)
    assert "probabilities differ by 0." in grid.failures[0] and "boxes" not in grid.failures[0]


def test_a_classifier_of_a_library_exports_with_parity(tmp_path):
    assert Exported(tmp_path, "timm:test_resnet", "classification").export.parity.passed


def test_weights_of_another_task_are_refused(tmp_path):
    weights = write_weights(tmp_path / "model.pt", "tiny-classifier", "classification")
    with pytest.raises(BrokenModelFile, match="not of 'tiny-segmenter' with 2 labels"):
        load_network(weights, make_other_model("tiny-segmenter"), LABELS, "segmentation")
