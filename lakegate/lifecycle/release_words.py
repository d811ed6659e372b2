"""The words of a release page that depend on what the model does: units, metrics, and how a flip came about."""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from lakegate.declarations import ModelTask
from lakegate.evaluation.box_panels import hit_words, miss_words
from lakegate.evaluation.gallery import KIND_TITLES
from lakegate.evaluation.gate_words import UNITS
from lakegate.evaluation.judged import Flip, NearPrediction
from lakegate.evaluation.matrix import Cell
from lakegate.evaluation.region_flips import percent
from lakegate.gate_rules import METRICS

NOTED_KINDS = ("negative", "new_false")  # what got better is on the matrix page


class TaskWords(NamedTuple):
    """``shown``: the metrics of the page's table; ``watched``: those whose fall is worth a look, gated or not."""

    unit: str
    shown: tuple[str, ...]
    watched: tuple[str, ...]
    negative: str
    positive: str
    newly_wrong: str  # after "3 of 10 objects: "


_FOUND = (
    "found by production, missed by the candidate",
    "missed by production, found by the candidate",
    "production finds them and the candidate misses them",
)
_NAMED = (
    "labelled rightly by production, wrongly by the candidate",
    "labelled wrongly by production, rightly by the candidate",
    "production labels them rightly and the candidate does not",
)
TASK_WORDS: dict[ModelTask, TaskWords] = {
    "detection": TaskWords(
        UNITS["detection"], ("map50", "recall", "precision", "false_per_image"), ("map50", "recall", "precision"), *_FOUND
    ),
    "classification": TaskWords(
        UNITS["classification"], ("accuracy", "macro_f1", "calibration_error"), ("accuracy", "macro_f1"), *_NAMED
    ),
    "segmentation": TaskWords(
        UNITS["segmentation"], ("miou", "recall", "precision"), ("miou", "recall", "precision"), *_FOUND
    ),
}


def task_of(cells: Sequence[Cell]) -> ModelTask:
    """Return the task whose metrics the columns hold."""
    measured = {name for cell in cells for name in cell.candidate if name in METRICS}
    return next((task for task in TASK_WORDS if any(METRICS[name].tasks == (task,) for name in measured)), "detection")


def flip_notes(flips: Sequence[Flip], task: ModelTask) -> list[tuple[str, str]]:
    """Return (kind in words, sentence) per kind of flip of one image, the first flip of each kind in full."""
    notes = []
    for kind in NOTED_KINDS:
        same = [flip for flip in flips if flip.kind == kind]
        if same:
            count = Counter(flip.label for flip in same)
            labels = ", ".join(f"{number} {label}" for label, number in count.most_common())
            first = "" if len(same) == 1 else f"The first, {same[0].label}: "
            title = KIND_TITLES[kind].replace("object", TASK_WORDS[task].unit)
            labelled = f"labelled {same[0].label}" if task == "classification" else labels
            notes.append((f"{len(same)} {title}{'' if len(same) == 1 else 's'}", f"{labelled}. {first}{_how(same[0], task)}"))
    return notes


def _how(flip: Flip, task: ModelTask) -> str:
    if task == "classification":
        return f"Production calls it {_answer(flip.baseline)}; the candidate {_answer(flip.candidate)}."
    if task == "segmentation":
        return _how_region(flip)
    if flip.kind == "negative":
        return f"Production found it{hit_words(flip.baseline)}; the candidate missed it{miss_words(flip.candidate)}."
    score = "" if flip.candidate is None else f" with score {flip.candidate.score:.2f}"
    return f"The candidate shows it{score} and it counts as false; production does not show it."


def _how_region(flip: Flip) -> str:
    if flip.kind == "negative":
        return f"Production labels {_share(flip.baseline)}; the candidate {_share(flip.candidate)}."
    return f"The candidate labels a shape {flip.label} where it is not; production labels {_share(flip.baseline)}."


def _share(near: NearPrediction | None) -> str:
    return "none of its pixels" if near is None else f"{percent(near.score)} of its pixels {near.label}"


def _answer(near: NearPrediction | None) -> str:
    return "nothing" if near is None else f"{near.label} (probability {near.score:.2f})"
