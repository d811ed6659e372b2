from dataclasses import replace

from lakegate.evaluation.comparing import compare
from lakegate.evaluation.gate import judge
from lakegate.evaluation.matrix import Matrix
from lakegate.gate_rules import Outcome, parse_rule
from tests.evaluation.planted import World, found, object_at


def counts(matrix: Matrix) -> dict[str, int]:
    return {cell.name: cell.n_samples for cell in matrix.cells}


def test_an_image_that_cannot_be_read_makes_the_comparison_incomparable_never_better(world: World) -> None:
    now = world.version({number: [object_at(0)] for number in range(9)})
    now.images["s0004"].path.write_bytes(b"no image")
    candidate = world.model("new", {number: [found(0)] for number in range(9)})
    for baseline in (None, world.model("old", {})):
        matrix = compare(candidate, baseline, now, None, world.settings, n_latency_images=0)
        coverage = matrix.coverage[0]
        assert (coverage.n_test, coverage.n_judged, coverage.n_not_scored) == (9, 8, 1)
        verdict = judge([parse_rule("recall.all.min", 0.5)], matrix)
        assert (verdict.outcome, verdict.results[0].outcome) == (Outcome.NOT_ENOUGH_DATA, Outcome.PASS)
        assert "1 test sample was not scored on planted@v2" in verdict.sentence
        assert "s0004" in verdict.sentence


def test_what_was_superseded_is_judged_on_its_old_labels_and_images(world: World) -> None:
    """0 is removed, 1 relabelled, 2 re-imaged, 3 moved to train; 4 to 8 stay, 9 is added."""
    before = world.version({number: [object_at(0)] for number in range(9)}, tag="v1")
    objects = {number: [object_at(1 if number == 1 else 0)] for number in (1, 2, *range(4, 10))}
    now = world.version(objects, images={2: 102})
    train = world.version({3: [object_at(0)]}, split="train")
    now = replace(now, samples=(*now.samples, *train.samples), images=now.images | train.images)
    candidate = world.model("new", {1: [found(1)]}, trained_on=frozenset({world.image(3).sha256}))
    baseline = world.model("old", {number: [found(0)] for number in range(9)})
    matrix = compare(candidate, baseline, now, before, world.settings, n_latency_images=0)
    assert counts(matrix) == {"all": 8, "old_data": 5, "diff": 3, "superseded": 3}
    cell = matrix.require_cell("superseded")
    assert (cell.words, cell.value("recall", row="baseline"), cell.value("recall")) == ("superseded test samples", 1.0, 0.0)
    coverage = matrix.coverage[-1]
    assert (coverage.reference, coverage.n_test, coverage.n_judged) == ("planted:superseded@v1", 4, 3)
    assert coverage.n_trained_on_by_candidate == 1
    negative = [flip.sample_key for flip in matrix.superseded_flips if flip.kind == "negative"]
    assert negative == ["planted@v1/s0000", "planted@v1/s0001", "planted@v1/s0002"]
    assert cell.n_flips["negative"] == {"": 3, "cell": 3, "plate": 0}
    assert all("superseded" not in flip.cells for flip in matrix.flips)
    assert matrix.samples["planted@v1/s0001"].sample.annotations == (object_at(0),)
    assert matrix.samples["planted/s0001"].sample.annotations == (object_at(1),)
