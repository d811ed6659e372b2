"""pycocotools on plain arrays: what average precision is compared with."""

import contextlib
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from lakegate.evaluation.coco_matching import SampleMatches, match_sample


@dataclass(frozen=True)
class Scene:
    """One image: what is there, and what a model says is there."""

    truth_boxes: np.ndarray
    truth_labels: np.ndarray
    truth_ignored: np.ndarray
    boxes: np.ndarray
    scores: np.ndarray
    labels: np.ndarray

    def match(self, max_objects: int = 100) -> SampleMatches:
        truth = self.truth_boxes, self.truth_labels, self.truth_ignored
        return match_sample(*truth, self.boxes, self.scores, self.labels, max_objects)


class EvalWithIgnored(COCOeval):
    """pycocotools ignores crowds only; here an object may be ignored and still be one object."""

    def _prepare(self) -> None:
        super()._prepare()
        for objects in self._gts.values():
            for item in objects:
                item["ignore"] = item["is_ignored"]


def reference(scenes: Sequence[Scene], n_labels: int, max_objects: int = 100) -> np.ndarray:
    """Return pycocotools' precision, shape (10 IoUs, 101 levels, K, 4 sizes), nan for a label without objects."""
    return evaluate(*to_coco(scenes, n_labels), max_objects)


def evaluate(truth: COCO, predictions: COCO, max_objects: int = 100, sizes: int = 4) -> np.ndarray:
    """Return pycocotools' precision for the first of its sizes: all, small, medium, large."""
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation = EvalWithIgnored(truth, predictions, "bbox")
        evaluation.params.maxDets = [max_objects]
        evaluation.params.areaRng = evaluation.params.areaRng[:sizes]
        evaluation.params.areaRngLbl = evaluation.params.areaRngLbl[:sizes]
        evaluation.evaluate()
        evaluation.accumulate()
    precision = evaluation.eval["precision"][..., 0]
    return np.where(precision < 0, np.nan, precision)


def to_coco(scenes: Sequence[Scene], n_labels: int) -> tuple[COCO, COCO]:
    """Return truth and predictions as pycocotools holds them; it prints while it loads, which is kept off the screen."""
    with contextlib.redirect_stdout(io.StringIO()):
        return _to_coco(scenes, n_labels)


def _to_coco(scenes: Sequence[Scene], n_labels: int) -> tuple[COCO, COCO]:
    objects, predictions = [], []
    for image, scene in enumerate(scenes, start=1):
        for box, label, ignored in zip(xywh(scene.truth_boxes), scene.truth_labels, scene.truth_ignored, strict=True):
            row = {"image_id": image, "category_id": int(label) + 1, "bbox": box, "area": box[2] * box[3], "iscrowd": 0}
            objects.append({**row, "id": len(objects) + 1, "is_ignored": int(ignored)})
        for box, label, value in zip(xywh(scene.boxes), scene.labels, scene.scores, strict=True):
            predictions.append({"image_id": image, "category_id": int(label) + 1, "bbox": box, "score": float(value)})
    truth = COCO()
    truth.dataset = {
        "images": [{"id": image} for image in range(1, len(scenes) + 1)],
        "annotations": objects,
        "categories": [{"id": label + 1, "name": str(label)} for label in range(n_labels)],
    }
    truth.createIndex()
    if predictions:
        return truth, truth.loadRes(predictions)
    nothing = COCO()
    nothing.dataset = {**truth.dataset, "annotations": []}
    nothing.createIndex()
    return truth, nothing


def xywh(boxes_xyxy: np.ndarray) -> list[list[float]]:
    boxes = boxes_xyxy.astype(np.float64).reshape(-1, 4)
    return np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1).tolist()


def random_scene(random: np.random.Generator, n_labels: int, n_objects: float = 6.0) -> Scene:
    """A scene as a middling detector sees it: shifted boxes, mistaken labels, missed and invented objects, any size."""
    n = random.poisson(n_objects)
    truth = random_boxes(random, n)
    truth_labels = random.integers(0, n_labels, n)
    (found,) = np.nonzero(random.random(n) < 0.85)
    side = np.tile(truth[found, 2:] - truth[found, :2], 2)
    n_false = random.poisson(n_objects / 2)
    boxes = np.concatenate([truth[found] + random.normal(0, 0.06, side.shape) * side, random_boxes(random, n_false)])
    labels = np.where(random.random(len(found)) < 0.1, random.integers(0, n_labels, len(found)), truth_labels[found])
    labels = np.concatenate([labels, random.integers(0, n_labels, n_false)])
    scores = np.concatenate([random.beta(4, 2, len(found)), random.beta(1, 3, n_false)])
    single = truth.astype(np.float32), boxes.astype(np.float32), scores.astype(np.float32)
    return Scene(single[0], truth_labels, random.random(n) < 0.1, single[1], single[2], labels)


def random_boxes(random: np.random.Generator, n: int) -> np.ndarray:
    corner, side = random.uniform(0, 400, (n, 2)), np.exp(random.uniform(np.log(8), np.log(200), (n, 2)))
    return np.concatenate([corner, corner + side], axis=1)
