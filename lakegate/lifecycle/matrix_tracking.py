"""A comparison in W&B: a run with its numbers and tables, and a report; the evidence in lakeFS stays the truth."""

import logging
import os
from collections.abc import Iterator, Mapping, Sequence

from lakegate.errors import BadImage, LakegateError
from lakegate.evaluation.gallery import worst_first
from lakegate.evaluation.gate import Verdict
from lakegate.evaluation.judged import Flip, JudgedSample
from lakegate.evaluation.matrix import Matrix, Row
from lakegate.evaluation.tables import FLIPS, metrics_of, plain_rows, shown_cells
from lakegate.gate_rules import Outcome
from lakegate.reports.runs_side_by_side import curve_names
from lakegate.reports.wandb_publishing import WandbServer, publish_report
from lakegate.reports.wandb_report import MAX_FLIPS, KeptFlip, KeptReport, keep_report
from lakegate.settings import Settings
from lakegate.task_types.registry import task_type
from lakegate.thumbnails import Thumbnails
from lakegate.training.drawn_pictures import DrawnPicture
from lakegate.training.record import RunRecord
from lakegate.training.tracking import TrackedTable, Tracking, choose_mode, open_tracking

log = logging.getLogger(__name__)

MAX_ROWS, MAX_PICTURES, SIDE_PX = 1_000, 24, 320
ROWS: tuple[Row, ...] = ("candidate", "baseline")
RULE_COLUMNS = ("rule", "outcome", "limit", "value", "from", "to", "waived by", "what was found", "what would help")
EXAMPLE_COLUMNS = ("rule", "what was found", "sample", "what happened", "picture")
FLIP_COLUMNS = ("kind", "label", "sample", "columns", "changed in version", "labelled by", "what happened", "picture")


def make_report(
    key: str,
    model: str,
    matrix: Matrix,
    verdict: Verdict,
    evidence_digest: str,
    markdown: str,
    records: Sequence[RunRecord] = (),
) -> KeptReport:
    """Return the report of a comparison; its W&B run is not known yet. ``records``: of the candidate and the baseline."""
    flips = _ranked(matrix)
    return KeptReport(
        key=key,
        model=model,
        candidate_run=matrix.candidate.run_id,
        baseline_run="" if matrix.baseline is None else matrix.baseline.run_id,
        verdict=verdict.outcome.value,
        sentence=verdict.sentence,
        evidence_digest=evidence_digest,
        markdown=markdown,
        flips=tuple(
            KeptFlip(kind=flip.kind, label=flip.label, sample=flip.sample_key, words=_words(matrix, flip))
            for flip in flips[:MAX_FLIPS]
        ),
        n_flips=len(flips),
        trained=tuple(dict.fromkeys(record.run_id for record in records if record.wandb_id)),
        curves=tuple(curve_names([record.history for record in records if record.wandb_id])),
    )


def keep_for_publishing(settings: Settings, report: KeptReport) -> None:
    """Keep a report, unless W&B is disabled; a disk that does not take it is logged and never raised."""
    if choose_mode(settings, os.environ) == "disabled":
        return
    try:
        keep_report(settings, report)
    except OSError as error:
        log.warning("the W&B report of %s was not kept (%s); the comparison stands in the evidence", report.title, error)


def track_comparison(
    settings: Settings, report: KeptReport, matrix: Matrix, verdict: Verdict, versions: Sequence[str]
) -> Tracking:
    """Show a comparison in W&B as a run beside the training's, and publish the report where W&B is online.

    Whatever goes wrong is logged and never raised: ``Tracking.error`` says what W&B said, and a kept report that was not
    published waits for ``lakegate wandb publish``.
    """
    if choose_mode(settings, os.environ) == "disabled":
        return Tracking(None, "disabled")
    config = {"comparison": report.key, "baseline": report.baseline_run, "versions": list(versions)}
    tracking = open_tracking(settings, report.model, report.candidate_run, config, "compare", part=report.key[:8])
    tables = [_matrix_table(matrix), _rule_table(verdict), *_picture_tables(settings, matrix, verdict)]
    tracking.show(0, tables)
    tracking.finish(_numbers(report, matrix))
    if not tracking.id or not tracking.is_finished:
        return tracking
    waits = str(tracking.folder) if tracking.mode == "offline" else ""
    names = tuple(table.name for table in tables)
    kept = report.model_copy(update={"wandb_run": tracking.id, "wandb_folder": waits, "tables": names})
    keep_for_publishing(settings, kept)
    if tracking.mode == "online":
        _publish(settings, kept)
    return tracking


def _publish(settings: Settings, report: KeptReport) -> None:
    try:
        publish_report(settings, report, WandbServer.of(os.environ))
    except (LakegateError, OSError) as error:
        log.warning("%s; the report is kept, publish it with `lakegate wandb publish`", error)


