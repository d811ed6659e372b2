"""Compare a candidate with a baseline: predict, exclude what was trained on, fill the cells of the matrix."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from lakegate.catalog import split_reference
from lakegate.errors import BadInput
from lakegate.evaluation.bootstrap import ResampledCell
from lakegate.evaluation.cell_statistics import flip_statistics, own_statistics
from lakegate.evaluation.judged import FLIP_KINDS, Flip, JudgedSample
from lakegate.evaluation.latency import measure_latency
from lakegate.evaluation.matrix import Cell, CellKind, Changes, Coverage, InferenceCount, Matrix, Measured, ModelFacts
from lakegate.evaluation.own_metrics import OwnFunction, load_functions
from lakegate.evaluation.partition import Partition, partition
from lakegate.evaluation.predictions import LazyModel, ModelUnderTest, PredictionSet, predict, prediction_key, runtime_name
from lakegate.evaluation.sums import JoinedStatistics
from lakegate.gate_rules import CELL_ALL, CELL_DIFF, CELL_OLD
from lakegate.lake.local_version import LocalImage, LocalVersion
from lakegate.samples import Sample
from lakegate.settings import Settings
from lakegate.task_types.protocol import ALL_LABELS, IntArray, LabelView, SampleStatistics, TaskType, point_values
from lakegate.task_types.registry import task_type

N_LATENCY_IMAGES = 40
Progress = Callable[[int, int], None]


class _Judge:
    """One model with its opened file and its counters, over all datasets of a comparison."""

    def __init__(
        self, model: ModelUnderTest, settings: Settings, progress: Progress | None, labels: tuple[str, ...]
    ) -> None:
        """Judge in the order of ``labels``, whatever the model's own order is."""
        self.model = model
        self.view = LabelView.of(model.labels, labels)
        self._lazy = LazyModel(model, settings.threads)
        self._settings = settings
        self._progress = progress
        self._n_inferred = 0
        self._n_cached = 0

    def predict(self, images: Mapping[str, LocalImage]) -> PredictionSet:
        found = predict(self.model, images, self._settings, self._lazy, self._progress)
        self._n_inferred += found.n_inferred
        self._n_cached += found.n_cached
        return found

    @property
    def count(self) -> InferenceCount:
        return InferenceCount(self._n_inferred, self._n_cached, self._lazy.n_sessions)


@dataclass(frozen=True)
class _JudgedSet:
    """The judged test samples of one dataset version."""

    version: LocalVersion
    samples: list[JudgedSample]
    coverage: Coverage


@dataclass(frozen=True)
class _Column:
    name: str
    kind: CellKind
    dataset: str
    samples: list[JudgedSample]


def compare(
    candidate: ModelUnderTest,
    baseline: ModelUnderTest | None,
    judged: LocalVersion,
    baseline_version: LocalVersion | None,
    settings: Settings,
    further: Mapping[str, LocalVersion] | None = None,
    n_latency_images: int = N_LATENCY_IMAGES,
    progress: Progress | None = None,
) -> Matrix:
    """Judge both models on the test split of one version and on further datasets.

    Args:
        judged: the version that the verdict is about.
        baseline_version: the version of the same dataset that the baseline was released on; None where it has none
            (then every test sample counts as added).
        further: versions by their reference in ``[data] evaluate`` (``name`` or ``name:slice``); the judged dataset's own
            name is skipped, its samples are judged already.
        n_latency_images: how many times one image goes through each model to measure latency; 0 measures none.
        progress: called with (images done, images to compute) per model and dataset.

    Raises:
        BadInput: the models do not know the same labels; another order does not matter.
        UnknownLabel: a test sample has a label that the models do not know.
        ChecksumMismatch: an ONNX file is not the one that its run recorded.
    """
    _require_same_task(candidate, baseline)
    _require_same_labels(candidate, baseline)
    models = [model for model in (candidate, baseline) if model is not None]
    judges = [_Judge(model, settings, progress, candidate.labels) for model in models]
    others = {name: item for name, item in (further or {}).items() if item.version.dataset != judged.version.dataset}
    main = _judge_set(judges, judged, "")
    side = {name: _judge_set(judges, item, split_reference(name)[1]) for name, item in others.items()}
    changes = partition(judged, baseline_version) if baseline is not None else None
    columns = _columns(main, changes)
    columns += [_Column(name, "dataset", item.version.version.dataset, item.samples) for name, item in side.items()]
    samples = {item.key: item for judged_set in (main, *side.values()) for item in judged_set.samples}
    flips = _all_flips(task_type(candidate.task), samples, columns, candidate.labels)
    own = load_functions(candidate.declaration.metrics)
    cells, resampled = zip(*(_cell(column, flips, judges, own) for column in columns), strict=True)
    latency = measure_latency(candidate, baseline, [item.image for item in main.samples], n_latency_images, settings.threads)
    return Matrix(
        task=candidate.task,
        candidate=_facts(candidate),
        baseline=None if baseline is None else _facts(baseline),
        labels=candidate.labels,
        runtime=runtime_name(),
        cells=cells,
        coverage=(main.coverage, *(item.coverage for item in side.values())),
        changes=_count_changes(changes, baseline_version),
        flips=tuple(flips),
        samples=samples,
        measured=Measured(judges[0].count, judges[1].count if baseline is not None else None, latency),
        resampled={cell.name: drawn for cell, drawn in reversed(list(zip(cells, resampled, strict=True)))},
    )


