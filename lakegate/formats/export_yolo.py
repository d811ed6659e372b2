"""YOLO out, as Ultralytics reads it (https://docs.ultralytics.com/datasets/): ``data.yaml``, lists of images, ``labels/*.txt``.

A dataset for detection gives boxes, for segmentation one outline per object, for keypoints boxes with points: Ultralytics
demands one kind per dataset. Splits are the lists ``train.txt``, ``val.txt`` and ``test.txt``, so that images keep their names.
"""

import json
from collections.abc import Iterable
from pathlib import Path

from lakegate.errors import BadInput
from lakegate.formats.export_set import IMAGES, ExportSet, Losses
from lakegate.formats.outlines import has_holes, join_polygons, outlines_of_mask
from lakegate.geometry import Polygon
from lakegate.samples import Annotation, Sample

SHARE_DECIMALS = 9  # 0.001 px of an image of 100,000 px is 1e-8 of its side


def write_yolo(exported: ExportSet, folder: Path) -> Losses:
    """Write the label files, the lists and ``data.yaml``; the images are written by the caller.

    Raises:
        BadInput: the dataset labels whole images, for which these files have no place.
    """
    if exported.task == "classification":
        raise BadInput(f"{exported.name} labels whole images, YOLO's label files hold objects; export it as coco or cvat")
    losses = Losses("YOLO")
    for item in exported.items:
        found = [_line(exported, item.sample, annotation, losses) for annotation in item.sample.annotations]
        losses.leave_out("tags of samples", len(item.sample.tags))
        path = folder / "labels" / f"{item.sample.id}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(f"{line}\n" for line in found if line))
    lists = {"train" if split == "default" else split: items for split, items in exported.by_split.items()}
    for split, items in lists.items():
        (folder / f"{split}.txt").write_text("".join(f"./{IMAGES}/{item.file_name}\n" for item in items), encoding="utf-8")
    if "val" not in lists:
        losses.say("no split 'val' is there: Ultralytics demands one, name its list in data.yaml")
    (folder / "data.yaml").write_text(_data_yaml(exported, lists), encoding="utf-8")
    return losses


def _data_yaml(exported: ExportSet, splits: Iterable[str]) -> str:
    """Return the YAML; JSON's quoted strings and lists are valid YAML."""
    points = exported.all_points
    lines = [f"# {exported.name}", "path: .", *(f"{split}: {split}.txt" for split in splits)]
    if exported.task == "keypoints" and points:
        lines += [f"kpt_shape: [{len(points)}, 3]", "kpt_names:"]
        names = json.dumps(points, ensure_ascii=False)
        lines += [f"  {number}: {names}" for number in range(len(exported.labels))]
    labels = [json.dumps(label, ensure_ascii=False) for label in exported.labels]
    lines += ["names:", *(f"  {number}: {label}" for number, label in enumerate(labels))]
    return "\n".join(lines) + "\n"


def _line(exported: ExportSet, sample: Sample, annotation: Annotation, losses: Losses) -> str:
    """Return the line of an object; an empty one for what YOLO has no line for."""
    if annotation.is_image_level or annotation.bbox_xywh_px is None:
        losses.leave_out("labels of whole images")
        return ""
    losses.check_words(annotation, attributes=False, track_id=False, origin=False)
    losses.written += 1
    size_px = (sample.width_px, sample.height_px)
    number = exported.labels.index(annotation.label)
    if exported.task == "segmentation":
        return f"{number} {_shares(_outline(annotation, losses), size_px)}"
    if annotation.polygons_px or annotation.rle:
        losses.change("masks or polygons written as the box around them")
    x, y, width, height = annotation.bbox_xywh_px
    line = f"{number} {_shares((x + width / 2, y + height / 2, width, height), size_px)}"
    if exported.task == "keypoints":
        by_name = {point.name: point for point in annotation.keypoints if point.visibility}
        for name in exported.all_points:
            point = by_name.get(name)
            line += " 0 0 0" if point is None else f" {_shares((point.x_px, point.y_px), size_px)} {point.visibility}"
    elif annotation.keypoints:
        losses.leave_out("sets of keypoints")
    return line


def _outline(annotation: Annotation, losses: Losses) -> Polygon:
    if annotation.keypoints:
        losses.leave_out("sets of keypoints")
    polygons = annotation.polygons_px
    if annotation.rle is not None:
        polygons = outlines_of_mask(annotation.rle)
        holes = " (their holes are filled)" if has_holes(annotation.rle) else ""
        losses.change(f"masks written as outlines{holes}")
    if not polygons:
        x, y, width, height = annotation.bbox_xywh_px or (0.0, 0.0, 0.0, 0.0)
        losses.change("boxes written as polygons of four points")
        return x, y, x + width, y, x + width, y + height, x, y + height
    if len(polygons) > 1:
        losses.change("objects of several parts joined to one outline")
    return join_polygons(polygons)


def _shares(numbers_px: Iterable[float], size_px: tuple[int, int]) -> str:
    """Return x, y, x, y, … as shares of the image's sides."""
    return " ".join(f"{number / size_px[index % 2]:.{SHARE_DECIMALS}f}" for index, number in enumerate(numbers_px))
