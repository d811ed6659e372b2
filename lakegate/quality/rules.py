"""What is checked on every dataset version, in words; the same words stand in the report, in errors, and in the evidence."""

from dataclasses import dataclass, field

from lakegate.declarations import QualityTable
from lakegate.gate_rules import Outcome

BOX_TOLERANCE_PX = 1.0  # Pascal VOC counts pixels from 1, so its boxes may end one pixel outside

RULES = {
    "sample_ids_unique": "Every sample id occurs once.",
    "image_exists": "Every sample has its image file.",
    "image_is_whole": "Every image file decodes as one whole still picture.",
    "size_matches": "Width and height of the labels are those of the decoded image.",
    "split_valid": "Every sample is in the split train, val or test.",
    "annotation_has_sample": "Every annotation belongs to a sample of this version.",
    "annotation_ids_unique": "Within a sample, every annotation id occurs once.",
    "label_is_declared": "Every label is declared in dataset.toml.",
    "box_present": "Every object has a box.",
    "box_has_area": "Every box is wider and higher than 0 px.",
    "box_inside_image": f"Every box lies inside its image; up to {BOX_TOLERANCE_PX:g} px beyond the border is tolerated.",
    "no_leak_between_splits": "No image stands in two splits (same SHA-256).",
    "splits_filled": "Each split that training and judging need has samples.",
}
INFORMATION = {
    "labels_occur": "Every declared label occurs.",
    "samples_without_objects": "Samples on which nothing is labelled (they count as background).",
    "images_twice_in_split": "Images that stand twice in one split (same SHA-256).",
    "images_with_exif_rotation": "Images that carry an EXIF rotation, which is not applied: boxes are in stored pixels.",
}
LIMITS = {  # field of [quality] → (column of the metrics table, words)
    "min_side_px": ("shorter_side_px", "The shorter side of the image, in pixels."),
    "max_side_px": ("longer_side_px", "The longer side of the image, in pixels."),
    "aspect": ("aspect", "Width over height."),
    "brightness": ("brightness", "Mean grey value, 0 (black) to 255 (white)."),
    "contrast": ("contrast", "Standard deviation of the grey values."),
    "entropy": ("entropy", "Entropy of the grey values, in bits (0 is one flat colour, 8 is the most)."),
    "blur_min": ("blur", "Sharpness: variance of the Laplacian (low is blurred)."),
}


@dataclass(frozen=True)
class RuleLine:
    """One rule on one version. A line that only informs has failures but never fails the version."""

    name: str
    words: str
    checked: int
    failed: int
    sample_ids: tuple[str, ...] = ()  # the first ten that failed
    limit: str = ""
    informs: bool = False
    unit: str = "samples"
    details: tuple[str, ...] = field(default=())  # sentences about the version as a whole

    @property
    def outcome(self) -> Outcome:
        """``NOT_ENOUGH_DATA`` where nothing could be checked and nothing was found."""
        if self.failed and not self.informs:
            return Outcome.FAIL
        return Outcome.PASS if self.checked or self.informs else Outcome.NOT_ENOUGH_DATA


@dataclass(frozen=True)
class Limit:
    """One line of ``[quality]``: the column that it judges and its ends."""

    rule: str
    column: str
    words: str
    lowest: float | None
    highest: float | None

    @property
    def text(self) -> str:
        """The limit as people write it: ``at least 64``, ``20 to 235``."""
        if self.lowest is None:
            return f"at most {self.highest:g}"
        return f"at least {self.lowest:g}" if self.highest is None else f"{self.lowest:g} to {self.highest:g}"


def limits_of(quality: QualityTable) -> list[Limit]:
    """Return the declared limits, in the order of the report; what is not declared is not judged."""
    limits = []
    for name, (column, words) in LIMITS.items():
        value = getattr(quality, name)
        if value is None:
            continue
        if isinstance(value, tuple):
            lowest, highest = value
        else:
            lowest, highest = (None, value) if name.startswith("max") else (value, None)
        limits.append(Limit(name, column, words, lowest, highest))
    return limits
