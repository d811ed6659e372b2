"""What a table calls a metric, what it says of it, and which direction is good."""

from collections.abc import Mapping

from lakegate.evaluation.matrix import SHORT_WORDS
from lakegate.gate_rules import METRICS, metric_facts

Directions = Mapping[str, bool | None]  # of [metrics]: whether higher is better; None: not said
WORDS = {
    **SHORT_WORDS,
    "accuracy": "accuracy",
    "macro_f1": "macro F1",
    "miou": "mean IoU",
    "dice": "Dice",
    "empty_alarm_rate": "alarms on empty images",
    "calibration_error": "calibration error",
    "tide_class": "wrong label",
    "tide_location": "badly placed box",
    "tide_both": "wrong label, badly placed",
    "tide_duplicate": "second box on one object",
    "tide_background": "box on the background",
    "tide_missed": "no box near the object",
}
HINTS = {
    "map50": "0 to 1, higher is better",
    "map": "stricter on the fit of boxes; higher is better",
    "accuracy": "share of images with the right label",
    "macro_f1": "mean over the labels, 0 to 1, higher is better",
    "miou": "0 to 1, higher is better",
    "dice": "0 to 1, higher is better",
    "recall": "share of the labelled objects that are found",
    "precision": "share of the predicted objects that are right",
    "missed_per_image": "lower is better",
    "false_per_image": "lower is better",
    "empty_alarm_rate": "share of images without any object; lower is better",
    "calibration_error": "how far the scores are from the share that is right; lower is better",
}
DIRECTION_WORDS = {
    True: "higher is better",
    False: "lower is better",
    None: "[metrics] does not say which direction is better",
}
HINTS_OF_TASK: Mapping[str, Mapping[str, str]] = {
    "classification": {
        "recall": "of a label's images, the share that is called so; mean over the labels",
        "precision": "of the images called by a label, the share that is right; mean over the labels",
    },
    "segmentation": {
        "recall": "share of the labelled pixels that are given their label",
        "precision": "share of the pixels given a label that are right",
    },
}


def metric_words(metric: str) -> str:
    """Return a metric's name as a table shows it."""
    return WORDS.get(metric) or metric_facts(metric).short


def is_higher_better(metric: str, own: Directions) -> bool | None:
    """Return which direction is good; None where ``[metrics]`` does not say so.

    >>> is_higher_better("recall", {}), is_higher_better("false_per_image", {}), is_higher_better("team_score", {})
    (True, False, None)
    """
    return METRICS[metric].higher_is_better if metric in METRICS else own.get(metric)


def hint(metric: str, label: str = "", task: str = "", own: Directions | None = None) -> str:
    """Return what stands small below a metric's name; what a mean is made of is told for all labels only."""
    if own is not None and metric in own:
        return f"a metric of your own; {DIRECTION_WORDS[own[metric]]}"
    words = HINTS_OF_TASK.get(task, {}).get(metric) or HINTS.get(metric, "")
    return words.removesuffix("; mean over the labels") if label else words
