"""Real images, as they are and changed: what is flagged, what is not, and how often nothing is taken for something."""

import re
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from lakegate.imaging import ByteArray
from lakegate.monitoring.drift import DOMAIN_AUC_MAX, DriftOutcome
from lakegate.monitoring.embedding import N_FEATURES
from lakegate.monitoring.frames import SeenObject
from lakegate.monitoring.measures import measure_images
from lakegate.monitoring.report import Picture, facts_of, render_drift_html
from tests.monitoring.streams import Stream, blood_cells, changed, columns_of, compare, labels_of, measured

N_REFERENCE, N_FRAMES = 100, 40


@pytest.fixture(scope="module")
def images(samples_dir: Path) -> list[Path]:
    return blood_cells(samples_dir, 200)


@pytest.fixture(scope="module")
def cells(images: list[Path]) -> Stream:
    return measured(images, [labels_of(path) for path in images])


@pytest.fixture(scope="module")
def reference(cells: Stream) -> Stream:
    return cells.part(range(N_REFERENCE))


@pytest.fixture(scope="module")
def unshifted(cells: Stream) -> Stream:
    return cells.part(range(N_REFERENCE, N_REFERENCE + N_FRAMES))


def test_other_images_of_the_same_set_are_no_drift(reference: Stream, unshifted: Stream) -> None:
    verdict = compare(reference, unshifted)
    assert verdict.outcome is DriftOutcome.NO_DRIFT, verdict.sentence
    assert len(verdict.columns) == 11 and all(column.p_value is not None for column in verdict.columns)
    assert verdict.domain is not None and verdict.domain.auc < DOMAIN_AUC_MAX


def darkened(image: ByteArray) -> ByteArray:
    return (image * 0.7).astype(np.uint8)


def blurred(image: ByteArray) -> ByteArray:
    return np.asarray(cv2.GaussianBlur(image, (0, 0), 2), np.uint8)


