import pytest
import torch

from lakegate.errors import BadDeclaration
from lakegate.training.architectures import build
from lakegate.training.job import TrainingJob
from lakegate.training.library_networks import LibraryClassifier
from lakegate.training.loop import fit
from tests.training.other_tasks import make_other_model, make_other_version


@pytest.mark.parametrize("name", ["timm:test_resnet", "torchvision:shufflenet_v2_x0_5"])
def test_a_classifier_of_a_library_gives_probabilities_of_the_declared_labels(name):
    network = build(name, 3, (64, 64), "classification").eval()
    with torch.inference_mode():
        found = network(torch.rand(2, 3, 64, 96) * 255)
    assert found.shape == (2, 3)
    assert found.sum(dim=1).tolist() == pytest.approx([1, 1])


def test_a_segmenter_of_torchvision_gives_probabilities_of_background_and_labels_at_the_size_of_its_input():
    network = build("torchvision:lraspp_mobilenet_v3_large", 2, (64, 64), "segmentation").eval()
    with torch.inference_mode():
        found = network(torch.rand(1, 3, 64, 96) * 255)
    assert found.shape == (1, 3, 64, 96)
    assert found.sum(dim=1).flatten().tolist() == pytest.approx([1] * 64 * 96, abs=1e-5)


def test_a_grey_input_is_near_zero_for_the_network():
    network = LibraryClassifier("x", torch.nn.Identity())
    assert network.normalise(torch.full((1, 3, 2, 2), 118.0)).abs().max() < 0.3
    assert not any("mean" in name for name in network.state_dict())  # constants are no weights


@pytest.mark.parametrize(
    ("name", "task", "words"),
    [
        ("timm:resnett18", "classification", "the installed timm has no network 'resnett18' for classification.*resnet18"),
        ("torchvision:fcn_resnet50", "classification", "no network 'fcn_resnet50' for classification"),
        ("timm:resnet18", "segmentation", "known for segmentation: 'tiny-segmenter', 'torchvision:<name>', and your own"),
        ("torchvision:resnet18", "segmentation", "no network 'resnet18' for segmentation"),
    ],
)
def test_a_name_that_the_library_has_not_for_the_task_is_refused(name, task, words):
    with pytest.raises(BadDeclaration, match=words):
        build(name, 2, (64, 64), task)


def test_a_network_for_images_of_one_size_is_refused_when_it_is_built():
    with pytest.raises(BadDeclaration, match=r"vit_tiny_patch16_224' does not take images of 64 × 64 px \(.*choose a network"):
        build("timm:vit_tiny_patch16_224", 2, (64, 64), "classification")


def test_a_network_with_auxiliary_outputs_is_refused_in_words():
    class Two(torch.nn.Module):
        def forward(self, images):
            return images, images

    with pytest.raises(BadDeclaration, match="expected one array of logits, came a tuple"):
        LibraryClassifier("timm:two", Two()).raw(torch.zeros(1, 3, 8, 8))


def test_a_network_of_timm_learns_bright_from_dark(tmp_path):
    version = make_other_version(tmp_path / "images", "classification")
    job = TrainingJob(make_other_model("timm:test_resnet"), [version], threads=2, task="classification")
    result = fit(job, tmp_path / "run", lambda *_: None)
    assert result.metrics["loss"] < result.history[0]["loss"]
