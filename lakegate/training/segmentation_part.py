"""How a segmenter learns: masks become one class per location; cross-entropy and Dice say how wrong the network is."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from torch.nn import functional

from lakegate.declarations import Flip
from lakegate.errors import BadInput, UnknownLabel, nearest
from lakegate.masks import area_px, mask_of_rle, rle_of
from lakegate.samples import Sample
from lakegate.training.flipping import flip_pixels
from lakegate.training.parts import Arrays, Tensors

if TYPE_CHECKING:
    from torch import Tensor

DICE_SMOOTHING_PX = 1.0


class SegmentationPart:
    """Masks and polygons in, a class per location out: 0 is background, label index + 1 the rest."""

    losses: tuple[str, ...] = ("loss", "loss_cross_entropy", "loss_dice")

    def __init__(self, labels: tuple[str, ...], input_px: tuple[int, int], stride_px: int) -> None:
        self.labels = labels
        self.output_px = input_px[0] // stride_px, input_px[1] // stride_px

    def read(self, name: str, sample: Sample) -> Arrays:
        """Return the class of each location of the network's output, int16 (h, w).

        A location has the class that covers most of it; of overlapping objects the smaller one is on top.

        Raises:
            UnknownLabel: a label is not declared. BadInput: an object has neither mask nor polygon.
        """
        masks = []
        for item in sample.annotations:
            if item.label not in self.labels:
                raise UnknownLabel(f"{name}: label '{item.label}' is not declared{nearest(item.label, self.labels)}")
            mask = rle_of(item, sample.height_px, sample.width_px)
            if mask is None:
                raise BadInput(
                    f"{name}: an object '{item.label}' has neither mask nor polygon; draw one, or train a model of "
                    'task "detection" on this dataset'
                )
            masks.append((area_px(mask), self.labels.index(item.label) + 1, mask))
        classes_HW = np.zeros((sample.height_px, sample.width_px), np.int16)
        for _, number, mask in sorted(masks, key=lambda found: (-found[0], found[1])):
            classes_HW[mask_of_rle(mask)] = number
        return (_most_covering(classes_HW, self.output_px),)

    def targets(self, known: Arrays, flips: Sequence[Flip]) -> Arrays:
        """Return the mirrored classes, int64 (h, w)."""
        return (flip_pixels(known[0], flips).astype(np.int64),)

    def divisors(self, targets: Tensors) -> "Tensor":
        """Count the images."""
        return targets[0].new_tensor([len(targets[0])]).float()

    def loss(self, network: Any, images_NCHW: "Tensor", targets: Tensors, divisors: "Tensor") -> "dict[str, Tensor]":
        """Return cross-entropy per location, 1 - Dice over the labels, and their sum, per image."""
        classes_NHW = targets[0]
        logits = network.raw(images_NCHW).float()
        n_images = divisors[0].clamp(1)
        by_location = functional.cross_entropy(logits, classes_NHW, reduction="none")
        cross_entropy = by_location.mean(dim=(1, 2)).sum() / n_images
        dice = dice_loss(logits.softmax(dim=1), classes_NHW).sum() / n_images
        return {"loss": cross_entropy + dice, "loss_cross_entropy": cross_entropy, "loss_dice": dice}


def dice_loss(probabilities_NCHW: "Tensor", classes_NHW: "Tensor") -> "Tensor":
    """Return 1 - the soft Dice coefficient of each image, averaged over the labels that it has, (N,); 0 where it has none.

    What is predicted of absent labels is left to the cross-entropy: Dice would cost as much for a trace of it as for a lot.
    Source: Milletari et al., "V-Net", 3DV 2016.
    """
    truth = functional.one_hot(classes_NHW, probabilities_NCHW.shape[1]).permute(0, 3, 1, 2)[:, 1:].float()
    found = probabilities_NCHW[:, 1:]
    common, total = (found * truth).sum(dim=(2, 3)), (found + truth).sum(dim=(2, 3))
    is_there = (truth.sum(dim=(2, 3)) > 0).float()
    losses_NC = 1 - (2 * common + DICE_SMOOTHING_PX) / (total + DICE_SMOOTHING_PX)
    return (losses_NC * is_there).sum(dim=1) / is_there.sum(dim=1).clamp(1)


def _most_covering(classes_HW: np.ndarray[Any, np.dtype[np.int16]], output_px: tuple[int, int]) -> np.ndarray[Any, Any]:
    """Shrink or enlarge a map of classes: each location gets the class that covers most of it, of equal ones the first."""
    height, width = output_px
    best, covered = np.zeros((height, width), np.int16), np.full((height, width), -1.0, np.float32)
    shrinks = height <= classes_HW.shape[0] and width <= classes_HW.shape[1]
    for number in np.unique(classes_HW):
        mask = (classes_HW == number).astype(np.float32)
        share = cv2.resize(mask, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
        is_more = share > covered
        best[is_more], covered[is_more] = number, share[is_more]
    return best
