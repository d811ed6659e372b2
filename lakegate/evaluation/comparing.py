"""Compare a candidate with a baseline: predict, exclude what was trained on, fill the cells of the matrix."""

from collections.abc import Mapping, Sequence

from lakegate.catalog import split_reference
from lakegate.errors import BadInput
from lakegate.evaluation.cells import columns_of, flips_of, label_cells, make_cell
from lakegate.evaluation.judged import Flip
from lakegate.evaluation.judged_sets import Judge, JudgedSet, Progress, judge_set
from lakegate.evaluation.label_space import LabelSpace, label_space
from lakegate.evaluation.latency import measure_latency
from lakegate.evaluation.matrix import Changes, Matrix, Measured, ModelFacts
from lakegate.evaluation.memory import measure_memory
from lakegate.evaluation.own_metrics import load_functions
from lakegate.evaluation.partition import Partition, partition
from lakegate.evaluation.predictions import ModelUnderTest, prediction_key, runtime_name
from lakegate.gate_rules import CELL_SUPERSEDED
from lakegate.lake.local_version import LocalImage, LocalVersion
from lakegate.settings import Settings
from lakegate.task_types.registry import task_type

N_LATENCY_IMAGES = 200
N_NAMED_LABELS = 5


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

    Labels that only one model knows stand in columns of their own (``label:<name>``) and count nowhere else; ``[rename]`` of
    the judged version is followed. Where the models cannot be compared, ``incomparable`` of the matrix says why.

    Args:
        judged: the version that the verdict is about.
        baseline_version: the version of the same dataset that the baseline was released on; None: all samples count as added.
        further: versions by their reference in ``[data] evaluate`` (``name`` or ``name:slice``); the judged dataset's own
            name is skipped, its samples are judged already.
        n_latency_images: how many times, at most, one image goes through each model for latency; 0: neither latency nor
            memory is measured.
        progress: called with (images done, images to compute) per model and dataset.

    Raises:
        BadInput: the models do not do the same task.
        UnknownLabel: a test sample has a label that neither model knows.
        ChecksumMismatch: an ONNX file is not the one that its run recorded.
    """
    _require_same_task(candidate, baseline)
    space = label_space(candidate.labels, None if baseline is None else baseline.labels, judged.declaration.rename)
    models = [model for model in (candidate, baseline) if model is not None]
    judges = [Judge(model, settings, progress, *views) for model, *views in zip(models, space.shared, space.own, strict=True)]
    main = _judge_slice(judges, space, judged, "")
    side = {name: _judge_slice(judges, space, item, split_reference(name)[1]) for name, item in other_versions(judged, further)}
    changes = partition(judged, baseline_version) if baseline is not None else None
    superseded = _judge_superseded(judges, space, changes, baseline_version)
    columns = columns_of(main, changes, superseded, side)
    sets = [main, *side.values(), *([] if superseded is None else [superseded])]
    samples = {item.key: item for judged_set in sets for item in judged_set.samples}
    flips = flips_of(task_type(candidate.task), samples, columns, space)
    own = load_functions(candidate.declaration.metrics)
    measured = [make_cell(column, flips, judges, space, own) for column in columns] + label_cells(main, judges, space)
    return Matrix(
        task=candidate.task,
        candidate=_facts(candidate),
        baseline=None if baseline is None else _facts(baseline),
        labels=space.labels,
        runtime=runtime_name(),
        cells=tuple(cell for cell, _ in measured),
        coverage=tuple(item.coverage for item in sets),
        changes=_count_changes(changes, baseline_version),
        flips=tuple(flip for flip in flips if not _is_superseded(flip)),
        superseded_flips=tuple(flip for flip in flips if _is_superseded(flip)),
        samples=samples,
        measured=_measured(judges, [item.image for item in main.samples], n_latency_images, settings.threads),
        resampled={cell.name: drawn for cell, drawn in reversed(measured)},
        own_metrics={name: table.higher_is_better for name, table in candidate.declaration.metrics.items()},
        incomparable=_why_incomparable(models, space, sets),
    )


def _measured(judges: Sequence[Judge], images: Sequence[LocalImage], n_latency_images: int, threads: int) -> Measured:
    candidate, baseline = judges[0], judges[1] if len(judges) > 1 else None
    models = candidate.model, None if baseline is None else baseline.model
    return Measured(
        candidate.count,
        None if baseline is None else baseline.count,
        measure_latency(*models, images, n_latency_images, threads),
        measure_memory(*models, images, threads) if n_latency_images > 0 else None,
    )


def other_versions(judged: LocalVersion, further: Mapping[str, LocalVersion] | None) -> list[tuple[str, LocalVersion]]:
    """Return the further versions that are columns of their own, by reference: those of other datasets."""
    return [(name, item) for name, item in (further or {}).items() if item.version.dataset != judged.version.dataset]


def _require_same_task(candidate: ModelUnderTest, baseline: ModelUnderTest | None) -> None:
    if baseline is not None and candidate.task != baseline.task:
        raise BadInput(
            f"expected two models of one task; {candidate.title} does {candidate.task}, {baseline.title} does {baseline.task}; "
            "compare with a run of the same task, or with none"
        )


def _judge_slice(judges: Sequence[Judge], space: LabelSpace, version: LocalVersion, slice_name: str) -> JudgedSet:
    """Judge the test samples of a version, or of one of its slices."""
    samples = [space.follow(sample) for sample in version.samples_in(slice_name, split="test")]
    return judge_set(judges, space.labels, version, samples, slice_name)


def _judge_superseded(
    judges: Sequence[Judge], space: LabelSpace, changes: Partition | None, before: LocalVersion | None
) -> JudgedSet | None:
    """Judge what the baseline's version held and the judged one does not hold like that: on its old images and labels."""
    if changes is None or before is None or not changes.superseded:
        return None
    old = set(changes.superseded)
    samples = [space.follow(sample) for sample in before.samples if sample.id in old]
    return judge_set(judges, space.labels, before, samples, CELL_SUPERSEDED, before.version.reference)


def _is_superseded(flip: Flip) -> bool:
    return CELL_SUPERSEDED in flip.cells


def _why_incomparable(models: Sequence[ModelUnderTest], space: LabelSpace, sets: Sequence[JudgedSet]) -> str:
    """Say why the two models cannot be compared on all that was asked; "" where they can."""
    if not space.common:
        return (
            f"{models[0].title} and {models[1].title} have no label in common: {_first(models[0].labels)} against "
            f"{_first(models[1].labels)}. If labels were renamed, say so in [rename] of dataset.toml."
        )
    for item in sets:
        for sample_id, reason in item.failed.items():
            n_failed, reference = item.coverage.n_not_scored, item.coverage.reference
            are = "1 test sample was" if n_failed == 1 else f"{n_failed} test samples were"
            return (
                f"{are} not scored on {reference}, so less was judged than was asked for. The first is {sample_id}: {reason}."
            )
    return ""


def _first(labels: Sequence[str]) -> str:
    """Name the first labels; how many more there are is counted."""
    named = ", ".join(labels[:N_NAMED_LABELS])
    return named if len(labels) <= N_NAMED_LABELS else f"{named} and {len(labels) - N_NAMED_LABELS} more"


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
