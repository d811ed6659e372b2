import pytest
import torch

from lakegate.engines.onnx_export import export_onnx
from lakegate.errors import BadDeclaration
from lakegate.training.architectures import build
from lakegate.training.job import TrainingJob
from lakegate.training.loop import fit
from tests.training.synthetic import make_model, make_version

EXPORT = "[export]\nbatch = [1, 2, 2]\nparity_atol = 1e-3"
LABELS = ("bright", "dark")


@pytest.mark.parametrize("name", ["timm:test_resnet", "torchvision:shufflenet_v2_x0_5", "torchvision:mobilenet_v3_small"])
def test_a_detector_on_a_network_of_a_library_answers_once_per_8_px(name):
    network = build(name, 3, (64, 64)).eval()
    with torch.inference_mode():
        boxes, scores = network(torch.rand(2, 3, 64, 96) * 255)
    assert boxes.shape == (2, 8 * 12, 4)
    assert scores.shape == (2, 8 * 12, 3)
    assert all(item.requires_grad for item in network.parameters())


def test_a_detector_of_timm_learns_and_is_exported_with_parity(tmp_path):
    version, model = make_version(tmp_path / "images"), make_model(epochs=3, extra=EXPORT)
    declaration = model.model_copy(
        update={"architecture": model.architecture.model_copy(update={"name": "timm:test_resnet"})}
    )
    result = fit(TrainingJob(declaration, [version]), tmp_path / "run", lambda *_: None)
    assert result.metrics["loss"] < result.history[0]["loss"]
    pictures = [item.path for item in version.images.values()][:2]
    exported = export_onnx(result.model_path, declaration, LABELS, tmp_path / "model.onnx", {}, pictures)
    assert exported.parity.passed


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("timm:resnett18", "the installed timm has no network 'resnett18' for detection.*resnet18"),
        ("torchvision:fcn_resnet50", "no network 'fcn_resnet50' for detection"),
        ("timm:vit_tiny_patch16_224", r"does not give \(it gives them at \[16, 16.*choose a convolutional one"),
        ("torchvision:vit_b_32", "does not give .*choose a convolutional one"),
    ],
)
def test_a_network_that_no_detector_can_stand_on_is_refused(name, words):
    with pytest.raises(BadDeclaration, match=words):
        build(name, 2, (64, 64))
