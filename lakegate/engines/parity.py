"""How closely an exported model follows the trained one: one row per batch and size."""

from pydantic import BaseModel, ConfigDict


class ParityRow(BaseModel):
    """Largest absolute differences over all slots, locations and labels.

    Boxes in input px, None for a task without boxes; scores are 0..1, and the probabilities of a task that has those.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    batch: int
    height_px: int
    width_px: int
    max_abs_boxes_px: float | None = None
    max_abs_scores: float
    worst_slot: int
    passed: bool


class ParityGrid(BaseModel):
    """All rows, against one tolerance for boxes (px) and scores or probabilities.

    ``n_images`` different real images filled the slots.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    atol: float
    n_images: int
    rows: tuple[ParityRow, ...]

    @property
    def passed(self) -> bool:
        """Whether every row holds."""
        return bool(self.rows) and all(row.passed for row in self.rows)

    @property
    def worst_boxes_px(self) -> float | None:
        """The largest difference of a box side, in px; None for a task without boxes."""
        return max((row.max_abs_boxes_px for row in self.rows if row.max_abs_boxes_px is not None), default=None)

    @property
    def worst_scores(self) -> float:
        """The largest difference of a score or probability."""
        return max((row.max_abs_scores for row in self.rows), default=0.0)

    @property
    def failures(self) -> list[str]:
        """One sentence per row that does not hold."""
        return [
            f"batch {row.batch}, {row.height_px} × {row.width_px} px, slot {row.worst_slot}: "
            f"{difference_words(row.max_abs_boxes_px, row.max_abs_scores)}"
            for row in self.rows
            if not row.passed
        ]


def difference_words(boxes_px: float | None, scores: float, bound: str = "") -> str:
    """Say how far outputs differ; ``bound`` stands before each number.

    >>> difference_words(None, 2e-6, "at most ")
    'probabilities differ by at most 2e-06'
    """
    if boxes_px is None:
        return f"probabilities differ by {bound}{scores:.2g}"
    return f"boxes differ by {bound}{boxes_px:.2g} px, scores by {scores:.2g}"
