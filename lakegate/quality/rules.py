"""What is checked on every dataset version, in words; the same words stand in the report, in errors, and in the evidence."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from lakegate.declarations import QualityTable, Task
from lakegate.gate_rules import Outcome

BOX_TOLERANCE_PX = 1.0  # Pascal VOC counts pixels from 1, so its boxes may end one pixel outside
_TOLERATED = f"up to {BOX_TOLERANCE_PX:g} px beyond the border is tolerated"

RULES = {
    "sample_ids_unique": "Every sample id occurs once.",
    "image_exists": "Every sample has its image file.",
    "image_is_whole": "Every image file decodes as one whole still picture.",
    "size_matches": "Width and height of the labels are those of the decoded image.",
    "split_valid": "Every sample is in the split train, val or test.",
    "annotation_has_sample": "Every annotation belongs to a sample of this version.",
    "annotation_ids_unique": "Within a sample, every annotation id occurs once.",
    "label_is_declared": "Every label is declared in dataset.toml.",
    "one_label_per_image": "Every image has exactly one label.",
    "label_of_whole_image": "Every label is about the whole image and has no shape.",
    "box_present": "Every object has a box.",
    "mask_present": "Every object has a polygon or a mask.",
    "keypoints_present": "Every object has keypoints.",
    "box_has_area": "Every box is wider and higher than 0 px.",
    "box_inside_image": f"Every box lies inside its image; {_TOLERATED}.",
    "polygon_has_area": "Every polygon has at least three points and an area.",
    "polygon_inside_image": f"Every polygon lies inside its image; {_TOLERATED}.",
    "mask_fits_image": "Every mask can be read and is of its image's size.",
    "mask_not_empty": "Every mask has at least one pixel.",
    "keypoints_valid": "Every keypoint of an object has a name of its own and the visibility 0, 1 or 2.",
    "keypoints_inside_image": f"Every labelled keypoint lies inside its image; {_TOLERATED}.",
    "no_leak_between_splits": "No image stands in two splits (same SHA-256).",
    "no_group_in_two_splits": "No group (camera, clip, scene) stands in two splits.",
    "no_near_leak_between_splits": "No image looks like one of a split that models are judged on (perceptual hash).",
    "not_in_earlier_test": "No image to learn from was, or looks like, a test image of an earlier version.",
    "splits_filled": "Each split that training and judging need has samples.",
}
_EVERY_OBJECT = ("annotation_has_sample", "annotation_ids_unique", "label_is_declared")
_BOX, _POLYGON = ("box_has_area", "box_inside_image"), ("polygon_has_area", "polygon_inside_image")
_MASK, _KEYPOINTS = ("mask_fits_image", "mask_not_empty"), ("keypoints_valid", "keypoints_inside_image")
SAMPLE_RULES = ("sample_ids_unique", "image_exists", "image_is_whole", "size_matches", "split_valid", "one_label_per_image")
OBJECT_RULES = (
    *_EVERY_OBJECT, "label_of_whole_image", "box_present", "mask_present", "keypoints_present", *_BOX, *_POLYGON, *_MASK,
    *_KEYPOINTS,
)  # fmt: skip
_OF_TASK: dict[Task, tuple[str, ...]] = {
    "classification": ("one_label_per_image", "label_of_whole_image"),
    "detection": ("box_present", *_BOX),
    "segmentation": ("mask_present", *_BOX, *_POLYGON, *_MASK),
    "keypoints": ("keypoints_present", *_BOX, *_KEYPOINTS),
}
_OF_ONE_TASK = ("one_label_per_image", "label_of_whole_image", "box_present", "mask_present", "keypoints_present")
INFORMATION = {
    "labels_occur": "Every declared label occurs.",
    "samples_without_objects": "Samples on which nothing is labelled (they count as background).",
    "images_twice_in_split": "Images that stand twice in one split (same SHA-256).",
    "images_alike_in_split": "Images that look like another one of their split (perceptual hash).",
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

VERSION_LIMITS = {  # field of [quality] → (name of the number, words)
    "max_empty_share": ("empty_share", "Share of the images on which nothing is labelled, 0 to 1."),
    "min_objects_per_label": ("objects_of_rarest_label", "Objects of the rarest declared label."),
    "max_label_share": ("share_of_commonest_label", "Share of the objects that carry the commonest label, 0 to 1."),
    "min_samples_per_group": ("samples_of_smallest_group", "Images of the smallest group (camera, clip, scene)."),
    "max_shift": ("shift", "Largest distance to the version before in one distribution, 0 (alike) to 1 (Kolmogorov-Smirnov)."),
}
INFORMATION |= {name: words for name, (_, words) in VERSION_LIMITS.items()}


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


def rules_of_task(task: Task) -> tuple[str, ...]:
    """Return the rules of the schema that every dataset of a task is judged by, in the order of the report."""
    own = _OF_TASK[task]
    return tuple(rule for rule in (*SAMPLE_RULES, *OBJECT_RULES) if rule in own or rule not in _shape_rules())


def rules_of_shapes(task: Task) -> tuple[str, ...]:
    """Return the further rules that a task's objects are judged by where they carry such shapes."""
    return tuple(rule for rule in OBJECT_RULES if rule in _shape_rules() and rule not in (*_OF_TASK[task], *_OF_ONE_TASK))


def _shape_rules() -> tuple[str, ...]:
    return (*_OF_ONE_TASK, *_BOX, *_POLYGON, *_MASK, *_KEYPOINTS)


def limits_of(quality: QualityTable, known: Mapping[str, tuple[str, str]] = LIMITS) -> list[Limit]:
    """Return the declared limits of ``known``, in the order of the report; what is not declared is not judged."""
    limits = []
    for name, (column, words) in known.items():
        value = getattr(quality, name)
        if value is None:
            continue
        if isinstance(value, tuple):
            lowest, highest = value
        else:
            lowest, highest = (None, value) if name.startswith("max") else (value, None)
        limits.append(Limit(name, column, words, lowest, highest))
    return limits
