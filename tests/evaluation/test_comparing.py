from dataclasses import replace

import pytest

from lakegate.errors import UnknownLabel
from lakegate.evaluation.comparing import compare
from lakegate.evaluation.matrix import InferenceCount, Matrix
from tests.evaluation.planted import LABELS, World, box_at, found, object_at


def counts(matrix: Matrix) -> dict[str, int]:
    return {cell.name: cell.n_samples for cell in matrix.cells}


def test_planted_flips_are_found_exactly_with_their_cells(world: World) -> None:
    """500 images, one object each: 7 negative and 11 positive flips, 3 new false objects; the rest is alike."""
    numbers = range(500)
    negative, positive, new_false = {3, 50, 120, 333, 401, 402, 499}, set(range(200, 211)), {7, 403, 480}
    objects = {number: [object_at(number % 9)] for number in numbers}
    before = world.version({number: items for number, items in objects.items() if number < 400}, tag="v1")
    now = world.version(objects, slices={"low": 'name < "s0100"'})
    answers = {number: [] if number in negative else [found(number % 9)] for number in numbers}
    for number in new_false:
        answers[number].append(found((number + 1) % 9))
    candidate = world.model("new", answers)
    baseline = world.model("old", {number: [found(number % 9, 0.2 if number in positive else 0.9)] for number in numbers})
    matrix = compare(candidate, baseline, now, before, world.settings, n_latency_images=0)
    for kind, planted in {"negative": negative, "positive": positive, "new_false": new_false}.items():
        flips = [flip for flip in matrix.flips if flip.kind == kind]
        assert {int(flip.sample_id[1:]) for flip in flips} == planted
        assert len(flips) == len(planted)
        for flip in flips:
            number = int(flip.sample_id[1:])
            expected = ["all", "old_data" if number < 400 else "diff", *(["low"] if number < 100 else [])]
            assert flip.cells == tuple(expected)
    old = matrix.require_cell("old_data")
    assert (old.n_samples, old.n_flips["negative"]["cell"], old.value("negative_flip_rate")) == (400, 4, 4 / 400)
    assert matrix.require_cell("diff").n_flips["negative"] == {"": 3, "cell": 3, "plate": 0}
    assert matrix.require_cell("low").n_flips["new_false"][""] == 1


def test_a_flip_says_why_the_object_was_missed(world: World) -> None:
    x1, y1, x2, y2 = box_at(0)
    low, off, other = [found(0, 0.2)], [((x1 + 10, y1, x2 + 10, y2), 0.9, 0)], [found(0, 0.9, 1)]
    now = world.version({number: [object_at(0)] for number in range(4)})
    matrix = compare(
        world.model("new", {0: low, 1: off, 2: other, 3: []}),
        world.model("old", {number: [found(0)] for number in range(4)}),
        now,
        None,
        world.settings,
        n_latency_images=0,
    )
    negative = [flip for flip in matrix.flips if flip.kind == "negative"]
    words = [flip.candidate.why_not if flip.candidate else "nothing" for flip in negative]
    assert words == [
        "the score is below the threshold of 0.30",
        "the boxes overlap by less than 0.5",
        "the label is not cell",
        "nothing",
    ]
    assert [flip.baseline.score for flip in negative if flip.baseline] == pytest.approx([0.9] * 4)


def test_old_data_and_diff_follow_what_changed(world: World) -> None:
    before = world.version({number: [object_at(number % 9)] for number in range(10)}, tag="v1")
    changed = {number: [object_at(number % 9)] for number in range(1, 13)}  # 0 removed; 10, 11 and 12 added
    changed[3] = [object_at(3), object_at(4)]  # relabelled
    now = world.version(changed, images={5: 105})  # re-imaged
    matrix = compare(world.model("new", {}), world.model("old", {}), now, before, world.settings, n_latency_images=0)
    assert counts(matrix) == {"all": 12, "old_data": 7, "diff": 5, "superseded": 3}
    changes = matrix.changes
    assert changes is not None
    assert (changes.n_added, changes.n_relabelled, changes.n_reimaged, changes.n_removed) == (3, 1, 1, 1)
    assert (changes.n_unchanged, changes.since) == (7, "planted@v1")


def test_judging_the_baseline_on_a_new_version_infers_the_diff_only(world: World) -> None:
    before = world.version({number: [object_at(0)] for number in range(10)}, tag="v1")
    objects = {number: [object_at(0)] for number in range(13)}
    objects[2] = [object_at(1)]  # relabelled: the image is known
    now = world.version(objects, images={5: 105})
    old, new = world.model("old", {1: [found(0)]}), world.model("new", {2: [found(0)]})
    compare(old, None, before, None, world.settings, n_latency_images=0)
    matrix = compare(new, old, now, before, world.settings, n_latency_images=0)
    assert matrix.measured.baseline == InferenceCount(n_inferred=4, n_cached=9 + 2, n_sessions=1)  # 2 are superseded
    assert matrix.measured.candidate == InferenceCount(n_inferred=13 + 1, n_cached=1, n_sessions=1)
    n_loads = len(world.loads)
    again = compare(new, old, now, before, world.settings, n_latency_images=0)
    assert (again.measured.candidate, again.measured.baseline) == (InferenceCount(0, 15, 0), InferenceCount(0, 15, 0))
    assert (len(world.loads), again.cells, again.flips) == (n_loads, matrix.cells, matrix.flips)