def enlarged(image: ByteArray) -> ByteArray:
    height, width = image.shape[:2]
    middle = image[height // 4 : -height // 4, width // 4 : -width // 4]
    return np.asarray(cv2.resize(middle, (width, height), interpolation=cv2.INTER_CUBIC), np.uint8)


@pytest.mark.parametrize(
    ("change", "column"), [(darkened, "brightness"), (blurred, "blur"), (enlarged, "")], ids=["darkened", "blurred", "enlarged"]
)
def test_the_same_stream_changed_is_drift(
    images: list[Path],
    reference: Stream,
    unshifted: Stream,
    tmp_path: Path,
    change: Callable[[ByteArray], ByteArray],
    column: str,
) -> None:
    paths = changed(images[N_REFERENCE : N_REFERENCE + N_FRAMES], change, tmp_path)
    verdict = compare(reference, measured(paths, unshifted.objects))
    assert verdict.outcome is DriftOutcome.DRIFT
    assert verdict.domain is not None and verdict.domain.auc > DOMAIN_AUC_MAX
    flagged = {item.name for item in verdict.columns if item.outcome is DriftOutcome.DRIFT}
    assert not column or column in flagged


def test_images_of_another_domain_are_drift_of_their_size_and_look(
    samples_dir: Path, reference: Stream, unshifted: Stream
) -> None:
    others = sorted((samples_dir / "hardhat" / "images").glob("*.*"))[:N_FRAMES]
    verdict = compare(reference, measured(others, unshifted.objects[: len(others)]))
    assert verdict.outcome is DriftOutcome.DRIFT
    assert verdict.domain is not None and verdict.domain.auc > 0.95


def test_a_model_that_finds_less_in_the_same_images_is_drift_of_its_predictions(reference: Stream, unshifted: Stream) -> None:
    poorer = [[item.model_copy(update={"score": item.score * 0.8}) for item in row[::2]] for row in unshifted.objects]
    verdict = compare(reference, Stream(unshifted.images, poorer))
    flagged = {item.name for item in verdict.columns if item.outcome is DriftOutcome.DRIFT}
    assert {"objects", "score", "objects: RBC"} <= flagged
    assert not flagged & {"brightness", "contrast", "entropy", "blur", "width_px", "height_px"}
    assert verdict.outcome is DriftOutcome.DRIFT and "objects found per image" in verdict.sentence


def test_fewer_frames_than_thirty_say_nothing_even_where_they_are_black(reference: Stream, unshifted: Stream) -> None:
    few = unshifted.part(range(29))
    few.images.table["brightness"][:] = 0
    verdict = compare(reference, few)
    assert verdict.outcome is DriftOutcome.NOT_ENOUGH_DATA
    assert verdict.sentence.startswith("29 usable frames are too few to say anything; 30 are needed")
    assert compare(unshifted.part(range(29)), reference).outcome is DriftOutcome.NOT_ENOUGH_DATA


def test_a_column_with_too_few_values_is_not_compared(reference: Stream, unshifted: Stream) -> None:
    nothing_found: list[list[SeenObject]] = [[] for _ in unshifted.objects]
    verdict = compare(reference, Stream(unshifted.images, nothing_found))
    score = next(item for item in verdict.columns if item.name == "score")
    assert (score.outcome, score.p_value, score.frames_median) == (DriftOutcome.NOT_ENOUGH_DATA, None, None)
    assert verdict.outcome is DriftOutcome.DRIFT  # since the number of objects is compared


def test_ten_divisions_of_the_same_set_raise_no_false_alarm(cells: Stream) -> None:
    alarms = []
    for seed in range(10):
        order = np.random.default_rng(seed).permutation(len(cells.objects)).tolist()
        verdict = compare(cells.part(order[:N_REFERENCE]), cells.part(order[N_REFERENCE : N_REFERENCE + N_FRAMES]))
        alarms += [verdict.sentence] if verdict.outcome is DriftOutcome.DRIFT else []
    assert alarms == []


def test_a_file_that_is_no_image_is_left_out_and_named(images: list[Path], tmp_path: Path) -> None:
    (tmp_path / "cut.jpg").write_bytes(images[0].read_bytes()[:5000])
    found = measure_images([("cut", tmp_path / "cut.jpg"), ("whole", images[0]), ("gone", tmp_path / "gone.jpg")], threads=2)
    assert found.keys == ("whole",) and found.embeddings.shape == (1, N_FEATURES)
    assert set(found.broken) == {"cut", "gone"}


def test_the_page_says_the_verdict_shows_frames_and_needs_no_network(
    images: list[Path], reference: Stream, unshifted: Stream, tmp_path: Path
) -> None:
    paths = changed(images[N_REFERENCE : N_REFERENCE + N_FRAMES], darkened, tmp_path)
    frames = measured(paths, unshifted.objects)
    verdict = compare(reference, frames, with_html=True)
    facts = facts_of(
        verdict, model="blood-cells", release=2, run_id="0123456789", versions=("blood-cells@v2",), content_digests=("d",),
        window_start="2026-03-01T00:00:00+00:00", window_end="2026-03-08T00:00:00+00:00", n_frames=N_FRAMES, n_in_window=43,
        n_repeated=2, n_trained_on=1, unusable={"a.json": "not JSON <b>"}, n_reference=N_REFERENCE, n_predicted=N_REFERENCE,
    )  # fmt: skip
    shown = [Picture(path, path.stem, tuple(row)) for path, row in zip(paths, frames.objects, strict=True)]
    html = render_drift_html(facts, columns_of(reference, frames), shown, shown[:3], "evidently.html")
    assert "DRIFT" in html and facts.sentence in html and "not JSON &lt;b&gt;" in html
    assert html.count("<figure><img") == 8 + 3 and html.count("<figure><figcaption>") == 11
    for page in (html, verdict.evidently_html):
        assert not re.search(r"""<(?:script|link|img)[^>]+(?:src|href)=["']?https?:""", page)
    assert facts.digest == facts.model_validate_json(facts.to_bytes()).digest
