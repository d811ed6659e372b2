"""Flips of classification: images that one model gives the right label and the other a wrong one; and what is shown of them."""

from typing import Any

from lakegate.evaluation.classes import JudgedClass
from lakegate.evaluation.judged import Flip, FlipKind, JudgedSample, NearPrediction, Panel

NAMED_PROBABILITY = 0.05  # a caption names what is at least as probable, up to so many labels
NAMED_LABELS = 3


def find_class_flips(judged: JudgedSample, labels: tuple[str, ...], cells: tuple[str, ...] = ()) -> list[Flip]:
    """Return the flip of one image, if there is one: none without a baseline, or where a model does not know the label."""
    baseline: JudgedClass | None = judged.baseline
    candidate: JudgedClass = judged.candidate
    if baseline is None or not baseline.is_judged or not candidate.is_judged or baseline.is_right == candidate.is_right:
        return []
    kind: FlipKind = "negative" if baseline.is_right else "positive"
    truth, sample = candidate.truth, judged.sample
    whole = (0.0, 0.0, float(sample.width_px), float(sample.height_px))
    near = [
        NearPrediction(labels[item.predicted], round(item.probability, 6), 1.0, whole, _why_not(item, labels))
        for item in (candidate, baseline)
    ]
    return [Flip(kind, judged.dataset, sample.id, labels[truth.label], whole, cells, near[0], near[1], truth.author, 0)]


def class_flip_words(flip: Flip, judged: JudgedSample, labels: tuple[str, ...]) -> str:
    """Say which label each model gave the image."""
    judgements: dict[str, Any] = {"baseline": judged.baseline, "candidate": judged.candidate}
    right, wrong = ("baseline", "candidate") if flip.kind == "negative" else ("candidate", "baseline")
    answers = {name: _answer(item, labels) for name, item in judgements.items()}
    return f"the {right} is right: {answers[right]}; the {wrong} is wrong: {answers[wrong]}"


def class_panels(judged: JudgedSample, labels: tuple[str, ...]) -> list[Panel]:
    """Return truth, baseline (where there is one) and candidate: the image, with the label in words."""
    panels = [Panel("truth", (), labels[judged.truth.label])]
    if judged.baseline is not None:
        panels.append(Panel("baseline", (), _caption(judged.baseline, labels)))
    return [*panels, Panel("candidate", (), _caption(judged.candidate, labels))]


def _why_not(judged: JudgedClass, labels: tuple[str, ...]) -> str:
    if judged.is_right:
        return ""
    true = judged.truth.label
    return f"the label is {labels[true]}, which has probability {float(judged.probabilities[true]):.2f}"


def _answer(judged: JudgedClass, labels: tuple[str, ...]) -> str:
    named = f"{labels[judged.predicted]} ({judged.probability:.2f})"
    if judged.is_right:
        return named
    true = judged.truth.label
    return f"{named}, and the true label {labels[true]} has {float(judged.probabilities[true]):.2f}"


def _caption(judged: JudgedClass, labels: tuple[str, ...]) -> str:
    """``right: lemon (0.91)``, or ``wrong: orange (0.60), lemon (0.35)``: the most probable labels."""
    order = (-judged.probabilities).argsort(kind="stable")[:NAMED_LABELS].tolist()
    order = [judged.predicted, *(index for index in order if index != judged.predicted)][:NAMED_LABELS]
    shown = [index for index in order if index == judged.predicted or judged.probabilities[index] >= NAMED_PROBABILITY]
    word = "right" if judged.is_right else "wrong" if judged.is_judged else "not judged (the model does not know the label)"
    return f"{word}: " + ", ".join(f"{labels[index]} ({float(judged.probabilities[index]):.2f})" for index in shown)
