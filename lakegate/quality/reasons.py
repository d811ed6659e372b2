"""What to say about a row of the tables that breaks a rule: what was expected, what came, what to do."""

from collections.abc import Callable
from typing import Any, get_args

from lakegate.errors import nearest
from lakegate.samples import Split

Row = dict[str, Any]


def _box(row: Row) -> str:
    return f"box {row['number']} '{row['label']}'"


def _object(row: Row) -> str:
    return f"object {row['number']} '{row['label']}'"


def _corners(row: Row) -> str:
    x, y, width, height = (row[name] for name in ("x_px", "y_px", "box_width_px", "box_height_px"))
    return f"x {x:g} to {x + width:g} px, y {y:g} to {y + height:g} px"


def _image(row: Row) -> str:
    return f"the image has {row['image_width_px']} x {row['image_height_px']} px"


def _one_label(row: Row) -> str:
    if not row["n_image_labels"]:
        return "the image has no label; expected exactly one, give it one or leave the image out"
    return f"the image has {row['n_image_labels']} labels ({row['image_labels']}); expected exactly one"


SAMPLE_REASONS: dict[str, Callable[[Row], str]] = {
    "sample_ids_unique": lambda row: (
        f"the id stands {row['id_count']} times; every image needs its own name without the suffix"
    ),
    "image_exists": lambda _: "no image file belongs to these labels; deliver it, or take the labels out",
    "image_is_whole": lambda row: str(row["broken_reason"]),
    "size_matches": lambda row: (
        f"the labels say {row['width_px']} x {row['height_px']} px, the image has "
        f"{row['decoded_width_px']} x {row['decoded_height_px']} px; label the image as it is stored"
    ),
    "split_valid": lambda row: f"split '{row['split']}' is none of train, val, test{nearest(row['split'], get_args(Split))}",
    "one_label_per_image": _one_label,
}
OBJECT_REASONS: dict[str, Callable[[Row], str]] = {
    "annotation_has_sample": lambda row: f"{_box(row)} belongs to a sample that is not in this version",
    "annotation_ids_unique": lambda row: (
        f"{_box(row)} shares its id '{row['annotation_id']}' with {row['id_count'] - 1} other(s)"
    ),
    "label_is_declared": lambda row: (
        f"{_box(row)}: label '{row['label']}' is not declared{nearest(row['label'], row['labels'])}"
    ),
    "label_of_whole_image": lambda row: (
        f"{_object(row)} has a shape; labels of a classification dataset are about the whole image"
    ),
    "box_present": lambda row: f"{_object(row)} has no box",
    "mask_present": lambda row: f"{_object(row)} has neither polygon nor mask",
    "keypoints_present": lambda row: f"{_object(row)} has no keypoints",
    "box_has_area": lambda row: (
        f"{_box(row)} has no area: width {row['box_width_px']:g} px, height {row['box_height_px']:g} px"
    ),
    "box_inside_image": lambda row: f"{_box(row)} reaches {row['outside_px']:g} px outside: {_corners(row)}, {_image(row)}",
    "polygon_has_area": lambda row: f"{_object(row)}: {row['polygon_flaw']}",
    "polygon_inside_image": lambda row: (
        f"{_object(row)}: its polygon reaches {row['polygon_outside_px']:g} px outside; {_image(row)}"
    ),
    "mask_fits_image": lambda row: f"{_object(row)} {row['mask_flaw']}",
    "mask_not_empty": lambda row: f"{_object(row)} has a mask without a pixel",
    "keypoints_valid": lambda row: f"{_object(row)}: {row['keypoint_flaw']}",
    "keypoints_inside_image": lambda row: (
        f"{_object(row)}: a keypoint lies {row['keypoint_outside_px']:g} px outside; {_image(row)}"
    ),
}
