"""lakegate/gate_rules.py: the words of a gate."""

import pytest

from lakegate.errors import BadDeclaration
from lakegate.gate_rules import METRICS, Outcome, Rule, metrics_of_task, parse_rule


@pytest.mark.parametrize(
    ("key", "rule"),
    [
        ("map50.all.min", Rule("map50", "all", "", "min", 0.5)),
        ("recall.diff.WBC.min", Rule("recall", "diff", "WBC", "min", 0.5)),
        ("map50.old_data.max_drop", Rule("map50", "old_data", "", "max_drop", 0.5)),
        ("false_per_image.crowded.max_rise", Rule("false_per_image", "crowded", "", "max_rise", 0.5)),
        ("recall.all.no.4.min", Rule("recall", "all", "no.4", "min", 0.5)),
    ],
)
def test_a_key_is_parsed_and_written_back(key, rule):
    assert parse_rule(key, 0.5) == rule
    assert rule.key == key


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("map5.all.min", "no metric is called 'map5'; did you mean 'map50'?"),
        ("map50.all.mni", "'mni' is no kind of limit; did you mean 'min'?"),
        ("map50.min", r"expected <metric>\.<cell>\[\.<label>\]\.<min\|max\|max_drop\|max_rise>"),
        ("latency_p99_ratio.all.WBC.max", "latency_p99_ratio is not measured per label; leave 'WBC' out"),
        ("negative_flip_rate.all.max_rise", "compares with the baseline already; write 'negative_flip_rate.all.max'"),
        ("size_ratio.diff.max", "is not measured per cell; write 'size_ratio.all.max'"),
        ("tide_missed.all.WBC.max", "tide_missed is not measured per label; leave 'WBC' out"),
        ("latency_p99_ratio.diff.max", "is not measured per cell; write 'latency_p99_ratio.all.max'"),
    ],
)
def test_a_wrong_word_is_named_with_what_would_be_right(key, message):
    with pytest.raises(BadDeclaration, match=message) as raised:
        parse_rule(key, 0.5)
    assert f"'{key}'" in str(raised.value)


@pytest.mark.parametrize(
    ("key", "needed"),
    [
        ("map50.all.min", False),
        ("map50.all.max_drop", True),
        ("missed_per_image.all.max_rise", True),
        ("negative_flip_rate.old_data.max", True),
        ("latency_p99_ratio.all.max", True),
    ],
)
def test_a_rule_knows_whether_it_needs_a_baseline(key, needed):
    assert parse_rule(key, 0.1).needs_baseline is needed


@pytest.mark.parametrize(("cell", "needed"), [("all", False), ("crowded", False), ("old_data", True), ("diff", True)])
def test_a_rule_knows_whether_it_needs_an_older_version(cell, needed):
    assert parse_rule(f"recall.{cell}.min", 0.1).needs_old_data is needed


def test_every_metric_has_words_for_sentences():
    assert all(metric.words and not metric.words.endswith(".") for metric in METRICS.values())
    assert all(metric.short and not metric.short.endswith(".") for metric in METRICS.values())


def test_a_metric_of_the_model_s_own_is_a_word_of_its_gate():
    rule = parse_rule("worst_recall.all.max_drop", 0.1, ["worst_recall"])
    assert (rule.metric, rule.needs_baseline) == ("worst_recall", True)
    with pytest.raises(BadDeclaration, match=r"did you mean 'worst_recall'\?"):
        parse_rule("worst_recal.all.max_drop", 0.1, ["worst_recall"])


def test_each_task_has_its_own_metrics_and_those_of_all():
    names = {task: set(metrics_of_task(task)) for task in ("detection", "classification", "segmentation")}
    assert {"map50", "tide_missed"} <= names["detection"] - names["classification"] - names["segmentation"]
    assert {"accuracy", "calibration_error"} <= names["classification"] - names["detection"]
    assert {"miou", "dice"} <= names["segmentation"] - names["classification"]
    assert {"precision", "recall", "negative_flip_rate", "latency_p50_ratio", "size_ratio"} <= set.intersection(*names.values())


def test_too_little_data_is_neither_pass_nor_fail():
    assert [str(outcome) for outcome in Outcome] == ["pass", "fail", "not enough data"]
