"""A label of a sample as an index of the labels that a comparison is about."""

from collections.abc import Sequence

from lakegate.errors import UnknownLabel, nearest
from lakegate.samples import Annotation, Sample


def label_index(annotation: Annotation, sample: Sample, labels: Sequence[str]) -> int:
    """Return the index; raises ``UnknownLabel`` where no model of the comparison knows the label."""
    if annotation.label not in labels:
        raise UnknownLabel(
            f"sample '{sample.id}' has the label '{annotation.label}', which the models were not trained on"
            f"{nearest(annotation.label, labels)}; judge them on a dataset with their labels, or train with this one"
        )
    return list(labels).index(annotation.label)
