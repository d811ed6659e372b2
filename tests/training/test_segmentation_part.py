import numpy as np
import pytest
import torch

from lakegate.errors import BadInput, UnknownLabel
from lakegate.masks import rle_of_mask
from lakegate.samples import Annotation, Sample
from lakegate.training.job import TrainingJob
from lakegate.training.loop import fit
from lakegate.training.segmentation_part import SegmentationPart, dice_loss
from tests.training.other_tasks import make_other_model, make_other_version

PART = SegmentationPart(("cell", "spot"), (64, 64), 4)


def mask(rows, columns, size=(32, 32)):
    found = np.zeros(size, bool)
    found[rows, columns] = True
    return found


def test_masks_and_polygons_become_one_class_per_location_of_the_output():
    cell = Annotation("cell", rle=rle_of_mask(mask(slice(0, 16), slice(0, 32))))
    spot = Annotation("spot", polygons_px=((16.0, 16, 32, 16, 32, 32, 16, 32),))
    (classes,) = PART.read("cells/1", Sample("1", 32, 32, (cell, spot)))
    assert classes.shape == (16, 16)
    assert np.unique(classes[:8]).tolist() == [1]
    assert np.unique(classes[8:, :8]).tolist() == [0]
    assert np.unique(classes[8:, 8:]).tolist() == [2]


def test_of_overlapping_objects_the_smaller_one_is_on_top_in_whatever_order_they_come():
    large = Annotation("cell", rle=rle_of_mask(mask(slice(0, 32), slice(0, 32))))
    small = Annotation("spot", rle=rle_of_mask(mask(slice(0, 16), slice(0, 16))))
    for order in ((large, small), (small, large)):
        (classes,) = PART.read("cells/1", Sample("1", 32, 32, order))
        assert (classes == 2).sum() == 64 and (classes == 1).sum() == 192


def test_a_location_has_the_class_that_covers_most_of_it():
    one = Annotation("cell", rle=rle_of_mask(mask(slice(0, 64), slice(0, 11), (64, 64))))
    (classes,) = PART.read("cells/1", Sample("1", 64, 64, (one,)))
    assert classes[0].tolist() == [1, 1, 1, *[0] * 13]  # of the third location 3 of 4 columns are covered


def test_targets_are_mirrored_as_the_image_is():
    known = (np.arange(256, dtype=np.int16).reshape(16, 16),)
    assert (PART.targets(known, ("horizontal",))[0] == known[0][:, ::-1]).all()
    assert (PART.targets(known, ("vertical", "diagonal"))[0] == known[0][::-1].T).all()
    assert PART.targets(known, ())[0].dtype == np.int64


def test_an_image_without_objects_is_all_background():
    assert not PART.read("cells/1", Sample("1", 32, 32))[0].any()


@pytest.mark.parametrize(
    ("one", "error", "words"),
    [
        (Annotation("cell", (0, 0, 4, 4)), BadInput, "cells/1: an object 'cell' has neither mask nor polygon"),
        (Annotation("cel", (0, 0, 4, 4)), UnknownLabel, "'cel' is not declared.*cell"),
    ],
)
def test_an_object_without_a_mask_or_with_an_unknown_label_is_refused_by_name(one, error, words):
    with pytest.raises(error, match=words):
        PART.read("cells/1", Sample("1", 32, 32, (one,)))


def test_dice_is_nothing_where_all_is_right_one_where_all_is_wrong_and_counts_the_labels_that_are_there():
    classes = torch.zeros(3, 16, 16, dtype=torch.long)
    classes[:2, :8] = 1
    right = torch.nn.functional.one_hot(classes, 3).permute(0, 3, 1, 2).float()
    assert dice_loss(right, classes).tolist() == pytest.approx([0, 0, 0], abs=1e-6)
    assert dice_loss(right[:, [2, 0, 1]], classes).tolist() == pytest.approx([1, 1, 0], abs=0.01)
    classes[1, 8:12] = 2  # half of what image 1 has is missed
    assert dice_loss(right, classes).tolist() == pytest.approx([0, 0.5, 0], abs=0.01)


def test_the_losses_of_two_halves_of_a_batch_sum_to_that_of_the_whole():
    class Says:
        def __init__(self, logits):
            self.logits = logits

        def raw(self, _):
            return self.logits

    random = torch.Generator().manual_seed(1)
    logits = torch.randn(2, 3, 16, 16, generator=random)
    classes = torch.randint(0, 3, (2, 16, 16), generator=random)
    divisors = torch.tensor([2.0])
    whole = PART.loss(Says(logits), None, (classes,), divisors)
    halves = [PART.loss(Says(logits[i : i + 1]), None, (classes[i : i + 1],), divisors) for i in range(2)]
    assert tuple(whole) == PART.losses
    for name in PART.losses:
        assert sum(half[name] for half in halves).item() == pytest.approx(whole[name].item(), rel=1e-5)


def test_a_tiny_segmenter_learns_the_discs(tmp_path):
    version = make_other_version(tmp_path / "images", "segmentation")
    job = TrainingJob(make_other_model("tiny-segmenter", epochs=12), [version], threads=2, task="segmentation")
    result = fit(job, tmp_path / "run", lambda *_: None)
    assert result.metrics["loss_dice"] < 0.75 * result.history[0]["loss_dice"]