def test_test_images_that_a_model_trained_on_are_left_out_and_counted(world: World) -> None:
    now = world.version({number: [object_at(0)] for number in range(10)})
    seen = frozenset(world.image(number).sha256 for number in (1, 2, 99))
    candidate = world.model("new", {}, trained_on=seen)
    baseline = world.model("old", {}, trained_on=frozenset({world.image(2).sha256, world.image(7).sha256}))
    matrix = compare(candidate, baseline, now, now, world.settings, n_latency_images=0)
    coverage = matrix.coverage[0]
    assert (coverage.n_test, coverage.n_judged) == (10, 7)
    assert (coverage.n_trained_on_by_candidate, coverage.n_trained_on_by_baseline) == (2, 2)
    assert counts(matrix) == {"all": 7, "old_data": 7, "diff": 0}
    assert matrix.measured.candidate.n_inferred == 7


def test_training_samples_are_not_judged(world: World) -> None:
    now = world.version({number: [object_at(0)] for number in range(4)}, split="train")
    matrix = compare(world.model("new", {}), None, now, None, world.settings)
    assert (counts(matrix), matrix.measured.latency) == ({"all": 0}, None)


def test_further_datasets_are_columns_of_their_own_and_may_share_sample_ids(world: World) -> None:
    now = world.version({0: [object_at(0)], 1: [object_at(0)]})
    shown, slices = {0: 50, 1: 51, 2: 52}, {"busy": "objects > 0"}
    open_set = world.version({0: [object_at(1)], 1: [], 2: []}, dataset="open-set", images=shown, slices=slices)
    matrix = compare(
        world.model("new", {0: [found(0)]}),
        world.model("old", {50: [found(1)]}),
        now,
        now,
        world.settings,
        {"open-set": open_set, "open-set:busy": open_set, "planted": now},
        n_latency_images=0,
    )
    assert counts(matrix) == {"all": 2, "old_data": 2, "diff": 0, "open-set": 3, "open-set:busy": 1}
    assert [(flip.kind, flip.dataset, flip.sample_id, flip.cells) for flip in matrix.flips] == [
        ("positive", "planted", "s0000", ("all", "old_data")),
        ("negative", "open-set", "s0000", ("open-set", "open-set:busy")),
    ]
    assert [item.reference for item in matrix.coverage] == ["planted@v2", "open-set@v2", "open-set:busy@v2"]


def test_a_baseline_that_knows_the_labels_in_another_order_is_judged_by_their_names(world: World) -> None:
    now = world.version({number: [object_at(number)] for number in range(4)})
    found_cells = {number: [found(number, 0.9, 1)] for number in range(3)}  # label 1 of the turned order is "cell"
    baseline = world.model("old", found_cells, labels=LABELS[::-1])
    matrix = compare(world.model("new", {}), baseline, now, None, world.settings, n_latency_images=0)
    cell = matrix.require_cell("all")
    assert (cell.value("recall", row="baseline"), cell.n_flips["negative"]["cell"]) == (0.75, 3)


def test_a_test_object_with_a_label_that_the_models_do_not_know_is_refused(world: World) -> None:
    now = world.version({0: [object_at(0, "cello")]}, labels=(*LABELS, "cello"))
    with pytest.raises(UnknownLabel, match="did you mean 'cell'"):
        compare(world.model("new", {}), None, now, None, world.settings)


def test_without_a_baseline_there_are_no_flips_and_no_old_data(world: World) -> None:
    now = world.version({number: [object_at(0)] for number in range(3)}, slices={"low": 'name < "s0001"'})
    matrix = compare(world.model("new", {0: [found(0)]}), None, now, None, world.settings)
    assert (counts(matrix), matrix.flips, matrix.changes) == ({"all": 3, "low": 1}, (), None)
    assert matrix.require_cell("all").value("negative_flip_rate") is None


def test_latency_of_both_models_is_measured_in_turn_in_new_sessions(world: World) -> None:
    now = world.version({number: [object_at(0)] for number in range(6)})
    matrix = compare(world.model("new", {0: [found(0)]}), world.model("old", {}), now, now, world.settings, n_latency_images=8)
    latency = matrix.measured.latency
    assert latency is not None and latency.p99_ratio is not None and latency.baseline_p50_ms is not None
    assert 0 < latency.candidate_p50_ms <= latency.candidate_p99_ms
    assert latency.p99_ratio == pytest.approx(latency.candidate_p99_ms / (latency.baseline_p99_ms or 0))
    assert latency.n_images == 8 and latency.p99_ratio_interval is not None
    assert latency.p99_ratio_interval[0] <= latency.p99_ratio <= latency.p99_ratio_interval[1]
    n_images = [model.n_inferences for model in world.loads]
    assert n_images[:4] == [6, 6, 13, 13]  # predictions; then 5 to warm up and 8 measured
    assert n_images[4:] in ([1] * 6, [])  # memory: three rounds for each model, where the system tells a peak


def test_a_renamed_label_is_old_data(world: World) -> None:
    before = world.version({number: [object_at(0, "zelle")] for number in range(6)}, tag="v1", labels=("zelle", "plate"))
    now = world.version({number: [object_at(0)] for number in range(6)})
    renamed = replace(now, declaration=now.declaration.model_copy(update={"rename": {"zelle": "cell"}}))
    matrix = compare(world.model("new", {}), world.model("old", {}), renamed, before, world.settings, n_latency_images=0)
    assert counts(matrix) == {"all": 6, "old_data": 6, "diff": 0}