def _require_same_task(candidate: ModelUnderTest, baseline: ModelUnderTest | None) -> None:
    if baseline is not None and candidate.task != baseline.task:
        raise BadInput(
            f"expected two models of one task; {candidate.title} does {candidate.task}, {baseline.title} does {baseline.task}; "
            "compare with a run of the same task, or with none"
        )


def _require_same_labels(candidate: ModelUnderTest, baseline: ModelUnderTest | None) -> None:
    if baseline is not None and sorted(candidate.labels) != sorted(baseline.labels):
        raise BadInput(
            f"expected two models with the same labels; {candidate.title} has {list(candidate.labels)}, "
            f"{baseline.title} has {list(baseline.labels)}; train the candidate on a version with the baseline's labels"
        )


def _judge_set(judges: Sequence[_Judge], version: LocalVersion, slice_name: str) -> _JudgedSet:
    """Predict on the test samples that no model trained on."""
    asked = version.samples_in(slice_name, split="test")
    seen = [_trained_on(judge.model, asked, version) for judge in judges]
    samples = [sample for sample in asked if not any(sample.id in ids for ids in seen)]
    images = {sample.id: version.images[sample.id] for sample in samples}
    found = [judge.predict(images) for judge in judges]
    pinned = version.version
    coverage = Coverage(
        reference=f"{pinned.dataset}:{slice_name}@{pinned.tag}" if slice_name else pinned.reference,
        commit=pinned.commit,
        content_digest=pinned.content_digest,
        n_test=len(asked),
        n_judged=len(samples),
        n_trained_on_by_candidate=len(seen[0]),
        n_trained_on_by_baseline=len(seen[1]) if len(seen) > 1 else 0,
    )
    return _JudgedSet(version, [_judge_sample(judges, found, version, sample) for sample in samples], coverage)


def _trained_on(model: ModelUnderTest, samples: Sequence[Sample], version: LocalVersion) -> set[str]:
    return {sample.id for sample in samples if version.images[sample.id].sha256 in model.trained_on}


def _judge_sample(
    judges: Sequence[_Judge], found: Sequence[PredictionSet], version: LocalVersion, sample: Sample
) -> JudgedSample:
    task = task_type(judges[0].model.task)
    truth = task.truth_of(sample, judges[0].model.labels)
    judged = [
        task.judge(item.predictions[sample.id], truth, judge.view, judge.model.declaration.operating)
        for judge, item in zip(judges, found, strict=True)
    ]
    baseline = judged[1] if len(judged) > 1 else None
    return JudgedSample(version.version.dataset, sample, version.images[sample.id], truth, judged[0], baseline)


