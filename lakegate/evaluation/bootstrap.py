"""One column of the matrix, drawn again many times: intervals, the tests behind the rules, and the samples that matter most.

Both models are weighed alike in each replicate, and whole groups are drawn: frames of one clip are not independent.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import ceil, isfinite

import numpy as np

from lakegate.evaluation.cell_statistics import NEGATIVE_FLIPS
from lakegate.evaluation.judged import JudgedSample
from lakegate.evaluation.matrix import Interval, Intervals
from lakegate.evaluation.resampling import (
    GroupDraws,
    NonInferiority,
    draw_groups,
    interval,
    non_inferiority,
    power,
    samples_needed,
)
from lakegate.gate_rules import CHANGE_KINDS, METRICS, metric_facts
from lakegate.task_types.protocol import Replicates, SampleStatistics

CONFIDENCE = 0.95
ALPHA = (1 - CONFIDENCE) / 2  # on each side, so that a rule is decided exactly where its interval lies on one side of the limit
N_REPLICATES = 1000
N_OWN_REPLICATES = 200  # a metric of the team's own is computed from scratch each time
SEED = 20250607
DECIMALS = 6  # of what the evidence keeps
N_EXAMPLES = 5
MAX_TRIED = 200  # samples whose influence is computed exactly; chosen by their covariance with the replicates
MIN_GROUPS = 2
TWO_POINTS = 0.02
ByLabel = Mapping[str, Mapping[str, Replicates]]  # metric -> label -> values


@dataclass(frozen=True)
class Finding:
    """What the replicates say about how much worse the candidate is (or about the share of negative flips) and its limit.

    ``interval``: of that amount, more is worse. ``is_constant``: no draw changes it. ``n_more``: about how many more samples
    decide the rule, if the measured amount is the true one. Both are None where that cannot be said. ``margin``: the limit,
    as the test has it.
    """

    test: NonInferiority
    interval: Interval | None
    is_constant: bool
    n_more: int | None
    margin: float

    def power(self, n_rules: int) -> float:
        """Return the chance that a rule fails where the true amount is two points beyond its limit, as one of n rules."""
        return round(power(-self.margin - TWO_POINTS, self.test, self.margin, ALPHA / n_rules), DECIMALS)


@dataclass(frozen=True, eq=False)
class ResampledCell:
    """The same S samples for both models; ``keys`` and ``groups`` are those of the samples, (S,)."""

    keys: tuple[str, ...]
    groups: tuple[str, ...]
    candidate: SampleStatistics
    baseline: SampleStatistics | None
    n_replicates: int = N_REPLICATES

    @classmethod
    def of(
        cls, samples: Sequence[JudgedSample], candidate: SampleStatistics, baseline: SampleStatistics | None
    ) -> "ResampledCell":
        """Join judged samples with the statistics that were made of them; a sample without a group stands alone."""
        groups = tuple(item.sample.group or item.sample.id for item in samples)
        return cls(tuple(item.key for item in samples), groups, candidate, baseline)

    @cached_property
    def n_groups(self) -> int:
        """How many groups there are to draw from."""
        return len(set(self.groups))

    def can_say(self, metric: str) -> bool:
        """Return True where there is an interval of this metric here."""
        return self.n_groups >= MIN_GROUPS and metric_facts(metric).resampled and metric in self.candidate.metrics

    def intervals(self) -> Intervals:
        """Return the intervals of both models and of candidate minus baseline, for every metric and label that has one.

        A level has the percentile interval. A difference, and the share of negative flips, has the one that its rule is
        judged by.
        """
        known = [metric for metric in self.candidate.metrics if self.can_say(metric)]
        found: Intervals = {"candidate": {}, "baseline": {}, "difference": {}}
        for metrics in ([item for item in known if item in METRICS], [item for item in known if item not in METRICS]):
            if metrics:
                self._add_intervals(found, metrics)
        return {row: by_metric for row, by_metric in found.items() if by_metric}

    def _add_intervals(self, found: Intervals, metrics: Sequence[str]) -> None:
        draws = self._draws(metrics[0])
        point, now = self._measured_and_drawn(self.candidate, metrics, draws)
        compared = [] if self.baseline is None else [item for item in metrics if item in self.baseline.metrics]
        old_point, was = self._measured_and_drawn(self.baseline, compared, draws) if self.baseline and compared else ({}, {})
        for metric in metrics:
            if metric == NEGATIVE_FLIPS:
                found["candidate"][metric] = _tested(metric, point[metric], now[metric], draws)
                continue
            found["candidate"][metric] = _percentiles(point[metric], now[metric], draws)
            if metric in compared:
                found["baseline"][metric] = _percentiles(old_point[metric], was[metric], draws)
                change, changes = _minus(point[metric], old_point[metric]), _minus(now[metric], was[metric])
                found["difference"][metric] = _tested(metric, change, changes, draws)

    def _measured_and_drawn(
        self, statistics: SampleStatistics, metrics: Sequence[str], draws: GroupDraws
    ) -> tuple[ByLabel, ByLabel]:
        return statistics.values(np.ones((1, len(self.keys))), metrics), statistics.values(draws.weights, metrics)

    def find(self, metric: str, label: str, kind: str, limit: float) -> Finding:
        """Test how much worse the candidate is against the limit.

        Args:
            kind: ``max_drop`` and ``max_rise``: of the metric, against the baseline; ``max`` and ``min``: of the candidate's
                value alone, whose limit is then an upper or a lower one.
        """
        draws = self._draws(metric)
        worse_R = self._worse(draws.weights, metric, label, kind)
        worse = float(self._worse(np.ones((1, len(self.keys))), metric, label, kind)[0])
        margin = -limit if kind == "min" else limit
        test = non_inferiority(-worse_R, -worse, margin, ALPHA, draws)
        n_groups = samples_needed(test, -worse, margin, ALPHA, self.n_groups)
        n_more = None if n_groups is None else ceil(n_groups * len(self.keys) / self.n_groups)
        told = _within((-test.high, -test.low), metric)
        return Finding(test, _finite({"": told}).get(""), test.standard_error == 0, n_more, margin)

    def worst_samples(self, metric: str, label: str, kind: str) -> tuple[str, ...]:
        """Return up to five samples without which the candidate would look better by that measure, the worst first.

        Where it is compared with the baseline, only samples on which it is the worse of the two.
        """
        n_samples, tried = len(self.keys), self._most_telling(metric, label, kind)
        without_TS, alone_TS = np.ones((len(tried), n_samples)), np.zeros((len(tried), n_samples))
        without_TS[np.arange(len(tried)), tried], alone_TS[np.arange(len(tried)), tried] = 0, 1
        worse = self._worse(np.ones((1, n_samples)), metric, label, kind)[0]
        share_T = worse - self._worse(without_TS, metric, label, kind)
        if kind in CHANGE_KINDS:
            share_T[self._worse(alone_TS, metric, label, kind) <= 0] = 0
        ranked = sorted(zip((-share_T).round(DECIMALS + 3).tolist(), tried.tolist(), strict=True))
        return tuple(self.keys[index] for negative, index in ranked if isfinite(negative) and negative < 0)[:N_EXAMPLES]

    def _most_telling(self, metric: str, label: str, kind: str) -> "np.ndarray[tuple[int], np.dtype[np.int64]]":
        """Return the indices of the samples that move the measure most over the replicates; all where they are few."""
        if len(self.keys) <= MAX_TRIED:
            return np.arange(len(self.keys))
        weights_RS = self._draws(metric).weights
        worse_R = self._worse(weights_RS, metric, label, kind)
        changes_R = np.nan_to_num(worse_R - np.nanmean(worse_R))
        return np.sort(np.argsort(-(changes_R @ weights_RS), kind="stable")[:MAX_TRIED])

    def _worse(self, weights_RS: Replicates, metric: str, label: str, kind: str) -> Replicates:
        now = self.candidate.values(weights_RS, [metric])[metric][label]
        if kind in ("min", "max"):
            return now if kind == "max" else -now
        assert self.baseline is not None
        rise = now - self.baseline.values(weights_RS, [metric])[metric][label]
        return rise if kind == "max_rise" else -rise

    def _draws(self, metric: str) -> GroupDraws:
        n_replicates = self.n_replicates if metric in METRICS else min(self.n_replicates, N_OWN_REPLICATES)
        return draw_groups(self.groups, n_replicates, SEED)


def _minus(one: Mapping[str, Replicates], other: Mapping[str, Replicates]) -> dict[str, Replicates]:
    return {label: one[label] - other[label] for label in one if label in other}


def _percentiles(
    point: Mapping[str, Replicates], values: Mapping[str, Replicates], draws: GroupDraws
) -> dict[str, Interval]:
    found = {label: interval(value_R, draws, CONFIDENCE) for label, value_R in values.items() if isfinite(point[label][0])}
    return _finite({label: (item.low, item.high) for label, item in found.items()})


def _tested(
    metric: str, point: Mapping[str, Replicates], values: Mapping[str, Replicates], draws: GroupDraws
) -> dict[str, Interval]:
    """Return the intervals; none of what no draw changes: no flip among 13 images does not prove that there will be none."""
    tests = {label: non_inferiority(value_R, point[label][0], 0.0, ALPHA, draws) for label, value_R in values.items()}
    varying = {label: test for label, test in tests.items() if test.standard_error > 0}
    return _finite({label: _within((test.low, test.high), metric) for label, test in varying.items()})


def _within(told: Interval, metric: str) -> Interval:
    """Cut an interval of a difference (of a share, for negative flips) to what is possible at all.

    >>> _within((-0.02, 1.09), "miou")
    (-0.02, 1.0)
    """
    if metric not in METRICS or metric.endswith("_per_image") or not (isfinite(told[0]) and isfinite(told[1])):
        return told
    lowest = 0.0 if metric == NEGATIVE_FLIPS else -1.0
    return max(told[0], lowest), min(told[1], 1.0)


def _finite(intervals: Mapping[str, Interval]) -> dict[str, Interval]:
    """Round what the evidence keeps, and leave out what cannot be said."""
    return {
        label: (round(float(low), DECIMALS) + 0.0, round(float(high), DECIMALS) + 0.0)
        for label, (low, high) in intervals.items()
        if isfinite(low) and isfinite(high)
    }
