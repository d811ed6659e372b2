"""How closely an exported model follows the trained one: one row per batch and size."""

from pydantic import BaseModel, ConfigDict


class ParityRow(BaseModel):
    """Largest absolute differences over all slots, locations and labels; boxes in input px, scores 0..1."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    batch: int
    height_px: int
    width_px: int
    max_abs_boxes_px: float
    max_abs_scores: float
    worst_slot: int
    passed: bool


class ParityGrid(BaseModel):
    """All rows, against one tolerance for boxes (px) and scores; ``n_images`` different real images filled the slots."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    atol: float
    n_images: int
    rows: tuple[ParityRow, ...]

    @property
    def passed(self) -> bool:
        """Whether every row holds."""
        return bool(self.rows) and all(row.passed for row in self.rows)

    @property
    def worst_boxes_px(self) -> float:
        """The largest difference of a box side, in px."""
        return max((row.max_abs_boxes_px for row in self.rows), default=0.0)

    @property
    def worst_scores(self) -> float:
        """The largest difference of a score."""
        return max((row.max_abs_scores for row in self.rows), default=0.0)

    @property
    def failures(self) -> list[str]:
        """One sentence per row that does not hold."""
        return [
            f"batch {row.batch}, {row.height_px} × {row.width_px} px, slot {row.worst_slot}: boxes differ by "
            f"{row.max_abs_boxes_px:.2g} px, scores by {row.max_abs_scores:.2g}"
            for row in self.rows
            if not row.passed
        ]