def _columns(judged: _JudgedSet, changes: Partition | None) -> list[_Column]:
    dataset = judged.version.version.dataset
    columns = [_Column(CELL_ALL, "all", dataset, judged.samples)]
    if changes is not None:
        old = [item for item in judged.samples if changes.change_of[item.sample.id] == "unchanged"]
        new = [item for item in judged.samples if changes.change_of[item.sample.id] != "unchanged"]
        columns += [_Column(CELL_OLD, "old_data", dataset, old), _Column(CELL_DIFF, "diff", dataset, new)]
    for name in judged.version.declaration.slices:
        inside = {sample.id for sample in judged.version.samples_in(name, split="test")}
        columns.append(_Column(name, "slice", dataset, [item for item in judged.samples if item.sample.id in inside]))
    return columns


def _all_flips(
    task: TaskType, samples: Mapping[str, JudgedSample], columns: Sequence[_Column], labels: tuple[str, ...]
) -> list[Flip]:
    cells_of: dict[str, list[str]] = {key: [] for key in samples}
    for column in columns:
        for item in column.samples:
            cells_of[item.key].append(column.name)
    return [flip for key, item in samples.items() for flip in task.find_flips(item, labels, tuple(cells_of[key]))]


def _cell(
    column: _Column, flips: Sequence[Flip], judges: Sequence[_Judge], own: Mapping[str, OwnFunction]
) -> tuple[Cell, ResampledCell]:
    labels = judges[0].model.labels
    task = task_type(judges[0].model.task)
    units = [task.count_units(item.truth, len(labels)) for item in column.samples]
    units_SK = np.array(units, np.int64).reshape(len(units), len(labels))
    keys = {item.key for item in column.samples}
    inside = [flip for flip in flips if flip.sample_key in keys]
    statistics = _statistics(column, inside, units_SK, judges, own)
    drawn = ResampledCell.of(column.samples, statistics[0], statistics[1] if len(statistics) > 1 else None)
    values = [point_values(item, len(column.samples)) for item in statistics]
    cell = Cell(
        name=column.name,
        kind=column.kind,
        dataset=column.dataset,
        n_samples=len(column.samples),
        n_objects=_with_total(dict(zip(labels, units_SK.sum(axis=0).tolist(), strict=True))),
        candidate=values[0],
        baseline=values[1] if len(values) > 1 else None,
        n_flips={
            kind: _with_total({label: sum(flip.kind == kind and flip.label == label for flip in inside) for label in labels})
            for kind in FLIP_KINDS
        },
        intervals=drawn.intervals(),
    )
    return cell, drawn


def _statistics(
    column: _Column,
    flips: Sequence[Flip],
    units_SK: IntArray,
    judges: Sequence[_Judge],
    own: Mapping[str, OwnFunction],
) -> list[SampleStatistics]:
    """Gather the metrics of the task type and the team's own of each model; flips belong to the candidate."""
    labels = judges[0].model.labels
    found: list[SampleStatistics] = []
    for judge in judges:
        is_baseline = judge is not judges[0]
        row = [item.baseline if is_baseline else item.candidate for item in column.samples]
        operating = judge.model.declaration.operating
        parts = [
            task_type(judge.model.task).statistics(row, labels, judge.view, operating),
            own_statistics(own, column.samples, labels, is_baseline),
        ]
        if len(judges) > 1 and not is_baseline:
            parts.append(flip_statistics(column.samples, flips, units_SK, labels))
        found.append(JoinedStatistics(*parts))
    return found


def _with_total(counts: dict[str, int]) -> dict[str, int]:
    return {ALL_LABELS: sum(counts.values()), **counts}


def _facts(model: ModelUnderTest) -> ModelFacts:
    return ModelFacts(
        name=model.name,
        run_id=model.run_id,
        model_sha256=model.model_sha256,
        declaration_digest=model.declaration.digest,
        processing_digest=prediction_key(model).processing_digest,
        score_threshold=model.declaration.operating.score_threshold,
        size_bytes=model.size_bytes,
    )


def _count_changes(changes: Partition | None, since: LocalVersion | None) -> Changes | None:
    if changes is None:
        return None
    return Changes(
        since=since.version.reference if since is not None else "",
        n_unchanged=changes.count("unchanged"),
        n_added=changes.count("added"),
        n_relabelled=changes.count("relabelled"),
        n_reimaged=changes.count("reimaged"),
        n_removed=changes.n_removed,
    )
