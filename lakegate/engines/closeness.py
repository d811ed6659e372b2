"""How closely an engine, or a narrowed ONNX file, follows model.onnx: real images, every batch size, every slot."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from pydantic import BaseModel, ConfigDict

from lakegate.declarations import EngineTable, ModelDeclaration
from lakegate.detections import BoolArray
from lakegate.imaging import ByteArray, FloatArray, to_input

SAME_SCORE = 0.01  # two scores this close agree, also where one is above the threshold and the other below
EVERY_BATCH_UP_TO = 8


class Infers(Protocol):
    """What can be compared: ``OnnxModel`` and ``EngineModel``."""

    def infer(self, images_NCHW: FloatArray) -> tuple[FloatArray, ...]:
        """Return boxes (N, A, 4) in input px and scores (N, A, C)."""


class Limits(BaseModel):
    """What is allowed in the worst slot of every batch."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    max_score_error: float  # relative root mean square error of all scores
    max_box_error_px: float  # root mean square error of the sides of objects, in input px
    min_agreement: float  # share of the objects of either that both find with one label, before NMS


# int8 moves scores by some percent also where it is well calibrated; float32 differs by the order of sums only.
USUAL_LIMITS: Mapping[str, Limits] = {
    "fp32": Limits(max_score_error=0.001, max_box_error_px=0.05, min_agreement=0.999),
    "fp16": Limits(max_score_error=0.02, max_box_error_px=0.5, min_agreement=0.98),
    "int8": Limits(max_score_error=0.15, max_box_error_px=2.0, min_agreement=0.9),
}


def limits_of(engine: EngineTable) -> Limits:
    """Return the declared limits, the usual ones of the precision where none are declared."""
    usual = USUAL_LIMITS[engine.precision]
    declared = {name: getattr(engine, name) for name in Limits.model_fields if getattr(engine, name) is not None}
    return usual.model_copy(update=declared)


class ClosenessRow(BaseModel):
    """The worst slot of one batch size; ``n_objects``: locations that either side calls an object, over all slots."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    batch: int
    worst_slot: int
    score_error: float
    box_error_px: float
    agreement: float
    n_objects: int
    passed: bool


class Closeness(BaseModel):
    """All batch sizes against one set of limits."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    limits: Limits
    n_images: int
    rows: tuple[ClosenessRow, ...]

    @property
    def passed(self) -> bool:
        """Whether every row holds."""
        return bool(self.rows) and all(row.passed for row in self.rows)

    @property
    def failures(self) -> list[str]:
        """One sentence per row that does not hold."""
        return [
            f"batch {row.batch}, slot {row.worst_slot}: scores off by {row.score_error:.2g}, boxes by "
            f"{row.box_error_px:.2g} px, agreement on {row.n_objects} objects {row.agreement:.3f}"
            for row in self.rows
            if not row.passed
        ]

    @property
    def sentence(self) -> str:
        """The worst numbers of all rows and what is allowed."""
        batches = ", ".join(str(row.batch) for row in self.rows)
        return (
            f"on {self.n_images} real images in batches of {batches}: scores off by at most "
            f"{max(row.score_error for row in self.rows):.2g} ({self.limits.max_score_error:g} allowed), boxes by "
            f"{max(row.box_error_px for row in self.rows):.2g} px ({self.limits.max_box_error_px:g}), agreement "
            f"{min(row.agreement for row in self.rows):.3f} (at least {self.limits.min_agreement:g})"
        )


@dataclass(frozen=True)
class _Slot:
    score_error: float
    box_error_px: float
    agreement: float
    n_objects: int

    def holds(self, limits: Limits) -> bool:
        return (
            self.score_error <= limits.max_score_error
            and self.box_error_px <= limits.max_box_error_px
            and self.agreement >= limits.min_agreement
        )


def batch_sizes(batch: tuple[int, int, int]) -> list[int]:
    """Return every size of a profile up to 8, of larger ones the ends, their neighbours and the optimum."""
    low, usual, high = batch
    every = range(low, min(high, EVERY_BATCH_UP_TO) + 1)
    return sorted({*every, low, usual, high, max(low, high - 1)})


def measure(
    candidate: Infers, reference: Infers, pictures: Sequence[ByteArray], declaration: ModelDeclaration, limits: Limits
) -> Closeness:
    """Compare raw outputs. The reference sees each image alone, so a slot that depends on its neighbours shows.

    ``pictures``: uint8 RGB images of any size, at least one; repeated where a batch is larger.
    """
    inputs = np.stack([to_input(picture, declaration.architecture.input_px).pixels for picture in pictures])
    expected = [reference.infer(inputs[index : index + 1]) for index in range(len(inputs))]
    threshold = declaration.operating.score_threshold
    rows = []
    for batch in batch_sizes(declaration.export.batch):
        chosen = [index % len(inputs) for index in range(batch)]
        boxes, scores = candidate.infer(inputs[chosen])
        slots = [
            _compare(boxes[slot], scores[slot], expected[index][0][0], expected[index][1][0], threshold)
            for slot, index in enumerate(chosen)
        ]
        rows.append(_row(batch, slots, limits))
    return Closeness(limits=limits, n_images=len(pictures), rows=tuple(rows))


def _row(batch: int, slots: Sequence[_Slot], limits: Limits) -> ClosenessRow:
    worst = max(range(len(slots)), key=lambda index: (not slots[index].holds(limits), slots[index].score_error))
    return ClosenessRow(
        batch=batch,
        worst_slot=worst,
        score_error=max(slot.score_error for slot in slots),
        box_error_px=max(slot.box_error_px for slot in slots),
        agreement=min(slot.agreement for slot in slots),
        n_objects=sum(slot.n_objects for slot in slots),
        passed=all(slot.holds(limits) for slot in slots),
    )


def _compare(
    boxes: FloatArray, scores: FloatArray, expected_boxes: FloatArray, expected_scores: FloatArray, threshold: float
) -> _Slot:
    shapes_fit = boxes.shape == expected_boxes.shape and scores.shape == expected_scores.shape
    if not (shapes_fit and np.isfinite(boxes).all() and np.isfinite(scores).all()):
        return _Slot(1e9, 1e9, 0.0, 0)  # JSON has no infinity
    found, wanted = scores.max(axis=1), expected_scores.max(axis=1)
    either: BoolArray = (found >= threshold) | (wanted >= threshold)
    same = (scores.argmax(axis=1) == expected_scores.argmax(axis=1)) & ((found >= threshold) == (wanted >= threshold))
    same |= np.abs(scores - expected_scores).max(axis=1) <= SAME_SCORE
    judged = either if either.any() else np.ones_like(either)
    off_px = boxes[judged] - expected_boxes[judged]
    return _Slot(
        score_error=_rms(scores - expected_scores) / max(_rms(expected_scores), 1e-9),
        box_error_px=_rms(off_px),
        agreement=float(same[either].mean()) if either.any() else 1.0,
        n_objects=int(either.sum()),
    )


def _rms(values: FloatArray) -> float:
    return float(np.sqrt(np.mean(np.square(values, dtype=np.float64))))
