"""Metrics as a team would write them."""

from collections.abc import Sequence

from lakegate.evaluation.own_metrics import EvaluatedSample


def worst_label_recall(samples: Sequence[EvaluatedSample]) -> float:
    """The recall of the label that is found least often."""
    found, there = {}, {}
    for item in samples:
        for label, is_found in zip(item.judgement.truth.labels.tolist(), item.judgement.match.is_found.tolist(), strict=True):
            there[label] = there.get(label, 0) + 1
            found[label] = found.get(label, 0) + is_found
    return min((found[label] / count for label, count in there.items()), default=float("nan"))


def no_number(samples: Sequence[EvaluatedSample]) -> str:
    return f"{len(samples)} samples"


CONSTANT = 3
