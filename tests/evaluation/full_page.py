"""A page with everything that a page can hold: own metrics, unequal labels, slices, further datasets, superseded, waivers."""

from collections.abc import Mapping
from dataclasses import replace

from lakegate.evaluation.comparing import compare
from lakegate.evaluation.gate import Verdict, judge
from lakegate.evaluation.matrix import Matrix
from lakegate.gate_rules import parse_rule
from lakegate.model_tables import OwnMetricTable, WaiverTable
from tests.evaluation.planted import LABELS, World, found, object_at, with_threshold

N_IMAGES = 40
NEW_LABELS, OLD_LABELS = (*LABELS, "clot", "granule"), (*LABELS, "smear of the old scanner")
OWN = {
    "worst_label_recall": OwnMetricTable(function="tests.evaluation.team_metrics:worst_label_recall", higher_is_better=True),
    "shown_per_sample": OwnMetricTable(function="tests.evaluation.team_metrics:shown_per_sample", higher_is_better=False),
    "mean_score": OwnMetricTable(function="tests.evaluation.team_metrics:mean_score"),
}
RULES = {
    "recall.all.min": 0.5,
    "map50.old_data.max_drop": 0.01,
    "recall.old_data.cell.max_drop": 0.6,
    "worst_label_recall.all.min": 0.2,
    "shown_per_sample.all.max_rise": 0.1,
    "mean_score.all.min": 0.1,
    "recall.label:clot.min": 0.99,
    "recall.night.min": 0.99,
    "negative_flip_rate.old_data.max": 0.05,
    "recall.diff.plate.min": 0.9,
}


def full_page(world: World, rules: Mapping[str, float] | None = None) -> tuple[Matrix, Verdict]:
    """Judge two planted detectors that differ in all that a page tells.

    Every fifth image loses its cell, every seventh its plate is new; the last eight are added, s0004 is relabelled, s0036 to
    s0039 of the old version are gone. The candidate trained on s0001. Image 0 to 9 show a clot, none a granule.
    """
    clots = {number: [object_at(2, "clot")] if number < 10 else [] for number in range(N_IMAGES)}
    objects = {number: [object_at(0), object_at(1, "plate"), *clots[number]] for number in range(N_IMAGES)}
    old = {number: items for number, items in objects.items() if number < 28}
    old |= {4: [object_at(0, "plate")], **{number: [object_at(0)] for number in range(50, 54)}}
    labels = tuple(dict.fromkeys((*NEW_LABELS, *OLD_LABELS)))
    slices = {"night": 'name < "s0012"', "crowded": "objects > 2"}
    now = world.version(objects, slices=slices, labels=labels)
    before = world.version(old, tag="v1", labels=labels)
    right = [found(0), found(1, 0.8, 1)]
    answers = {number: right[number % 5 == 0 :] + ([found(2, 0.7, 2)] if number < 9 else []) for number in range(N_IMAGES)}
    answers |= {7: [*answers[7], found(6, 0.6)], 50: [found(0)]}
    was = {number: right[: 1 + (number % 7 > 0)] for number in range(N_IMAGES)} | {50: [], 51: [found(0)]}
    seen = frozenset({world.image(1).sha256})
    candidate = world.model("20260607-090000-ab12cd", answers, NEW_LABELS, seen)
    candidate = replace(candidate, declaration=candidate.declaration.model_copy(update={"metrics": OWN}))
    baseline = with_threshold(world.model("20260501-120000-ef34ab", was, OLD_LABELS), 0.35)
    open_set = world.version({number: [object_at(0)] for number in range(6)}, tag="v3", dataset="night-drives", labels=labels)
    further = {"night-drives": open_set}
    matrix = compare(candidate, baseline, now, before, world.settings, further, n_latency_images=4)
    matrix = replace(matrix, flips=tuple(replace(flip, version="v1", author="anna") for flip in matrix.flips))
    waived = WaiverTable.model_validate({"reason": "the camera is replaced", "owner": "grace", "expires": "2027-06-30"})
    parsed = [parse_rule(key, limit, list(OWN)) for key, limit in (RULES if rules is None else rules).items()]
    return matrix, judge(parsed, matrix, {"recall.night.min": waived}, ("recall.night.min",))
