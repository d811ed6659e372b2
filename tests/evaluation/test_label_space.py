from dataclasses import replace

import numpy as np

from lakegate.evaluation.comparing import compare
from lakegate.evaluation.gate import judge
from lakegate.evaluation.label_space import label_space
from lakegate.evaluation.matrix import Cell, Matrix
from lakegate.gate_rules import Outcome, parse_rule
from tests.evaluation.planted import LABELS, World, found, object_at


def counts(matrix: Matrix) -> dict[str, int]:
    return {cell.name: cell.n_samples for cell in matrix.cells}


def enough(cell: Cell) -> Cell:
    """The column with as many objects as a rule asks for."""
    return replace(cell, n_objects={label: max(count, 5) for label, count in cell.n_objects.items()})


def test_the_space_holds_the_candidates_labels_in_their_order_then_the_baselines() -> None:
    space = label_space(("b", "a", "new"), ("a", "gone", "b"), {})
    assert (space.labels, space.common) == (("b", "a", "new", "gone"), ("b", "a"))
    assert (space.known_only_by(0), space.known_only_by(1)) == (("new",), ("gone",))
    np.testing.assert_array_equal(space.own[1].to_space, [1, 3, 0])
    np.testing.assert_array_equal(space.own[1].known, [True, True, False, True])


def test_two_old_labels_may_be_merged_into_one_and_a_label_that_the_candidate_still_knows_is_not_renamed() -> None:
    space = label_space(("cell", "plate"), ("zelle", "cell", "plate"), {"zelle": "cell", "plate": "cell"})
    assert (space.labels, space.common) == (("cell", "plate"), ("cell", "plate"))
    np.testing.assert_array_equal(space.own[1].to_space, [0, 0, 1])
    assert space.renamed == {"zelle": "cell"}


def test_models_that_both_know_the_old_name_are_compared_under_the_new_one() -> None:
    space = label_space(("zelle", "plate"), ("plate", "zelle"), {"zelle": "cell"})
    assert (space.labels, space.common) == (("cell", "plate"), ("cell", "plate"))
    assert label_space(("zelle",), None, {"zelle": "cell"}).labels == ("cell",)
    older = label_space(("zelle", "plate"), ("cell", "plate"), {"zelle": "cell"})
    assert older.common == ("cell", "plate")


def test_without_a_baseline_everything_that_the_candidate_knows_is_compared() -> None:
    space = label_space(("a", "b"), None, {"c": "a"})
    assert (space.common, space.known_only_by(0), len(space.own)) == (("a", "b"), (), 1)


def test_a_label_that_only_the_candidate_knows_is_a_column_of_its_own_and_never_an_error_of_the_baseline(world: World) -> None:
    """Image 0 to 5 show a cell, 6 to 9 a clot, which the baseline takes for nothing, once for a cell."""
    labels = (*LABELS, "clot")
    objects = {number: [object_at(0, "cell" if number < 6 else "clot")] for number in range(10)}
    now = world.version(objects, labels=labels)
    candidate = world.model(
        "new", {number: [found(0, label=0 if number < 6 else 2)] for number in range(9)} | {5: []}, labels=labels
    )
    baseline = world.model("old", {number: [found(0)] for number in range(6)})
    matrix = compare(candidate, baseline, now, None, world.settings, n_latency_images=0)
    assert (matrix.labels, matrix.incomparable) == (labels, "")
    assert counts(matrix) == {"all": 10, "old_data": 0, "diff": 10, "label:clot": 10}
    cell = matrix.require_cell("all")
    assert cell.n_objects == {"": 6, "cell": 6, "plate": 0, "clot": 0}
    assert (cell.value("recall"), cell.value("recall", row="baseline")) == (5 / 6, 1.0)
    assert (cell.value("recall", "clot"), cell.value("recall", "clot", "baseline")) == (None, None)
    assert [(flip.kind, flip.label) for flip in matrix.flips] == [("negative", "cell")]
    clot = matrix.require_cell("label:clot")
    assert (clot.kind, clot.words, clot.n_objects[""]) == ("label", "label clot", 4)
    assert (clot.value("recall"), clot.value("recall", "clot"), clot.value("recall", row="baseline")) == (0.75, 0.75, None)
    low, high = clot.intervals["candidate"]["recall"]["clot"]
    assert low < 0.75 < high and clot.intervals["candidate"]["recall"][""] == (low, high)
    assert clot.intervals.keys() == {"candidate"} and "map" in clot.intervals["candidate"]
    asked = replace(matrix, cells=(*matrix.cells[:3], enough(clot)))
    rule = judge([parse_rule("recall.label:clot.min", 0.5)], asked).results[0]
    assert (rule.outcome, rule.interval, rule.counter_examples) == (Outcome.PASS, (low, high), ("planted/s0009",))


