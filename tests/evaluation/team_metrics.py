"""Metrics as a team would write them."""

from collections.abc import Sequence

from lakegate.evaluation.own_metrics import EvaluatedSample


def worst_label_recall(samples: Sequence[EvaluatedSample]) -> float:
    """The recall of the label that is found least often."""
    found, there = {}, {}
    for item in samples:
        counts = ~item.judgement.ignored_truth
        labels, is_found_T = item.judgement.truth.labels[counts].tolist(), item.judgement.match.is_found[counts].tolist()
        for label, is_found in zip(labels, is_found_T, strict=True):
            there[label] = there.get(label, 0) + 1
            found[label] = found.get(label, 0) + is_found
    return min((found[label] / count for label, count in there.items()), default=float("nan"))


def no_number(samples: Sequence[EvaluatedSample]) -> str:
    return f"{len(samples)} samples"


CONSTANT = 3


def shown_per_sample(samples: Sequence[EvaluatedSample]) -> float:
    """How many objects the model shows on a sample."""
    return sum(len(item.judgement.kept.scores) for item in samples) / len(samples)


def mean_score(samples: Sequence[EvaluatedSample]) -> float:
    """The mean score of what the model shows."""
    scores = [float(score) for item in samples for score in item.judgement.kept.scores]
    return sum(scores) / len(scores) if scores else float("nan")
