"""Flips of segmentation: regions that one model finds and the other does not, and false shapes that only the candidate shows.

A region is found where at least half of its pixels carry its label; a shape is false where less than a tenth of its pixels
lie on its label.
"""

import numpy as np

from lakegate.evaluation.judged import Flip, FlipKind, JudgedSample, NearPrediction
from lakegate.evaluation.region_shapes import Part, connected_parts, region_parts, shown_shapes
from lakegate.evaluation.regions import FOUND_SHARE, JudgedRegions, RegionTruth
from lakegate.label_map import MapArray


def find_region_flips(judged: JudgedSample, labels: tuple[str, ...], cells: tuple[str, ...] = ()) -> list[Flip]:
    """Return all flips of one sample: true regions in their order, then the candidate's new false shapes.

    A region whose label one of the models does not know is no flip; a sample without a baseline's prediction has none.
    In a flip, ``score`` is the share of the region's pixels that carry the predicted label, and ``iou`` the overlap of the
    region and these pixels inside its box.
    """
    baseline: JudgedRegions | None = judged.baseline
    candidate: JudgedRegions = judged.candidate
    if baseline is None:
        return []
    flips = []
    truth: RegionTruth = judged.truth
    shown = [candidate.shown.pixels, baseline.shown.pixels]
    before_T, after_T = baseline.is_found, candidate.is_found
    changed = np.flatnonzero((before_T != after_T) & baseline.is_judged & candidate.is_judged).tolist()
    for index, part in zip(changed, region_parts(truth, changed), strict=True):
        kind: FlipKind = "negative" if before_T[index] else "positive"
        label, box = int(truth.labels[index]), part.box_xyxy_px
        near = [near_prediction(shown_HW, part, label, labels) for shown_HW in shown]
        author = truth.authors[index] if truth.authors else ""
        flips.append(Flip(kind, judged.dataset, judged.sample.id, labels[label], box, cells, near[0], near[1], author, index))
    for shape in shown_shapes(candidate):
        if shape.is_false and float(np.mean(shape.part.of(shown[1]) == shape.label + 1)) < FOUND_SHARE:
            near = [near_prediction(shown_HW, shape.part, shape.label, labels) for shown_HW in shown]
            label_name, box = labels[shape.label], shape.part.box_xyxy_px
            flips.append(Flip("new_false", judged.dataset, judged.sample.id, label_name, box, cells, near[0], near[1]))
    return flips


def near_prediction(shown_HW: MapArray, part: Part, label: int, labels: tuple[str, ...]) -> NearPrediction | None:
    """Return the label that most of these pixels carry in a prediction; None where all of them are background."""
    counts = np.bincount(part.of(shown_HW), minlength=len(labels) + 1)[1:]
    if not counts.any():
        return None
    best = label if counts[label] == counts.max() else int(counts.argmax())
    x1, y1, x2, y2 = part.box_px
    n_in_box = int(np.count_nonzero(shown_HW[y1:y2, x1:x2] == best + 1))
    iou = float(counts[best]) / (part.area_px + n_in_box - float(counts[best]))
    own_share, share = float(counts[label]) / part.area_px, float(counts[best]) / part.area_px
    why_not = "" if own_share >= FOUND_SHARE else f"{percent(own_share)} of its pixels are labelled {labels[label]}"
    return NearPrediction(labels[best], round(share, 6), round(iou, 6), part.box_xyxy_px, why_not)


def region_flip_words(flip: Flip, judged: JudgedSample, labels: tuple[str, ...]) -> str:
    """Say how much of a region each model labels right; or what lies where the candidate shows a false shape."""
    if flip.kind == "new_false":
        where, before = _what_is_there(flip, judged.candidate, labels), flip.baseline
        shown = "none of its pixels" if before is None else f"{percent(before.score)} of its pixels {before.label}"
        return f"the candidate labels a shape there {flip.label}, but {where}; the baseline labels {shown}"
    if flip.kind == "negative":
        found, missed = _shown(flip.baseline, flip), _shown(flip.candidate, flip)
        return f"the baseline found it: it labels {found}; the candidate missed it: it labels {missed}"
    found, missed = _shown(flip.candidate, flip), _shown(flip.baseline, flip)
    return f"the baseline missed it: it labels {missed}; the candidate found it: it labels {found}"


def _shown(near: NearPrediction | None, flip: Flip) -> str:
    if near is None:
        return "none of its pixels"
    shown = f"{percent(near.score)} of its pixels {near.label}"
    if not near.why_not:
        return shown
    return f"only {shown}" if near.label == flip.label else f"{shown} ({near.why_not})"


def _what_is_there(flip: Flip, candidate: JudgedRegions, labels: tuple[str, ...]) -> str:
    """Say what the truth holds where the candidate shows a false shape."""
    x1, y1, x2, y2 = (int(side) for side in flip.box_xyxy_px)
    is_shown = candidate.shown.cut((x1, y1, x2, y2)) == labels.index(flip.label) + 1
    whole = max(connected_parts(is_shown), key=lambda part: part.box_area_px)  # others reach into the box only
    numbers = whole.of(candidate.truth.label_map.cut((x1, y1, x2, y2)))
    most = int(np.bincount(numbers).argmax())
    return "nothing is labelled there" if most == 0 else f"most of it is {labels[most - 1]}"


def percent(share: float) -> str:
    """Return whole percents, rounded down: what is below a limit never reads as the limit.

    >>> percent(0.496)
    '49 %'
    """
    return f"{int(share * 100 + 1e-9)} %"