def test_a_label_that_only_the_baseline_knows_is_a_column_of_its_own(world: World) -> None:
    now = world.version({number: [object_at(0), object_at(1, "clot")] for number in range(5)}, labels=(*LABELS, "clot"))
    baseline = world.model("old", {number: [found(1, label=2)] for number in range(4)}, labels=(*LABELS, "clot"))
    candidate = world.model("new", {number: [found(0)] for number in range(5)})
    matrix = compare(candidate, baseline, now, None, world.settings, n_latency_images=0)
    clot = matrix.require_cell("label:clot")
    assert (clot.value("recall"), clot.value("recall", row="baseline")) == (None, 0.8)
    low, high = clot.intervals["baseline"]["recall"][""]
    assert low < 0.8 < high and clot.intervals.keys() == {"baseline"}
    everything = matrix.require_cell("all")
    assert (everything.value("recall"), everything.value("recall", row="baseline")) == (1.0, 0.0)
    assert everything.value("false_per_image", row="baseline") == 0


def test_two_models_from_before_a_rename_are_judged_on_the_version_after_it(world: World) -> None:
    now = world.version({number: [object_at(0)] for number in range(6)})
    renamed = replace(now, declaration=now.declaration.model_copy(update={"rename": {"zelle": "cell"}}))
    hits = {number: [found(0)] for number in range(6)}
    candidate, baseline = (world.model(name, hits, labels=("zelle", "plate")) for name in ("new", "old"))
    cell = compare(candidate, baseline, renamed, None, world.settings, n_latency_images=0).require_cell("all")
    assert [cell.value("recall", "cell", row) for row in ("candidate", "baseline")] == [1.0, 1.0]


def test_a_renamed_label_of_the_baseline_is_the_same_label(world: World) -> None:
    before = world.version({number: [object_at(0, "zelle")] for number in range(6)}, tag="v1", labels=("zelle", "plate"))
    now = world.version({number: [object_at(0)] for number in range(6)})
    renamed = replace(now, declaration=now.declaration.model_copy(update={"rename": {"zelle": "cell"}}))
    baseline = world.model("old", {number: [found(0)] for number in range(6)}, labels=("zelle", "plate"))
    candidate = world.model("new", {number: [found(0)] for number in range(5)})
    matrix = compare(candidate, baseline, renamed, before, world.settings, n_latency_images=0)
    assert (matrix.labels, counts(matrix)) == (LABELS, {"all": 6, "old_data": 6, "diff": 0})
    cell = matrix.require_cell("old_data")
    assert (cell.value("recall"), cell.value("recall", row="baseline")) == (5 / 6, 1.0)
    assert [(flip.kind, flip.label, flip.sample_id) for flip in matrix.flips] == [("negative", "cell", "s0005")]


def test_models_without_a_common_label_are_incomparable(world: World) -> None:
    now = world.version({number: [object_at(0)] for number in range(9)})
    baseline = world.model("old", {}, labels=("zelle", "teller"))
    matrix = compare(world.model("new", {}), baseline, now, None, world.settings, n_latency_images=0)
    assert counts(matrix) == {
        "all": 9, "old_data": 0, "diff": 9,
        "label:cell": 9, "label:plate": 9, "label:zelle": 9, "label:teller": 9,
    }  # fmt: skip
    verdict = judge([parse_rule("recall.label:cell.min", 0.0)], matrix)
    assert (verdict.outcome, verdict.results[0].outcome) == (Outcome.NOT_ENOUGH_DATA, Outcome.PASS)
    assert "have no label in common: cell, plate against zelle, teller. If labels were renamed, say so" in verdict.sentence
