"""The matrix page: one self-contained HTML file that answers "may it go live, and why not?"."""

from lakegate.detections import SCORE_FLOOR
from lakegate.evaluation.evidence import evidence_digest, matrix_json
from lakegate.evaluation.gallery import MAX_IMAGES, Gallery, make_gallery
from lakegate.evaluation.gate import MIN_OBJECTS, MIN_SAMPLES, Verdict
from lakegate.evaluation.markdown import matrix_markdown
from lakegate.evaluation.matching import MATCH_IOU
from lakegate.evaluation.matrix import Matrix
from lakegate.evaluation.tables import flip_rows, metric_rows
from lakegate.gate_rules import Outcome
from lakegate.html import render

__all__ = ["evidence_digest", "matrix_json", "matrix_markdown", "render_matrix_html"]

_ORDER = (Outcome.FAIL, Outcome.NOT_ENOUGH_DATA, Outcome.PASS)


def render_matrix_html(matrix: Matrix, verdict: Verdict, max_images: int = MAX_IMAGES) -> str:
    """Render the page: verdict, rules, matrix, flips, latency, what was compared. It needs no network, nor JavaScript.

    Args:
        max_images: at most so many images with flips are embedded; the page says how many are not shown.
    """
    gallery = make_gallery(matrix, max_images)
    return render(
        "matrix.html.j2",
        matrix=matrix,
        verdict=verdict,
        results=sorted(verdict.results, key=lambda item: _ORDER.index(item.outcome)),
        tables=[("", metric_rows(matrix), flip_rows(matrix))],
        label_tables=[(label, metric_rows(matrix, label), flip_rows(matrix, label)) for label in matrix.labels],
        gallery=gallery,
        flip_counts={kind: sum(flip.kind == kind for flip in matrix.flips) for kind in ("negative", "positive", "new_false")},
        shown_cells=_shown_cells(matrix, gallery),
        digest=evidence_digest(matrix, verdict),
        match_iou=MATCH_IOU,
        score_floor=SCORE_FLOOR,
        min_samples=MIN_SAMPLES,
        min_objects=MIN_OBJECTS,
    )


def _shown_cells(matrix: Matrix, gallery: Gallery) -> list[str]:
    """The columns that some image of the gallery belongs to, in the matrix's order."""
    used = {name for image in gallery.images for name in image.cells}
    return [cell.name for cell in matrix.cells if cell.name in used]
