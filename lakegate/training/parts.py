"""What a task type adds to a training: its targets and its loss. Loop and data know nothing else of it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

from numpy.typing import NDArray

from lakegate.declarations import Flip
from lakegate.errors import BadDeclaration, nearest
from lakegate.samples import Sample

if TYPE_CHECKING:
    from torch import Tensor

Arrays = tuple[NDArray[Any], ...]
Tensors = tuple["Tensor", ...]
TASKS = ("detection", "classification", "segmentation")


class TrainingPart(Protocol):
    """One task's half of a training, for one network and one list of labels.

    ``losses`` names what ``loss`` returns: ``"loss"``, which is minimised and which the validation score is, comes first.
    """

    @property
    def losses(self) -> tuple[str, ...]:
        """Names of the losses."""

    def read(self, name: str, sample: Sample) -> Arrays:
        """Return what is known of a sample as arrays in input px, kept in memory for the whole training.

        Raises:
            UnknownLabel: a label is not declared; ``name`` says where.
        """

    def targets(self, known: Arrays, flips: Sequence[Flip]) -> Arrays:
        """Mirror what ``read`` returned as the image was mirrored; the arrays of a batch are stacked, so shapes are fixed."""

    def divisors(self, targets: "Tensors") -> "Tensor":
        """Count what the sums of the losses are divided by, such as images or foreground locations: float32 (D,).

        Of several processes, each counts its share of the batch; ``loss`` then gets the counts of the whole batch.
        """

    def loss(self, network: Any, images_NCHW: "Tensor", targets: "Tensors", divisors: "Tensor") -> "dict[str, Tensor]":
        """Return a scalar per name of ``losses``; each is a sum over the images, divided by one of ``divisors``.

        Args:
            network: a torch Module with what ``architectures.build`` promises for the task, in train or eval mode.
            images_NCHW: float32, RGB 0..255.
            targets: what ``targets`` returned, stacked, on the images' device.
            divisors: as ``divisors`` counts them, perhaps 0.
        """


def part_of(task: str, network: Any, labels: tuple[str, ...], input_px: tuple[int, int]) -> TrainingPart:
    """Return the part of a task for a network.

    Args:
        labels: in class order.
        input_px: height and width of the network's input.

    Raises:
        BadDeclaration: nothing can be trained for that task.
    """
    if task == "detection":
        from lakegate.training.detection_part import DetectionPart

        return DetectionPart(labels, input_px, stride_px=int(network.stride_px))
    if task == "classification":
        from lakegate.training.classification_part import ClassificationPart

        return ClassificationPart(labels)
    if task == "segmentation":
        from lakegate.training.segmentation_part import SegmentationPart

        return SegmentationPart(labels, input_px, stride_px=int(network.stride_px))
    raise BadDeclaration(f"no network can be trained for task '{task}'{nearest(task, TASKS)}; known: {', '.join(TASKS)}")
