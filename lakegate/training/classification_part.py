"""How a classifier learns: one label per image, and the cross-entropy of its probability."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from torch.nn import functional

from lakegate.declarations import Flip
from lakegate.errors import BadInput, UnknownLabel, nearest
from lakegate.samples import Sample
from lakegate.training.parts import Arrays, Tensors

if TYPE_CHECKING:
    from torch import Tensor


class ClassificationPart:
    """The image's label in, the index of its class out."""

    losses: tuple[str, ...] = ("loss", "accuracy")

    def __init__(self, labels: tuple[str, ...]) -> None:
        self.labels = labels

    def read(self, name: str, sample: Sample) -> Arrays:
        """Return the index of the image's label, int64 ().

        Raises:
            UnknownLabel: the label is not declared. BadInput: the image has no label or several.
        """
        found = [item.label for item in sample.annotations if item.is_image_level]
        if len(found) != 1:
            raise BadInput(
                f"{name}: expected one label of the whole image, came {', '.join(found) or 'none'}; "
                "label the image once in its export and publish the dataset again"
            )
        if found[0] not in self.labels:
            raise UnknownLabel(f"{name}: label '{found[0]}' is not declared{nearest(found[0], self.labels)}")
        return (np.array(self.labels.index(found[0]), np.int64),)

    def targets(self, known: Arrays, flips: Sequence[Flip]) -> Arrays:  # noqa: ARG002
        """Return the class as it is: a mirrored image has the same label."""
        return known

    def divisors(self, targets: Tensors) -> "Tensor":
        """Count the images."""
        return targets[0].new_tensor([len(targets[0])]).float()

    def loss(self, network: Any, images_NCHW: "Tensor", targets: Tensors, divisors: "Tensor") -> "dict[str, Tensor]":
        """Return the cross-entropy per image, and the share of images whose best label is the right one."""
        classes = targets[0]
        logits = network.raw(images_NCHW).float()
        n_images = divisors[0].clamp(1)
        return {
            "loss": functional.cross_entropy(logits, classes, reduction="sum") / n_images,
            "accuracy": (logits.argmax(dim=1) == classes).sum() / n_images,
        }
