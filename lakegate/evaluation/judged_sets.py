"""The test samples of one version, predicted and judged by both models; what was left out is counted."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lakegate.evaluation.judged import JudgedSample
from lakegate.evaluation.matrix import Coverage, InferenceCount
from lakegate.evaluation.predictions import LazyModel, ModelUnderTest, PredictionSet, predict
from lakegate.evaluation.seen_images import Seen, seen_by, seen_by_none
from lakegate.lake.local_version import LocalImage, LocalVersion
from lakegate.samples import Sample
from lakegate.settings import Settings
from lakegate.task_types.protocol import LabelView
from lakegate.task_types.registry import task_type

Progress = Callable[[int, int], None]


class Judge:
    """One model with its opened file and its counters, over all datasets of a comparison.

    ``view``: its labels as far as all models know them; ``own_view``: all of its labels.
    """

    def __init__(
        self, model: ModelUnderTest, settings: Settings, progress: Progress | None, view: LabelView, own_view: LabelView
    ) -> None:
        self.model = model
        self.view = view
        self.own_view = own_view
        self._lazy = LazyModel(model, settings.threads)
        self._settings = settings
        self._progress = progress
        self._n_inferred = 0
        self._n_cached = 0

    def predict(self, images: Mapping[str, LocalImage]) -> PredictionSet:
        """Predict on images by sample id."""
        found = predict(self.model, images, self._settings, self._lazy, self._progress)
        self._n_inferred += found.n_inferred
        self._n_cached += found.n_cached
        return found

    def seen(self, samples: Sequence[Sample], version: LocalVersion) -> Seen:
        """Return which of the samples the model trained on."""
        return seen_by(self.model, samples, version, self._settings)

    def judge(self, prediction: Any, truth: Any, view: LabelView) -> Any:
        """Hold a prediction against the truth at the model's own operating threshold."""
        return task_type(self.model.task).judge(prediction, truth, view, self.model.declaration.operating)

    @property
    def count(self) -> InferenceCount:
        """What the model's predictions cost so far."""
        return InferenceCount(self._n_inferred, self._n_cached, self._lazy.n_sessions)


@dataclass(frozen=True)
class JudgedSet:
    """The judged test samples of one dataset version, and each model's predictions on them.

    ``failed``: for each sample that could not be scored, why.
    """

    version: LocalVersion
    samples: list[JudgedSample]
    predictions: tuple[dict[str, Any], ...]
    coverage: Coverage
    failed: Mapping[str, str]


def judge_set(
    judges: Sequence[Judge],
    labels: Sequence[str],
    version: LocalVersion,
    samples: Sequence[Sample],
    part: str = "",
    dataset: str = "",
) -> JudgedSet:
    """Judge the samples that no model trained on and that both models could score.

    Args:
        labels: those of the label space; all labels of the samples stand among them.
        part: the slice, or another part of the version that the samples are; "" for the whole test split.
        dataset: the name that the judged samples go by; the version's own where it is "".

    Raises:
        UnknownLabel: a sample has a label that no model knows.
    """
    seen = [judge.seen(samples, version) for judge in judges]
    asked = seen_by_none(samples, seen)
    images = {sample.id: version.images[sample.id] for sample in asked}
    found = [judge.predict(images) for judge in judges]
    failed = {sample_id: reason for item in found for sample_id, reason in item.failed.items()}
    scored = [sample for sample in asked if all(sample.id in item.predictions for item in found)]
    predictions = tuple(item.predictions for item in found)
    name = dataset or version.version.dataset
    return JudgedSet(
        version,
        [_judge_sample(judges, labels, predictions, version, name, sample) for sample in scored],
        predictions,
        _coverage(version, part, samples, scored, seen, len(asked) - len(scored)),
        failed,
    )


def _coverage(
    version: LocalVersion, part: str, samples: Sequence[Sample], scored: Sequence[Sample], seen: Sequence[Seen], n_failed: int
) -> Coverage:
    pinned = version.version
    baseline = seen[1] if len(seen) > 1 else Seen(frozenset(), frozenset())
    return Coverage(
        reference=f"{pinned.dataset}:{part}@{pinned.tag}" if part else pinned.reference,
        commit=pinned.commit,
        content_digest=pinned.content_digest,
        n_test=len(samples),
        n_judged=len(scored),
        n_trained_on_by_candidate=len(seen[0].exact),
        n_trained_on_by_baseline=len(baseline.exact),
        n_like_trained_on_by_candidate=len(seen[0].like),
        n_like_trained_on_by_baseline=len(baseline.like),
        n_not_scored=n_failed,
    )


def _judge_sample(
    judges: Sequence[Judge],
    labels: Sequence[str],
    predictions: Sequence[Mapping[str, Any]],
    version: LocalVersion,
    dataset: str,
    sample: Sample,
) -> JudgedSample:
    truth = task_type(judges[0].model.task).truth_of(sample, labels)
    judged = [judge.judge(own[sample.id], truth, judge.view) for judge, own in zip(judges, predictions, strict=True)]
    baseline = judged[1] if len(judged) > 1 else None
    return JudgedSample(dataset, sample, version.images[sample.id], truth, judged[0], baseline)
