import math

import numpy as np
import pytest
import torch
from torch import nn

from lakegate.errors import BadInput, UnknownLabel
from lakegate.samples import Annotation, Sample
from lakegate.training.classification_part import ClassificationPart
from lakegate.training.job import TrainingJob
from lakegate.training.loop import fit
from tests.training.other_tasks import make_other_model, make_other_version

PART = ClassificationPart(("cat", "dog", "fox"))


class Says(nn.Module):
    """Answers with fixed logits."""

    def __init__(self, logits):
        super().__init__()
        self.logits = torch.tensor(logits)

    def raw(self, images_NCHW):
        return self.logits[: len(images_NCHW)]


def test_the_label_of_the_whole_image_is_its_class_also_when_mirrored():
    known = PART.read("pets/1", Sample("1", 8, 8, (Annotation("fox"),)))
    assert known[0].dtype == np.int64 and known[0].item() == 2
    assert PART.targets(known, ("horizontal", "diagonal")) is known


def test_the_loss_is_the_mean_cross_entropy_and_the_accuracy_the_share_of_right_images():
    targets = (torch.tensor([0, 2]),)
    network = Says([[math.log(0.5), math.log(0.25), math.log(0.25)], [math.log(0.8), math.log(0.1), math.log(0.1)]])
    found = PART.loss(network, torch.zeros(2, 3, 8, 8), targets, PART.divisors(targets))
    assert tuple(found) == PART.losses
    assert found["loss"].item() == pytest.approx((-math.log(0.5) - math.log(0.1)) / 2)
    assert found["accuracy"].item() == 0.5


def test_the_losses_of_two_halves_of_a_batch_sum_to_that_of_the_whole():
    network, classes = Says([[3.0, 1, 0], [0, 1, 2]]), torch.tensor([0, 1])
    whole = PART.loss(network, torch.zeros(2, 3, 8, 8), (classes,), torch.tensor([2.0]))["loss"]
    halves = [
        PART.loss(Says([row]), torch.zeros(1, 3, 8, 8), (classes[index : index + 1],), torch.tensor([2.0]))["loss"]
        for index, row in enumerate(network.logits.tolist())
    ]
    assert sum(halves).item() == pytest.approx(whole.item())


@pytest.mark.parametrize(
    ("annotations", "error", "words"),
    [
        ((), BadInput, "pets/1: expected one label of the whole image, came none"),
        ((Annotation("cat"), Annotation("dog")), BadInput, "came cat, dog"),
        ((Annotation("cat", (0, 0, 4, 4)),), BadInput, "came none"),
        ((Annotation("dogg"),), UnknownLabel, "'dogg' is not declared.*dog"),
    ],
)
def test_an_image_without_exactly_one_declared_label_is_refused_by_name(annotations, error, words):
    with pytest.raises(error, match=words):
        PART.read("pets/1", Sample("1", 8, 8, annotations))


def test_a_tiny_classifier_learns_bright_from_dark(tmp_path):
    version = make_other_version(tmp_path / "images", "classification")
    job = TrainingJob(make_other_model("tiny-classifier"), [version], threads=2, task="classification")
    result = fit(job, tmp_path / "run", lambda *_: None)
    assert result.metrics["accuracy"] == 1.0
    assert result.metrics["loss"] < result.history[0]["loss"]
