"""Rules on what a model costs, as ratios to the baseline."""

from dataclasses import replace

from lakegate.evaluation.gate import judge
from lakegate.evaluation.matrix import Latency
from lakegate.gate_rules import Outcome, parse_rule
from tests.evaluation.drawn import Column, a_matrix
from tests.evaluation.test_gate import BASELINE, UNITS, only


def test_costs_are_judged_as_ratios() -> None:
    matrix = a_matrix({"all": Column(BASELINE, BASELINE, UNITS)}, sizes_mib=(6, 4))
    latency = Latency(400, 8.0, 12.0, 4.0, 10.0, (1.95, 2.05), (0.7, 1.4))
    matrix = replace(matrix, measured=replace(matrix.measured, latency=latency))
    p99 = only(matrix, "latency_p99_ratio.all.max", 1.4)
    assert (p99.outcome, p99.sentence, p99.interval, p99.remedy) == (
        Outcome.PASS,
        "For one image the candidate's p99 latency is 12.0 ms, the baseline's 10.0 ms: 1.20 times as long (95 % interval 0.70 "
        "to 1.40 over 400 pairs of measurements); at most 1.40 times is allowed: it holds, 95 % sure.",
        (0.7, 1.4),
        "",
    )
    assert only(matrix, "latency_p99_ratio.all.max", 0.69).outcome is Outcome.FAIL
    assert [only(matrix, "latency_p50_ratio.all.max", limit).outcome for limit in (2.1, 2.0, 1.9)] == [
        Outcome.PASS,
        Outcome.NOT_ENOUGH_DATA,
        Outcome.FAIL,
    ]
    unsure = judge([parse_rule("latency_p99_ratio.all.max", 1.2)], matrix)
    assert unsure.outcome is Outcome.NOT_ENOUGH_DATA
    assert "cannot be decided. For one image" in unsure.sentence
    assert "at most 1.20 times is allowed: the times vary too much to be 95 % sure. Compare again while" in unsure.sentence
    size = only(matrix, "size_ratio.all.max", 1.4)
    assert (size.outcome, size.sentence) == (
        Outcome.FAIL,
        "The candidate's model.onnx has 6.0 MiB, the baseline's 4.0 MiB: 1.50 times as large; at most 1.40 times is allowed.",
    )
