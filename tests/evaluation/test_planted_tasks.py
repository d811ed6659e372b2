"""Comparisons of classifiers and segmenters, from the model file to verdict and page, with answers that are known."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from lakegate.canonical import sha256_file
from lakegate.declarations import DatasetDeclaration, Task
from lakegate.evaluation.comparing import compare
from lakegate.evaluation.gate import judge
from lakegate.evaluation.matrix import InferenceCount, Matrix
from lakegate.evaluation.report import render_matrix_html
from lakegate.formats.importing import import_export
from lakegate.gate_rules import Outcome, parse_rule
from lakegate.label_map import LabelMap
from lakegate.lake.local_version import DatasetVersion, LocalImage, LocalVersion
from lakegate.masks import box_of_rle, rle_of_mask
from lakegate.samples import Annotation, Sample
from lakegate.task_types.registry import task_type
from tests.evaluation.planted import LABELS, SIDE_PX, World, box_at, object_at
from tests.evaluation.planted_tasks import cached_model, lookup_model

NEGATIVE, POSITIVE = {3, 50, 120, 333, 401, 402, 499}, set(range(200, 211))  # 7 and 11 of 500
GROCERIES = ("Banana", "Cantaloupe", "Carrots", "Conference", "Granny-Smith", "Lemon", "Orange", "Satsumas", "Watermelon")
GROCERIES = (*GROCERIES, "Yellow-Onion")


def flipped(matrix: Matrix, kind: str) -> list[str]:
    return [flip.sample_id for flip in matrix.flips if flip.kind == kind]


def version_of(task: Task, samples: Sequence[Sample], images: Mapping[str, Path], labels: Sequence[str]) -> LocalVersion:
    declaration = DatasetDeclaration(task=task, labels=tuple(labels))
    shown = {sample.id: LocalImage(images[sample.id], sha256_file(images[sample.id])) for sample in samples}
    return LocalVersion(DatasetVersion("real", "v1", "commit", "digest"), declaration, tuple(samples), shown)


def test_planted_flips_of_a_classifier_are_found_exactly_with_their_cells(world: World) -> None:
    numbers, right, wrong = range(500), np.array([0.9, 0.1]), np.array([0.2, 0.8])
    items = {number: [Annotation("cell", author="ann")] for number in numbers}
    now = world.version(items, slices={"low": 'name < "s0100"'})
    before = world.version({number: items[number] for number in range(400)}, tag="v1")
    answers = {number: wrong if number in NEGATIVE or number < 20 else right for number in numbers}
    candidate = lookup_model(world, "new", "classification", answers, LABELS)
    old_answers = {number: wrong if number in POSITIVE or (number < 20 and number != 3) else right for number in numbers}
    turned = {number: answer[::-1] for number, answer in old_answers.items()}
    baseline = lookup_model(world, "old", "classification", turned, LABELS[::-1])  # its labels come in another order
    matrix = compare(candidate, baseline, now, before, world.settings, n_latency_images=0)
    for kind, planted in {"negative": NEGATIVE, "positive": POSITIVE, "new_false": set()}.items():
        assert sorted(flipped(matrix, kind)) == [f"s{number:04d}" for number in sorted(planted)]
    cells = {flip.sample_id: flip.cells for flip in matrix.flips}
    assert (cells["s0003"], cells["s0120"], cells["s0401"]) == (
        ("all", "old_data", "low"),
        ("all", "old_data"),
        ("all", "diff"),
    )
    assert {flip.author for flip in matrix.flips} == {"ann"}
    cell = matrix.require_cell("old_data")
    assert (cell.n_objects, cell.value("negative_flip_rate")) == ({"": 400, "cell": 400, "plate": 0}, 4 / 400)
    assert cell.value("accuracy") == (400 - 23) / 400
    assert cell.value("accuracy", row="baseline") == (400 - 30) / 400
    assert cell.candidate["recall"]["plate"] is None
    assert matrix.measured.baseline == InferenceCount(n_inferred=500, n_cached=0, n_sessions=1)


def probability_map(*shapes: tuple[int, int]) -> np.ndarray:
    """The output at a quarter of the input: ``shapes`` as (place, label index), each 4 cells square, the rest background."""
    output = np.zeros((3, SIDE_PX // 4, SIDE_PX // 4))
    output[0] = 0.9
    for slot, label in shapes:
        x, y = (int(side) // 4 for side in box_at(slot)[:2])
        output[0, y : y + 4, x : x + 4], output[1 + label, y : y + 4, x : x + 4] = 0.1, 0.9
    return output


def masked(annotation: Annotation) -> Annotation:
    x1, y1, x2, y2 = (round(side) for side in annotation.box_xyxy_px)
    mask_HW = np.zeros((SIDE_PX, SIDE_PX))
    mask_HW[y1:y2, x1:x2] = 1
    return replace(annotation, rle=rle_of_mask(mask_HW))


def test_planted_flips_of_a_segmenter_are_found_exactly_and_its_page_shows_them(world: World) -> None:
    numbers, negative, positive, new_false = range(60), {2, 31, 59}, {10, 11, 40, 41}, {7, 45}
    objects = {number: [masked(object_at(0)), masked(object_at(number % 3 + 4, "plate"))] for number in numbers}
    shown = {number: [(0, 0), (number % 3 + 4, 1)] for number in numbers}
    answers = {number: shapes[1:] if number in negative else shapes for number, shapes in shown.items()}
    answers |= {number: [*answers[number], (8, 0)] for number in new_false}
    old_answers = {number: shapes[:1] if number in positive else shapes for number, shapes in shown.items()}
    candidate, baseline = (
        lookup_model(world, run_id, "segmentation", {number: probability_map(*row) for number, row in rows.items()}, LABELS)
        for run_id, rows in (("new", answers), ("old", old_answers))
    )
    now = world.version(objects)
    before = world.version({number: objects[number] for number in range(50)}, tag="v1")
    matrix = compare(candidate, baseline, now, before, world.settings, n_latency_images=0)
    for kind, planted in {"negative": negative, "positive": positive, "new_false": new_false}.items():
        assert sorted(flipped(matrix, kind)) == [f"s{number:04d}" for number in sorted(planted)]
    assert {(flip.kind, flip.label) for flip in matrix.flips} == {
        ("negative", "cell"),
        ("positive", "plate"),
        ("new_false", "cell"),
    }
    old = matrix.require_cell("old_data")
    assert (old.n_objects[""], old.n_flips["negative"]["cell"], old.value("negative_flip_rate")) == (100, 2, 0.02)
    again = compare(candidate, baseline, now, before, world.settings, n_latency_images=0)
    assert (again.measured.candidate, again.cells) == (InferenceCount(0, 60, 0), matrix.cells)
    verdict = judge([parse_rule("miou.all.max_drop", 0.5), parse_rule("negative_flip_rate.old_data.max", 0.5)], matrix)
    assert verdict.outcome == Outcome.PASS
    html = render_matrix_html(matrix, verdict)
    assert "found 1 of 2 regions" in html and "the candidate missed it: it labels none of its pixels" in html


def test_planted_errors_among_the_groceries_are_found_and_no_others(world: World, samples_dir: Path) -> None:
    """340 photographs; each model is right but for what is planted."""
    declaration = DatasetDeclaration(task="classification", labels=GROCERIES)
    imported = import_export(samples_dir / "grocery" / "dataset", None, declaration)
    samples = [replace(item.sample, split="test") for item in imported.samples]
    version = version_of("classification", samples, {item.sample.id: item.image for item in imported.samples}, GROCERIES)
    negative, positive = {sample.id for sample in samples[10::50]}, {sample.id for sample in samples[5::30]}

    def predictions(mistaken: set[str]) -> dict[str, np.ndarray]:
        found = {}
        for sample in samples:
            true = GROCERIES.index(sample.annotations[0].label)
            probabilities = np.full(10, 0.03, np.float32)
            probabilities[(true + 1) % 10 if sample.id in mistaken else true] = 0.73
            found[version.images[sample.id].sha256] = probabilities
        return found

    candidate = cached_model(world, "new", "classification", predictions(negative), GROCERIES)
    baseline = cached_model(world, "old", "classification", predictions(positive), GROCERIES)
    matrix = compare(candidate, baseline, version, version, world.settings, n_latency_images=0)
    assert (set(flipped(matrix, "negative")), set(flipped(matrix, "positive"))) == (negative, positive)
    cell = matrix.require_cell("all")
    assert (cell.value("accuracy"), cell.value("accuracy", row="baseline")) == (
        pytest.approx(1 - len(negative) / 340),
        pytest.approx(1 - len(positive) / 340),
    )
    assert cell.value("calibration_error") == pytest.approx(abs(0.73 - (1 - len(negative) / 340)))
    assert {flip.candidate.score for flip in matrix.flips if flip.candidate} == {0.73}


def test_corrected_masks_of_the_nuclei_flip_what_the_old_masks_got_wrong(world: World, samples_dir: Path) -> None:
    """The truth is v2; the baseline predicts v1, the candidate v2 without seven nuclei; what numpy counts is what is found."""
    root, maps = samples_dir / "nuclei", {}
    for name in ("v1", "v2"):
        paths = sorted((root / f"{name}_instance16").iterdir())
        maps[name] = {path.stem: cv2.imread(str(path), cv2.IMREAD_UNCHANGED) for path in paths}
    samples, images = [], {}
    for name, numbers_HW in maps["v2"].items():
        masks = [rle_of_mask(numbers_HW == number) for number in np.unique(numbers_HW) if number]
        objects = tuple(Annotation("nucleus", box_of_rle(mask), rle=mask) for mask in masks)
        samples.append(Sample(name, numbers_HW.shape[1], numbers_HW.shape[0], objects, split="test", group=name))
        images[name] = root / "images" / f"{name}.png"
    version = version_of("segmentation", samples, images, ("nucleus",))
    old = {name: (maps["v1"][name] > 0).astype(np.int32) for name in maps["v2"]}
    new, erased = {name: (numbers_HW > 0).astype(np.int32) for name, numbers_HW in maps["v2"].items()}, []
    for name in [name for name in new if (maps["v1"][name] == maps["v2"][name]).all()][3:45:6]:
        number = int(np.bincount(maps["v2"][name][maps["v2"][name] > 0]).argmax())
        new[name][maps["v2"][name] == number] = 0
        erased.append(name)
    assert len(erased) == 7
    counted = [(name, numbers_HW, number) for name, numbers_HW in maps["v2"].items() for number in np.unique(numbers_HW)]
    regions = [(name, numbers_HW == number) for name, numbers_HW, number in counted if number]
    missed = [name for name, mask_HW in regions if old[name][mask_HW].mean() < 0.5]
    models = []
    for run_id, rows in (("new", new), ("old", old)):
        predictions = {version.images[name].sha256: LabelMap.of(shown) for name, shown in rows.items()}
        models.append(cached_model(world, run_id, "segmentation", predictions, ("nucleus",)))
    matrix = compare(models[0], models[1], version, version, world.settings, n_latency_images=0)
    assert sorted(flipped(matrix, "negative")) == sorted(erased)
    assert sorted(flipped(matrix, "positive")) == sorted(missed) and missed
    assert flipped(matrix, "new_false") == []
    cell = matrix.require_cell("all")
    assert cell.n_objects["nucleus"] == len(regions) == 3304
    for row, shown in (("candidate", new), ("baseline", old)):
        common = sum(int(((maps["v2"][name] > 0) & (shown[name] > 0)).sum()) for name in shown)
        union = sum(int(((maps["v2"][name] > 0) | (shown[name] > 0)).sum()) for name in shown)
        assert cell.value("miou", row=row) == pytest.approx(common / union, rel=1e-12)  # type: ignore[arg-type]
    task = task_type("segmentation")
    for flip in matrix.flips:
        words = task.flip_words(flip, matrix.samples[flip.sample_key], matrix.labels)
        assert words.startswith("the baseline found it" if flip.kind == "negative" else "the baseline missed it")
