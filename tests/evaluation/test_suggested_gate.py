"""lakegate/evaluation/suggested_gate.py and seed_noise.py: first limits, each with its reason."""

import tomllib
from dataclasses import replace

from lakegate.evaluation.gate import judge
from lakegate.evaluation.seed_noise import NoiseInCell, SeedNoise
from lakegate.evaluation.suggested_gate import suggest_rules
from lakegate.gate_rules import Outcome, parse_rule
from tests.evaluation.drawn import Column, a_matrix

HITS = [2 if index % 4 else 3 for index in range(200)]
UNITS = [3] * 200
NOISE = SeedNoise(
    "counter", "old", "r", ("planted@v1",), (1, 2), ("s1", "s2"), "object", (NoiseInCell("all", 600, (12, 20, 14, 18)),),
    {"recall": 0.013, "map": 0.2},
)  # fmt: skip


def test_a_floor_is_the_lower_end_of_the_interval_with_its_reason() -> None:
    matrix = a_matrix({"all": Column(HITS, HITS, UNITS), "night": Column(HITS[:60], HITS[:60], UNITS[:60], kind="slice")})
    rules = {rule.key: rule for rule in suggest_rules(matrix.cells, "detection", ["cell"], None)}
    assert set(rules) == {"recall.all.cell.min", "recall.night.min", "recall.diff.min"}
    low, high = matrix.cells[0].intervals["candidate"]["recall"]["cell"]
    assert low - 0.01 < rules["recall.all.cell.min"].limit <= low
    reason = f"measured 0.750 on 600 objects in 200 test samples, 95 % interval {low:.3f} to {high:.3f}"
    assert rules["recall.all.cell.min"].reason == reason
    assert rules["recall.night.min"].limit < rules["recall.all.cell.min"].limit  # fewer samples, a wider interval


def test_what_was_measured_passes_what_was_suggested_from_it() -> None:
    matrix = a_matrix({"all": Column(HITS, HITS, UNITS)})
    lines = "\n".join(rule.to_toml() for rule in suggest_rules(matrix.cells, "detection", ["cell"], NOISE))
    gate = {key: limit for key, limit in tomllib.loads(lines).items() if ".all." in key}
    assert judge([parse_rule(key, limit) for key, limit in gate.items()], matrix).outcome is Outcome.PASS


def test_no_error_in_n_objects_is_no_proof_that_there_is_none() -> None:
    matrix = a_matrix({"all": Column(UNITS[:20], UNITS[:20], UNITS[:20])})
    rules = {rule.key: rule for rule in suggest_rules(matrix.cells, "detection", ["cell"], None)}
    assert rules["recall.all.cell.min"].limit == 0.95  # three of sixty
    assert rules["recall.all.cell.min"].reason.endswith("in no draw another value: 60 objects prove no more than this")


def test_a_floor_that_any_model_reaches_is_not_suggested() -> None:
    matrix = a_matrix({"all": Column([0] * 19 + [1], [0] * 20, [1] * 20)})
    low, high = matrix.cells[0].intervals["candidate"]["recall"]["cell"]
    assert low == 0 < high
    assert "recall.all.cell.min" not in {rule.key for rule in suggest_rules(matrix.cells, "detection", ["cell"], None)}


def test_too_few_samples_suggest_nothing() -> None:
    assert suggest_rules(a_matrix({"all": Column([1] * 4, [1] * 4, [2] * 4)}).cells, "detection", ["cell"], None) == []


def test_limits_are_not_below_what_the_seed_alone_changes() -> None:
    matrix = a_matrix({"all": Column(HITS, HITS, UNITS)}, metric="map")
    plain, noisy = (
        {rule.key: rule for rule in suggest_rules(matrix.cells, "detection", [], noise)} for noise in (None, NOISE)
    )
    assert plain["map.old_data.max_drop"].limit < 0.1 < noisy["map.old_data.max_drop"].limit == 0.2
    flips = noisy["negative_flip_rate.old_data.max"]
    assert flips.limit == 0.05  # 20 of 600, and half as many more
    assert flips.reason == "2 other seeds alone flip 12 to 20 of 600 objects; half as many more are allowed"


def test_flips_are_told_beside_those_of_the_seed_alone() -> None:
    worse = [hits - (index % 10 == 1) for index, hits in enumerate(HITS)]
    matrix = replace(a_matrix({"all": Column(worse, HITS, UNITS)}), seed_noise=NOISE)
    result = judge([parse_rule("negative_flip_rate.all.max", 0.1)], matrix).results[0]
    assert result.sentence.endswith("sure. For comparison, 12 to 20 of 600 objects flip by the seed alone.")
    assert NOISE.words("night") == "12 to 20 of 600 objects flip by the seed alone on all test samples"
    assert NOISE.words("old_data") == NOISE.words("all")
