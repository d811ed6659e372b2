"""Watch what is in production: kept frames against the data that the release was trained on, as a page and as evidence."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lakegate.canonical import sha256_bytes
from lakegate.catalog import split_reference
from lakegate.declarations import ModelDeclaration
from lakegate.engines.onnx_session import OnnxModel
from lakegate.errors import BadInput, RegistryError, VersionNotFound
from lakegate.evaluation.predictions import ModelUnderTest, predict
from lakegate.lake.client import LakeClient
from lakegate.lake.local import open_version
from lakegate.lake.local_version import DatasetVersion, LocalImage, LocalVersion
from lakegate.lifecycle.export_run import stored_declaration
from lakegate.monitoring.drift import MIN_IMAGES, Column, DriftVerdict, judge, make_columns
from lakegate.monitoring.frames import Frame, KeptFrames, Window, frames_dir, read_frames
from lakegate.monitoring.measures import (
    IMAGE_WORDS,
    MeasuredImages,
    measure_images,
    prediction_table,
    prediction_words,
    seen_objects,
)
from lakegate.monitoring.report import Picture, WatchFacts, facts_of, render_drift_html
from lakegate.pages import Page, page_of, save_page
from lakegate.quality.metrics_cache import MetricsCache
from lakegate.registry import releases, runs
from lakegate.registry.documents import Release
from lakegate.registry.store import EVIDENCE, REPOSITORY, put_evidence, read_document
from lakegate.samples import Sample
from lakegate.settings import Settings

MAX_REFERENCE = 300
KEPT_EVIDENTLY_PAGES = 30  # each has 4 MB; Lakegate's own pages and the evidence are kept
TRAIN_WORDS, HELD_OUT_WORDS = "training images", "held-out images of the training version"


@dataclass(frozen=True)
class WatchPlan:
    """Which release is watched, on which frames; pinned before the first read."""

    model: str
    release: Release
    declaration: ModelDeclaration  # of the run, at the thresholds of the release
    labels: tuple[str, ...]
    versions: tuple[DatasetVersion, ...]
    window: Window


@dataclass(frozen=True)
class WatchReport:
    """What was found, and where to look at it."""

    facts: WatchFacts
    page: Page


def watched_models(client: LakeClient, names: Sequence[str]) -> list[str]:
    """Return those of ``names`` that have a release in production."""
    try:
        return [name for name in names if releases.in_production(client, name) is not None]
    except VersionNotFound:
        return []  # there is no registry yet


def plan_watch(client: LakeClient, model: str, window: Window) -> WatchPlan:
    """Pin the release in production and the versions that it was trained on.

    Raises:
        RegistryError: nothing of the model is in production, or its run has no record. BadInput: an empty window.
    """
    if window.end <= window.start or window.max_frames < MIN_IMAGES:
        raise BadInput(f"expected a window of more than 0 days and at least {MIN_IMAGES} frames, came {window}")
    release = releases.in_production(client, model)
    if release is None:
        raise RegistryError(f"{model} has no release in production; `lakegate model status {model}` says how it stands")
    record = runs.find_run(client, model, release.run.run_id)
    if record is None:
        raise RegistryError(f"run {release.run.run_id} of {model} has no record; it cannot be watched")
    declaration = stored_declaration(client, model, release.run.run_id)
    return WatchPlan(
        model=model,
        release=release,
        declaration=declaration.model_copy(update={"operating": release.request.operating}),
        labels=tuple(record.labels),
        versions=tuple(DatasetVersion(use.dataset, use.tag, use.commit, use.content_digest) for use in record.datasets),
        window=window,
    )


class Reference:
    """The training side: images of the train split, and images that the model has not learned from."""

    def __init__(self, client: LakeClient, settings: Settings, plan: WatchPlan) -> None:
        opened = {item.dataset: open_version(client, settings, item) for item in plan.versions}
        chosen = [(opened[name], slice_name) for name, slice_name in map(split_reference, plan.declaration.data.train)]
        trained = _images(chosen, ("train",))
        self.trained_on = frozenset(image.sha256 for _, image in trained)
        self.train = _draw(trained)
        held_out = _draw(_images(chosen, ("val", "test")))
        self.has_held_out = len(held_out) >= MIN_IMAGES
        self.for_predictions = held_out if self.has_held_out else self.train

    @property
    def prediction_words(self) -> str:
        """Which images the model's answers on the training side are from."""
        return HELD_OUT_WORDS if self.has_held_out else f"{TRAIN_WORDS} (too few held-out ones)"


def _images(chosen: list[tuple[LocalVersion, str]], splits: Sequence[str]) -> list[tuple[Sample, LocalImage]]:
    found: dict[str, tuple[Sample, LocalImage]] = {}
    for version, slice_name in chosen:
        for split in splits:
            for sample in version.samples_in(slice_name, split):
                found.setdefault(version.images[sample.id].sha256, (sample, version.images[sample.id]))
    return list(found.values())


def _draw(items: list[tuple[Sample, LocalImage]]) -> list[tuple[Sample, LocalImage]]:
    """Return at most ``MAX_REFERENCE`` of them, drawn by a hash: the same ones each time, in no order of theirs."""
    return sorted(items, key=lambda item: sha256_bytes(item[1].sha256.encode()))[:MAX_REFERENCE]


@dataclass(frozen=True, eq=False)
class _Looked:
    """All that was read and measured for one watch, and what it came to."""

    kept: KeptFrames
    reference: Reference
    frames: list[Frame]  # usable, ascending by time
    seen: MeasuredImages
    known: MeasuredImages
    columns: list[Column]
    verdict: DriftVerdict
    n_trained_on: int


