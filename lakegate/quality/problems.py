"""What is wrong with one sample, by one rule."""

from dataclasses import dataclass


@dataclass(frozen=True)
class SampleProblem:
    """One row of evidence: nothing is left out of a version without one."""

    sample_id: str
    file: str  # as the person who made the export knows it
    rule: str  # for example "box_has_area"
    reason: str  # what was expected and what came
    boxes: tuple[int, ...] = ()  # the annotations that it is about, counted from 1 in the sample's order

    @property
    def name(self) -> str:
        """What to call it in a list: the file, and the sample too where the file holds many (COCO)."""
        return self.file if self.sample_id in self.file else f"{self.sample_id} ({self.file})"
