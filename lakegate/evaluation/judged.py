"""What judging makes of samples, for every task type: judged samples, flips, and what is drawn of them."""

from dataclasses import dataclass
from typing import Any, Literal

from lakegate.html import DrawnBox
from lakegate.lake.local_version import LocalImage
from lakegate.samples import Box, Sample

FlipKind = Literal["negative", "positive", "new_false"]
FLIP_KINDS: tuple[FlipKind, ...] = ("negative", "positive", "new_false")


@dataclass(frozen=True)
class JudgedSample:
    """One test sample with what both models made of it; ``truth`` and the judgements are of the task type's own types."""

    dataset: str
    sample: Sample
    image: LocalImage
    truth: Any
    candidate: Any
    baseline: Any | None

    @property
    def key(self) -> str:
        """``dataset/sample``: unique over all datasets of one matrix."""
        return f"{self.dataset}/{self.sample.id}"


@dataclass(frozen=True)
class NearPrediction:
    """The prediction of one model that found an object, or came nearest; ``why_not`` says why it does not count.

    ``iou`` is 1 and the box is the whole image where a label is about the whole image.
    """

    label: str
    score: float
    iou: float
    box_xyxy_px: Box
    why_not: str  # empty where it counts


@dataclass(frozen=True)
class Flip:
    """One object, image or region that the two models treat differently.

    negative: the baseline right, the candidate wrong; positive: the reverse; new_false: something that the candidate shows
    where nothing is, and the baseline does not show. ``author`` is who drew the label, as far as the export said so.
    ``object_index`` is the object's place in ``sample.annotations``; None for a new false one, which is no object there.
    ``version`` is the version of the dataset that last changed the object; of a new false one, the version that last changed
    any label of the sample. "" until a comparison with lakeFS fills it.
    """

    kind: FlipKind
    dataset: str
    sample_id: str
    label: str
    box_xyxy_px: Box
    cells: tuple[str, ...]
    candidate: NearPrediction | None
    baseline: NearPrediction | None
    author: str = ""
    object_index: int | None = None
    version: str = ""

    @property
    def sample_key(self) -> str:
        """``dataset/sample``, as :attr:`JudgedSample.key`."""
        return f"{self.dataset}/{self.sample_id}"


@dataclass(frozen=True)
class Panel:
    """One picture with what is drawn on it, in pixels of the original image; ``caption`` where words say it."""

    title: str
    boxes: tuple[DrawnBox, ...]
    caption: str = ""
