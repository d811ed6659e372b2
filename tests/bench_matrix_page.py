"""The matrix page with 5,000 flips, opened in headless Chromium: a row of `make bench BENCH=matrix`.

Numbers for people; nothing here is a test. One flip on each of 5,000 images with 8 objects each, matched and judged as a
comparison does it.
"""

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

import tests.environment  # noqa: F401  first: it sets variables that numpy reads when imported
from lakegate.canonical import sha256_bytes
from lakegate.declarations import OperatingTable
from lakegate.detections import Detections
from lakegate.evaluation.judged import JudgedSample
from lakegate.evaluation.matrix import Matrix
from lakegate.lake.local_version import LocalImage
from lakegate.samples import Annotation, Sample
from lakegate.task_types.detection import TASK_TYPE
from lakegate.task_types.protocol import LabelView
from tests.bench_data_pages import page_rows
from tests.bench_rows import Row
from tests.pages import write_photo

N_FLIPS = int(os.environ.get("LAKEGATE_BENCH_FLIPS") or 5_000)
N_FILES = 200  # so many different images; further samples share them, which costs a page nothing less
OBJECTS = 8
LABELS = ("car", "truck", "bus", "person")


def bench_rows(folder: Path) -> list[Row]:
    """Return the row of the page, which is made in ``folder``; ``peer`` is the limit. Without Chromium there is none."""
    measured = page_rows({f"matrix page, {N_FLIPS:,} flips": make_matrix_page(folder / "matrix", N_FLIPS)}, folder)
    return [Row(**{name: value for name, value in row.items() if name != "wanted"}) for row in measured]


def make_matrix_page(folder: Path, n: int) -> Path:
    """Write the page of a matrix in which the candidate misses one of 8 objects on each of ``n`` images."""
    from lakegate.evaluation.comparing import compare
    from lakegate.evaluation.gate import judge
    from lakegate.evaluation.report import render_matrix_html
    from lakegate.gate_rules import parse_rule
    from lakegate.thumbnails import Thumbnails
    from tests.evaluation.planted import World

    world = World(folder, [])
    folder.mkdir(parents=True, exist_ok=True)
    small = world.version({number: [] for number in range(6)}, labels=LABELS)
    models = (world.model(name, {}, labels=LABELS) for name in ("new", "old"))
    matrix = compare(*models, small, small, world.settings, n_latency_images=0)
    judged = [_judged(sample, image) for sample, image in _photographs(folder, n)]
    matrix = _filled(matrix, judged)
    assert len(matrix.flips) == n
    verdict = judge([parse_rule("negative_flip_rate.old_data.max", 0.02)], matrix)
    page = folder / "matrix.html"
    page.write_text(render_matrix_html(matrix, verdict, thumbnails=Thumbnails(folder / "thumbnails")))
    return page


def _photographs(folder: Path, n: int) -> Iterator[tuple[Sample, LocalImage]]:
    """Yield samples of 640 x 480 px with 8 objects in 2 rows."""
    random = np.random.default_rng(0)
    (folder / "images").mkdir()
    images = [write_photo(folder / "images" / f"{number}.jpg", random) for number in range(min(n, N_FILES))]
    files = [LocalImage(path, sha256_bytes(path.read_bytes())) for path in images]
    for number in range(n):
        boxes = [(30.0 + 150 * (place % 4), 40.0 + 200 * (place // 4), 90.0, 70.0) for place in range(OBJECTS)]
        objects = [Annotation(LABELS[(number + place) % 4], box, author="anna") for place, box in enumerate(boxes)]
        name = f"camera-{number % 20}/frame-{number:06}"
        yield Sample(name, 640, 480, tuple(objects), "test", name.split("/")[0]), files[number % len(files)]


def _judged(sample: Sample, image: LocalImage) -> JudgedSample:
    view, operating = LabelView.of(LABELS, LABELS), OperatingTable()
    truth = TASK_TYPE.truth_of(sample, LABELS)
    scores = np.linspace(0.6, 0.95, OBJECTS, dtype=np.float32)
    everything = Detections(truth.boxes_xyxy_px + 3, scores, truth.labels)
    sides = [TASK_TYPE.judge(found, truth, view, operating) for found in (everything.at_least(0.61), everything)]
    return JudgedSample("planted", sample, image, truth, sides[0], sides[1])


def _filled(matrix: Matrix, judged: Sequence[JudgedSample]) -> Matrix:
    """The matrix with these samples, their flips and their counts in all of its cells."""
    names = tuple(cell.name for cell in matrix.cells)
    flips = [replace(flip, version="v1") for item in judged for flip in TASK_TYPE.find_flips(item, LABELS, names)]
    counts = {label: sum(flip.label == label for flip in flips) for label in LABELS}
    cells = [
        replace(
            cell,
            n_samples=len(judged),
            n_objects={"": len(judged) * OBJECTS, **dict.fromkeys(LABELS, len(judged) * 2)},
            n_flips={**cell.n_flips, "negative": {"": len(flips), **counts}},
        )
        for cell in matrix.cells
    ]
    return replace(matrix, cells=tuple(cells), flips=tuple(flips), samples={item.key: item for item in judged})


if __name__ == "__main__":
    import tempfile

    with tempfile.TemporaryDirectory() as made_in:
        for row in bench_rows(Path(made_in)):
            print(json.dumps(row))
