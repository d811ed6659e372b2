"""The matrix page: one self-contained HTML file that answers "may it go live, and why not?"."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any, get_args

from lakegate.detections import SCORE_FLOOR
from lakegate.evaluation.bootstrap import CONFIDENCE, N_REPLICATES, SEED
from lakegate.evaluation.evidence import evidence_digest, matrix_json
from lakegate.evaluation.gallery import IMAGES_PER_CHUNK, KIND_TITLES, MAX_IMAGES, Gallery, make_gallery
from lakegate.evaluation.gate import MIN_OBJECTS, MIN_SAMPLES, Verdict
from lakegate.evaluation.gate_words import power_words
from lakegate.evaluation.judged import FLIP_KINDS
from lakegate.evaluation.markdown import matrix_markdown
from lakegate.evaluation.matching import MATCH_IOU
from lakegate.evaluation.matrix import Matrix, Row
from lakegate.evaluation.performance import cost_table
from lakegate.evaluation.plots import common_labels, plots_of
from lakegate.evaluation.rule_bars import rule_bar
from lakegate.evaluation.tables import (
    cell_words,
    error_metrics,
    flip_rows,
    image_words,
    label_names,
    metric_rows,
    shown_cells,
    sizes_of,
)
from lakegate.evaluation.verdict_words import label_words
from lakegate.gate_rules import Outcome, RuleResult
from lakegate.html import render
from lakegate.task_types.registry import task_type
from lakegate.thumbnails import Thumbnails

__all__ = ["evidence_digest", "matrix_json", "matrix_markdown", "render_matrix_html"]

CONFIDENCE_WORDS = f"{CONFIDENCE * 100:g} %"
MAX_LABEL_TABLES = 100
MAX_WORSE = 4  # named on top; the matrix shows them all
HOW_JUDGED = {
    "detection": (
        f"A prediction counts as right where its label is the object's and their boxes overlap by at least {MATCH_IOU} "
        f"(intersection over union), one to one. Average precision is COCO's, from scores of {SCORE_FLOOR} up."
    ),
    "classification": "A prediction is the most probable label; it counts as right where it is the image's.",
    "segmentation": (
        "Pixels are compared label by label. A labelled region counts as found where at least half of its pixels are predicted "
        "with its label."
    ),
}
FLIP_MEANING = {
    "object": {"negative": "found by the baseline, missed by the candidate", "positive": "missed before, found now"},
    "image": {"negative": "right with the baseline, wrong with the candidate", "positive": "wrong before, right now"},
    "region": {"negative": "found by the baseline, missed by the candidate", "positive": "missed before, found now"},
}
_ORDER = (Outcome.FAIL, Outcome.NOT_ENOUGH_DATA, Outcome.PASS)


def render_matrix_html(
    matrix: Matrix,
    verdict: Verdict,
    max_images: int = MAX_IMAGES,
    thumbnails: Thumbnails | None = None,
) -> str:
    """Render the page: verdict, rules, matrix, flips, curves, cost, what was compared. It needs no network.

    Without JavaScript all of it is there but the pictures of the flips, of which the first are told in words.

    Args:
        max_images: at most so many images with flips are embedded; the page says how many are not shown.
        thumbnails: where small pictures are kept; made anew for each page where it is None.
    """
    results = sorted(verdict.results, key=lambda item: _ORDER.index(item.outcome))
    gallery = make_gallery(matrix, max_images, _named(results), thumbnails)
    unit = task_type(matrix.task).unit
    return render(
        "matrix.html.j2",
        matrix=matrix,
        verdict=verdict,
        results=results,
        bars={item.key: rule_bar(item) for item in results},
        powers={item.key: power_words(item) for item in results},
        labels_judged=label_words(matrix),
        confidence=CONFIDENCE_WORDS,
        unit=unit,
        kinds={cell.kind for cell in matrix.cells},
        has_intervals=any(cell.intervals for cell in matrix.cells),
        plots=plots_of(matrix),
        how_judged=HOW_JUDGED[matrix.task],
        digest=evidence_digest(matrix, verdict),
        max_worse=MAX_WORSE,
        min_samples=MIN_SAMPLES,
        min_objects=MIN_OBJECTS,
        n_replicates=N_REPLICATES,
        seed=SEED,
        **_tables(matrix),
        **_coverage(matrix),
        costs=cost_table(matrix),
        **_flips(matrix, gallery, unit),
    )


def _tables(matrix: Matrix) -> dict[str, Any]:
    task, labels = matrix.task, common_labels(matrix)
    shown, told = labels[:MAX_LABEL_TABLES], shown_cells(matrix.cells)
    cells, alone = [item for item in told if item.kind != "label"], [item for item in told if item.kind == "label"]
    absent = [name for name in label_names(matrix.cells) if name not in label_names(alone)]
    absent += [label for label in labels if not matrix.cells[0].n_objects.get(label)]
    by_label = [(label, metric_rows(cells, label, None, task), flip_rows(cells, label)) for label in shown]
    return {
        "cell_words": cell_words,
        "image_words": image_words,
        "cells": cells,
        "alone": alone,
        "alone_rows": metric_rows(alone, task=task),
        "no_images": absent,
        "rows": metric_rows(cells, task=task, own=matrix.own_metrics),
        "flips": flip_rows(cells),
        "error_rows": metric_rows(cells, metrics=error_metrics(cells)),
        "size_tables": [(size, metric_rows(cells, size, None, task)) for size in sizes_of(cells)],
        "label_tables": [item for item in by_label if item[1]] if len(labels) > 1 else [],
        "n_labels_not_shown": len(labels[MAX_LABEL_TABLES:]),
    }


def _coverage(matrix: Matrix) -> dict[str, Any]:
    """Return what was judged of each dataset: the heads of the columns, and one row per dataset."""
    names = {
        "n_test": "all",
        "n_trained_on_by_candidate": "left out: the candidate trained on them",
        "n_trained_on_by_baseline": "left out: the baseline trained on them",
        "n_like_trained_on_by_candidate": "left out: the candidate trained on one that looks the same",
        "n_like_trained_on_by_baseline": "left out: the baseline trained on one that looks the same",
        "n_not_scored": "not scored: the image cannot be read",
        "n_judged": "judged",
    }
    told = {name: words for name, words in names.items() if matrix.baseline is not None or not name.endswith("_by_baseline")}
    rows = [(item, [f"{getattr(item, name):,}" for name in told]) for item in matrix.coverage]
    return {"coverage_heads": list(told.values()), "coverage_rows": rows}


def _flips(matrix: Matrix, gallery: Gallery, unit: str) -> dict[str, Any]:
    return {
        "gallery": gallery,
        "images_per_chunk": IMAGES_PER_CHUNK,
        "flip_counts": {kind: sum(flip.kind == kind for flip in matrix.flips) for kind in FLIP_KINDS},
        "false_in_all": _false_in_all(matrix),
        "flip_meaning": FLIP_MEANING[unit],
        "kind_words": {kind: words.replace("object", unit) for kind, words in KIND_TITLES.items()},
    }


def _false_in_all(matrix: Matrix) -> dict[Row, int]:
    """Return how many false objects each model shows on the first column; none where the task does not count them."""
    first = matrix.cells[0]
    rates: dict[Row, float | None] = {row: first.value("false_per_image", row=row) for row in get_args(Row)}
    return {row: round(rate * first.n_samples) for row, rate in rates.items() if rate is not None}


def _named(results: Sequence[RuleResult]) -> dict[str, list[str]]:
    """Return the keys of the rules that name a sample as a counter-example, by sample."""
    named: dict[str, list[str]] = defaultdict(list)
    for result in results:
        for key in result.counter_examples:
            named[key].append(result.key)
    return dict(named)
