"""What the gallery shows of a segmentation: outlines of the true regions, and of each model's shapes by what they are worth."""

import cv2
import numpy as np

from lakegate.evaluation.judged import JudgedSample, Panel
from lakegate.evaluation.region_shapes import MIN_FALSE_PX, Part, region_parts, shown_shapes
from lakegate.evaluation.regions import JudgedRegions, RegionTruth
from lakegate.geometry import Polygon
from lakegate.html import BoxKind, DrawnBox

DRAWN_SIDE_PX = 480  # of a picture in the gallery; outlines are as fine as that shows
CORNER_PX = 0.75


def region_panels(judged: JudgedSample, labels: tuple[str, ...]) -> list[Panel]:
    """Return truth, baseline (where there is one) and candidate."""
    truth: RegionTruth = judged.truth
    seen = [index for index in range(len(truth)) if truth.areas_px[index]]
    drawn = tuple(_drawn_regions(truth, seen, labels, "truth"))
    words = [_counted(len(seen), "region")]
    if len(seen) < len(truth):
        words.append(f"{_counted(len(truth) - len(seen), 'region')} covered by others, not judged")
    panels = [Panel("truth", drawn, "; ".join(words))]
    if judged.baseline is not None:
        panels.append(_panel("baseline", judged.baseline, labels))
    return [*panels, _panel("candidate", judged.candidate, labels)]


def _panel(title: str, judged: JudgedRegions, labels: tuple[str, ...]) -> Panel:
    """Shapes that lie on their label, false shapes, and regions that are missed; specks are counted in the caption."""
    drawn, n_specks, truth = [], 0, judged.truth
    for shape in shown_shapes(judged):
        if not shape.is_true and not shape.is_false:
            n_specks += 1
            continue
        kind: BoxKind = "hit" if shape.is_true else "false"
        drawn.append(_drawn(shape.part, labels[shape.label], kind, truth))
    drawn += _drawn_regions(truth, np.flatnonzero(judged.is_judged & ~judged.is_found).tolist(), labels, "missed")
    words = [f"found {int(judged.is_found.sum())} of {_counted(int(judged.is_judged.sum()), 'region')}"]
    if n_specks:
        words.append(f"{_counted(n_specks, 'false speck')} under {MIN_FALSE_PX} px not drawn")
    return Panel(title, tuple(drawn), "; ".join(words))


def _drawn_regions(truth: RegionTruth, indices: list[int], labels: tuple[str, ...], kind: BoxKind) -> list[DrawnBox]:
    parts = region_parts(truth, indices)
    return [_drawn(part, labels[truth.labels[index]], kind, truth) for index, part in zip(indices, parts, strict=True)]


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _drawn(part: Part, label: str, kind: BoxKind, truth: RegionTruth) -> DrawnBox:
    tolerance_px = CORNER_PX * max(1.0, max(truth.regions.size_px) / DRAWN_SIDE_PX)
    return DrawnBox(part.box_xyxy_px, label, kind, outlines(part, tolerance_px))


def outlines(part: Part, tolerance_px: float) -> tuple[Polygon, ...]:
    """Return the outer and inner outlines through the centres of the outermost pixels, corners finer than that left out."""
    contours, _ = cv2.findContours(part.mask.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    found = []
    for contour in contours:
        points = cv2.approxPolyDP(contour, tolerance_px, closed=True).reshape(-1, 2) + part.box_px[:2] + 0.5
        points = np.concatenate([points, np.repeat(points[-1:], max(0, 3 - len(points)), axis=0)])
        found.append(tuple(round(float(number), 1) for number in points.reshape(-1)))
    return tuple(found)