def watch(client: LakeClient, settings: Settings, plan: WatchPlan) -> WatchReport:
    """Judge the window, keep the facts and the page as evidence, and put the page where a person can open it.

    Raises:
        Unattested: a training version has no valid attestation.
    """
    looked = _look(client, settings, plan)
    facts = _facts(plan, looked)
    stem = _stem(facts)
    evidently = f"{stem}-evidently.html" if looked.verdict.evidently_html else ""
    if evidently:
        save_page(settings, f"{plan.model}/{evidently}", looked.verdict.evidently_html)
        _drop_old_pages(settings.reports_dir / plan.model)
    html = render_drift_html(facts, looked.columns, _frame_pictures(looked), _known_pictures(looked), evidently)
    files: dict[str, bytes | Path] = {f"{facts.evidence}.html": html.encode(), f"{facts.evidence}.json": facts.to_bytes()}
    put_evidence(client, files, f"drift: {plan.model} release {plan.release.number}: {facts.outcome}")
    return WatchReport(facts, save_page(settings, f"{plan.model}/{stem}.html", html))


def newest_report(client: LakeClient, settings: Settings, model: str) -> WatchReport:
    """Return the last watch of a model from the evidence; raises ``RegistryError`` where there is none."""
    prefix = f"drift/{model}/"
    paths = [item.path for item in client.list_objects(REPOSITORY, EVIDENCE, prefix) if item.path.endswith(".json")]
    facts = read_document(client, EVIDENCE, max(paths), WatchFacts) if paths else None
    if facts is None:
        raise RegistryError(f"{model} was not watched yet; `lakegate model watch {model}`")
    return WatchReport(facts, page_of(settings, f"{model}/{_stem(facts)}.html"))


def _stem(facts: WatchFacts) -> str:
    return f"drift-release-{facts.release}-{facts.stamp}"


def _look(client: LakeClient, settings: Settings, plan: WatchPlan) -> _Looked:
    number, run = plan.release.number, plan.release.run.run_id
    kept = read_frames(frames_dir(settings, "production", plan.model, number), number, run, plan.window)
    reference = Reference(client, settings, plan)
    fresh = [frame for frame in kept.frames if frame.sha256 not in reference.trained_on]
    cache = MetricsCache(settings.cache_dir / "metrics")
    seen = measure_images(((frame.path.name, frame.path) for frame in fresh), settings.threads, cache)
    frames = [frame for frame in fresh if frame.path.name not in seen.broken]
    known = measure_images(((image.sha256, image.path) for _, image in reference.train), settings.threads, cache)
    columns: list[Column] = []
    if len(frames) >= MIN_IMAGES:
        columns = make_columns(IMAGE_WORDS, known.table, seen.table, TRAIN_WORDS)
        columns += _prediction_columns(client, settings, plan, reference, frames)
    groups = [sample.group for sample, image in reference.train if image.sha256 not in known.broken]
    verdict = judge(columns, known.embeddings, groups, seen.embeddings)
    return _Looked(kept, reference, frames, seen, known, columns, verdict, len(kept.frames) - len(fresh))


def _prediction_columns(
    client: LakeClient, settings: Settings, plan: WatchPlan, reference: Reference, frames: list[Frame]
) -> list[Column]:
    run = plan.release.run
    model = ModelUnderTest(
        name=plan.model,
        run_id=run.run_id,
        model_sha256=run.model_sha256,
        declaration=plan.declaration,
        labels=plan.labels,
        load=lambda threads: OnnxModel(runs.fetch_file(client, settings, run, runs.ONNX), threads),
    )
    images = {image.sha256: image for _, image in reference.for_predictions}
    predicted = predict(model, images, settings).require_all()
    answers = seen_objects(predicted, plan.labels, plan.declaration.operating.score_threshold)
    return make_columns(
        prediction_words(plan.labels),
        prediction_table(answers, plan.labels),
        prediction_table([frame.objects for frame in frames], plan.labels),
        reference.prediction_words,
    )


def _facts(plan: WatchPlan, looked: _Looked) -> WatchFacts:
    return facts_of(
        looked.verdict,
        model=plan.model,
        release=plan.release.number,
        run_id=plan.release.run.run_id,
        versions=tuple(item.reference for item in plan.versions),
        content_digests=tuple(item.content_digest for item in plan.versions),
        window_start=plan.window.start.isoformat(timespec="seconds"),
        window_end=plan.window.end.isoformat(timespec="seconds"),
        n_frames=len(looked.frames),
        n_in_window=looked.kept.n_in_window,
        n_repeated=looked.kept.n_repeated,
        n_trained_on=looked.n_trained_on,
        unusable=looked.kept.unusable | looked.seen.broken,
        n_reference=len(looked.known.keys),
        n_predicted=len(looked.reference.for_predictions),
    )


def _frame_pictures(looked: _Looked) -> list[Picture]:
    """Return the frames, the most foreign first; by time where nothing was judged."""
    domain = looked.verdict.domain
    scores = [0.0] * len(looked.frames) if domain is None else domain.frame_scores.tolist()
    ranked = sorted(zip(scores, looked.frames, strict=True), key=lambda item: (-item[0], item[1].at))
    return [Picture(frame.path, f"{frame.at:%Y-%m-%d %H:%M}", frame.objects) for _, frame in ranked]


def _known_pictures(looked: _Looked) -> list[Picture]:
    return [Picture(image.path, sample.id, ()) for sample, image in looked.reference.train]


def _drop_old_pages(folder: Path) -> None:
    pages = sorted(folder.glob("drift-release-*-evidently.html"), key=lambda path: path.stat().st_mtime)
    for page in pages[:-KEPT_EVIDENTLY_PAGES]:
        page.unlink(missing_ok=True)