def _numbers(report: KeptReport, matrix: Matrix) -> dict[str, float | str]:
    """Return what can be sorted and plotted over runs: every metric of every column, and the ratios of the costs."""
    numbers: dict[str, float | str] = {"verdict": report.verdict, "sentence": report.sentence, "n_flips": report.n_flips}
    for cell in matrix.cells:
        for metric in (*metrics_of(matrix.cells), FLIPS):
            values = {row: cell.value(metric, row=row) for row in ROWS}
            numbers |= {f"{row}/{cell.name}/{metric}": value for row, value in values.items() if value is not None}
    latency, memory = matrix.measured.latency, matrix.measured.memory
    ratios = {
        "latency_p50_ratio": None if latency is None else latency.p50_ratio,
        "latency_p99_ratio": None if latency is None else latency.p99_ratio,
        "memory_ratio": None if memory is None else memory.ratio,
    }
    return numbers | {name: value for name, value in ratios.items() if value is not None}


def _matrix_table(matrix: Matrix) -> TrackedTable:
    columns = ("metric", "of", *(cell.name for cell in shown_cells(matrix.cells)))
    return TrackedTable("matrix", columns, tuple(tuple(row.values()) for row in plain_rows(matrix.cells, matrix.own_metrics)))


def _rule_table(verdict: Verdict) -> TrackedTable:
    judged = [
        (
            item.key,
            item.outcome.value,
            item.limit,
            item.value,
            *(item.interval or (None, None)),
            item.waiver.owner if item.waiver else "",
            item.sentence,
            item.remedy,
        )
        for item in verdict.results
    ]
    skipped = [(item.key, "skipped", None, None, None, None, "", item.sentence, "") for item in verdict.skipped]
    return TrackedTable("rules", RULE_COLUMNS, (*judged, *skipped))


def _picture_tables(settings: Settings, matrix: Matrix, verdict: Verdict) -> list[TrackedTable]:
    """Return the flips, and the worst counter-examples of the rules that failed where there are any."""
    failed = [item for item in verdict.results if item.outcome is Outcome.FAIL and item.counter_examples]
    named = list(dict.fromkeys(key for item in failed for key in item.counter_examples if key in matrix.samples))
    flipped = list(dict.fromkeys(flip.sample_key for flip in _ranked(matrix)))
    wanted = dict.fromkeys([*named[:MAX_PICTURES], *flipped[:MAX_PICTURES]])
    pictures = dict(_drawn(Thumbnails.cached(settings), matrix, [matrix.samples[key] for key in wanted]))
    examples = tuple(
        (item.key, item.sentence, key, _story(matrix, key), pictures.get(key))
        for item in failed
        for key in item.counter_examples
    )
    tables = [TrackedTable("counter_examples", EXAMPLE_COLUMNS, examples)] if examples else []
    return [*tables, _flip_table(matrix, pictures)]


def _story(matrix: Matrix, key: str) -> str:
    """Say what the models made of a sample: its flips, else what stands below its pictures."""
    told = [f"{flip.label}: {_words(matrix, flip)}" for flip in _ranked(matrix) if flip.sample_key == key]
    return "; ".join(told) or (_caption(matrix, matrix.samples[key]) if key in matrix.samples else "")


def _flip_table(matrix: Matrix, pictures: Mapping[str, DrawnPicture]) -> TrackedTable:
    """The worst ``MAX_ROWS`` flips; the first of an image shows it where there is a picture."""
    rows, shown = [], set()
    for flip in _ranked(matrix)[:MAX_ROWS]:
        key = flip.sample_key
        picture = None if key in shown else pictures.get(key)
        shown.add(key)
        told = (flip.kind, flip.label, key, ", ".join(flip.cells), flip.version, flip.author, _words(matrix, flip))
        rows.append((*told, picture))
    return TrackedTable("flips", FLIP_COLUMNS, tuple(rows))


def _ranked(matrix: Matrix) -> list[Flip]:
    groups = [*worst_first(matrix.flips), *worst_first(matrix.superseded_flips)]
    return [flip for _, flips in groups for flip in flips]


def _words(matrix: Matrix, flip: Flip) -> str:
    return task_type(matrix.task).flip_words(flip, matrix.samples[flip.sample_key], matrix.labels)


def _caption(matrix: Matrix, judged: JudgedSample) -> str:
    panels = task_type(matrix.task).panels(judged, matrix.labels)
    return "; ".join(f"{panel.title}: {panel.caption}" for panel in panels if panel.caption)


def _drawn(thumbnails: Thumbnails, matrix: Matrix, samples: Sequence[JudgedSample]) -> Iterator[tuple[str, DrawnPicture]]:
    for judged in samples:
        try:
            small = thumbnails.get(judged.image.path, SIDE_PX, judged.image.sha256)
        except (BadImage, OSError) as error:
            log.warning("no picture of %s in W&B: %s", judged.key, error)
            continue
        layers = {panel.title: panel.boxes for panel in task_type(matrix.task).panels(judged, matrix.labels)}
        caption = _caption(matrix, judged)
        yield judged.key, DrawnPicture(small.jpeg, small.width_px, small.height_px, layers, matrix.labels, caption)
