import pytest
import torch

from lakegate.errors import BadDeclaration
from lakegate.training.architectures import build
from lakegate.training.pyramid_detector import boxes_of


def test_the_tiny_detector_has_0_6_million_parameters_and_one_box_per_8_px():
    network = build("tiny-detector", 3, (320, 320)).eval()
    assert 0.5e6 < sum(item.numel() for item in network.parameters()) < 0.65e6
    with torch.inference_mode():
        boxes, scores = network(torch.rand(2, 3, 64, 96) * 255)
    assert boxes.shape == (2, 8 * 12, 4)
    assert scores.shape == (2, 8 * 12, 3)
    assert ((scores > 0) & (scores < 1)).all()
    assert (boxes[..., 2:] >= boxes[..., :2]).all()


def test_distances_from_a_location_are_a_box_around_its_centre_row_by_row():
    distances = torch.zeros(1, 4, 2, 3)
    distances[0, :, 1, 2] = torch.tensor([1.0, 2.0, 3.0, 4.0])
    assert boxes_of(distances, 8)[0, 5].tolist() == [20 - 1, 12 - 2, 20 + 3, 12 + 4]


def test_a_network_of_ones_own_is_built_by_its_factory():
    assert type(build("tests.training.own_network:make_mortal", 2, (64, 64))).__name__ == "MortalDetector"


@pytest.mark.parametrize("task", ["classification", "segmentation"])
def test_the_tiny_networks_of_the_other_tasks_give_probabilities(task):
    network = build({"classification": "tiny-classifier", "segmentation": "tiny-segmenter"}[task], 3, (64, 64), task).eval()
    assert 0.4e6 < sum(item.numel() for item in network.parameters()) < 0.9e6
    with torch.inference_mode():
        found = network(torch.rand(2, 3, 64, 96) * 255)
    assert found.shape == {"classification": (2, 3), "segmentation": (2, 4, 32, 48)}[task]
    assert found.sum(dim=1).flatten().tolist() == pytest.approx([1] * (found.numel() // found.shape[1]), abs=1e-5)


@pytest.mark.parametrize(
    ("name", "task", "words"),
    [
        ("tiny-detektor", "detection", "known for detection: 'tiny-detector', .* your own"),
        ("keras:resnet18", "detection", "No module named 'keras'"),
        ("tiny-detector", "classification", "no network for task 'classification': .*'tiny-classifier'"),
        ("no_such_module:factory", "detection", "No module named 'no_such_module'"),
        ("tests.training.own_network:make_something", "detection", "has no attribute 'make_something'"),
        ("tests.training.own_network:make_nothing", "detection", "expected a torch Module with raw, forward, stride_px"),
        ("tests.training.own_network:make_nothing", "classification", "raw, forward for classification.*tiny_classifier.py"),
    ],
)
def test_an_unknown_network_is_refused_with_what_is_known(name, task, words):
    with pytest.raises(BadDeclaration, match=words):
        build(name, 2, (64, 64), task)
