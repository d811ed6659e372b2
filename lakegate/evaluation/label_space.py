"""The labels that two models are compared by: what both know, and what only one of them knows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from lakegate.samples import Sample
from lakegate.task_types.protocol import BoolArray, LabelView


@dataclass(frozen=True, eq=False)
class LabelSpace:
    """The union of the labels of one or two models: the candidate's in its order, then those that only the baseline knows.

    A renamed label stands under its new name. ``own``: one view per model, with what it knows. ``shared``: the same, with
    what all models know: what is compared is compared by these labels only.
    """

    labels: tuple[str, ...]
    renamed: Mapping[str, str]
    own: tuple[LabelView, ...]
    shared: tuple[LabelView, ...]

    @property
    def is_common(self) -> BoolArray:
        """For each label whether all models know it, (K,)."""
        return self.shared[0].known

    @property
    def common(self) -> tuple[str, ...]:
        """The labels that all models know."""
        return tuple(label for label, known in zip(self.labels, self.is_common, strict=True) if known)

    def known_only_by(self, model: int) -> tuple[str, ...]:
        """Return the labels that this model knows and another one does not."""
        known = self.own[model].known & ~self.is_common
        return tuple(label for label, is_known in zip(self.labels, known, strict=True) if is_known)

    def follow(self, sample: Sample) -> Sample:
        """Return the sample with its old labels under the names that they have now."""
        if not any(item.label in self.renamed for item in sample.annotations):
            return sample
        annotations = tuple(replace(item, label=self.renamed.get(item.label, item.label)) for item in sample.annotations)
        return replace(sample, annotations=annotations)


def label_space(candidate: Sequence[str], baseline: Sequence[str] | None, rename: Mapping[str, str]) -> LabelSpace:
    """Join the labels of two models.

    Args:
        baseline: its labels in its order; None where there is no baseline.
        rename: old name to new name, as ``[rename]`` of the judged version declares it. It is followed for every model that
            knows the old name, unless the candidate tells the two names apart.
    """
    models = [candidate] if baseline is None else [candidate, baseline]
    renamed = {
        old: new
        for old, new in rename.items()
        if any(old in model for model in models) and not (old in candidate and new in candidate)
    }
    names = [tuple(renamed.get(label, label) for label in model) for model in models]
    labels = tuple(dict.fromkeys(label for own in names for label in own))
    own = tuple(_view(each, labels) for each in names)
    is_common = np.logical_and.reduce([view.known for view in own])
    return LabelSpace(labels, renamed, own, tuple(LabelView(view.to_space, is_common) for view in own))


def _view(own: Sequence[str], labels: tuple[str, ...]) -> LabelView:
    to_space = np.array([labels.index(label) for label in own], np.int64)
    return LabelView(to_space, np.isin(np.arange(len(labels)), to_space))
