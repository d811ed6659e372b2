"""The paired bootstrap by groups, and what it lets one say of a difference: within the limit, beyond it, or not known yet.

Both models are weighed alike in each replicate. A difference is candidate minus baseline, turned so that more is better.
Its replicates give the standard error and tell how many groups carry it: an error of one group in a thousand is a matter of
that group, so Student's t counts the groups that the difference hangs on, not those where both models do the same.
The interval of a level (:func:`interval`) is the percentile one: it stays within the metric's range, and unlike BCa it does
not need the metric without each group in turn, which is one more replicate per group.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from lakegate.errors import BadInput
from lakegate.evaluation.sums import FloatArray64

NO_VARIANCE = 1e-12
TOLERANCE = 1e-9  # a difference of two floats is not exact; a limit that is met exactly is met
CHANCE = 0.8
MAX_GROUPS = 10_000_000
NORMAL = NormalDist()


@dataclass(frozen=True)
class Interval:
    """The middle share of the replicates; nan where none of them can be said. ``unsaid``: the share that cannot, 0..1."""

    low: float
    high: float
    unsaid: float


@dataclass(frozen=True)
class NonInferiority:
    """What a difference (more is better) says about a limit on how much worse the candidate may be.

    ``p_within`` is the p-value of "worse by no more than the margin", ``p_beyond`` of "worse by more than the margin":
    small means sure. ``low`` and ``high`` are the bounds that hold with 1 - alpha each, infinite where nothing can be said:
    ``p_within`` is at most alpha exactly where ``low`` is within the margin (but for ``unsaid``, the share of replicates
    without a value, which both p-values add). ``groups``: on how many groups the difference hangs.
    """

    p_within: float
    p_beyond: float
    low: float
    high: float
    standard_error: float
    groups: float
    unsaid: float


@dataclass(frozen=True, eq=False)
class GroupDraws:
    """R replicates of S samples in G groups: how often each sample is drawn, ``weights`` (R, S), and each group, ``counts``."""

    weights: FloatArray64
    counts: FloatArray64

    @property
    def n_groups(self) -> int:
        return int(self.counts.shape[1])

    def informative(self, values_R: FloatArray64) -> float:
        """Return on how many groups the value hangs, from 1 to their number; 0 where it never changes.

        Each group's influence u is its covariance with the value over the replicates; the number is (sum u²)² / sum u⁴, less
        what the noise of R replicates adds: the effective number of clusters of Carter, Schnepel and Steigerwald (2017).
        """
        is_said = ~np.isnan(values_R)
        n_said = int(is_said.sum())
        if n_said < 2 or np.ptp(values_R[is_said]) <= NO_VARIANCE:
            return 0.0
        changes_R = np.where(is_said, values_R - values_R[is_said].mean(), 0.0)
        influence_G = np.einsum("r,rg->g", changes_R, self.counts) / n_said  # threads of BLAS cost more than they save here
        variance = float((changes_R**2).sum() / (n_said - 1))
        noise = variance / n_said
        fourth = float((influence_G**4).sum()) - 6 * variance * noise - 3 * self.n_groups * noise**2
        return float(min(max(variance**2 / fourth, 1.0), self.n_groups)) if fourth > 0 else float(self.n_groups)


def draw_groups(groups: Sequence[str], n_replicates: int, seed: int) -> GroupDraws:
    """Draw whole groups with replacement, as many as there are, once per replicate.

    ``groups``: of each sample its group (its own id where it is alone). Equal groups, seed and numpy give equal draws.
    """
    _, group_of_sample = np.unique(np.asarray(groups, dtype=np.str_), return_inverse=True)
    n_groups = int(group_of_sample.max(initial=-1)) + 1
    random = np.random.default_rng(seed)
    counts_RG = np.zeros((n_replicates, n_groups))
    for counts_G in counts_RG if n_groups else ():
        counts_G[:] = np.bincount(random.integers(0, n_groups, n_groups), minlength=n_groups)
    return GroupDraws(counts_RG[:, group_of_sample], counts_RG)


def interval(values_R: FloatArray64, draws: GroupDraws, level: float = 0.95) -> Interval:
    """Return the percentile interval of a metric over its replicates; replicates that cannot be said (nan) are left out.

    With few groups the plain percentiles are too narrow: they are taken as far out as Student's t goes further than the normal
    distribution (Hesterberg 2015), with the groups that the value hangs on. It ends at the outermost replicate.
    """
    if not 0 < level < 1:
        raise BadInput(f"expected a level between 0 and 1, for example 0.95, came {level}")
    said_R = values_R[~np.isnan(values_R)]
    unsaid = 1.0 - len(said_R) / len(values_R) if len(values_R) else 1.0
    if not len(said_R):
        return Interval(math.nan, math.nan, unsaid)
    reach = student_quantile((1 + level) / 2, draws.informative(values_R) - 1)
    reach *= math.sqrt(draws.n_groups / max(draws.n_groups - 1, 1))
    low, high = np.quantile(said_R, [NORMAL.cdf(-reach), NORMAL.cdf(reach)])
    return Interval(float(low), float(high), unsaid)


def non_inferiority(
    difference_R: FloatArray64, point: float, margin: float, alpha: float, draws: GroupDraws
) -> NonInferiority:
    """Test whether a difference is within the margin, or beyond it.

    Args:
        difference_R: the difference in each replicate, more is better; nan where it cannot be said, which counts against
            both answers.
        point: the measured difference.
        margin: how much worse is allowed, at least 0.
        alpha: 1 - alpha is how sure ``low`` and ``high`` are.
        draws: what the replicates were drawn from.

    The variance is that of the replicates, and at a hypothesis that is far away at least what the groups would have to add to
    make it true (Tango's score test of paired shares, 1998): one group that differs does not prove that the next will not.
    A difference of exactly 0 in every replicate is within every margin; another one without variance is as sure as n groups
    that all say the same: 2 to the power of -n.
    """
    said_R = difference_R[~np.isnan(difference_R)]
    unsaid = 1.0 - len(said_R) / len(difference_R) if len(difference_R) else 1.0
    if math.isnan(point) or len(said_R) < 2:
        return NonInferiority(1.0, 1.0, -math.inf, math.inf, math.nan, 0.0, unsaid)
    error = 0.0 if np.ptp(said_R) <= NO_VARIANCE else float(said_R.std(ddof=1))
    informative = draws.informative(difference_R)

    def p_above(bound: float) -> float:
        return _p_above(point, bound, error, draws.n_groups, informative)

    def p_below(bound: float) -> float:
        return _p_above(-point, -bound, error, draws.n_groups, informative)

    limit = -margin - TOLERANCE
    step = max(error, abs(point), NO_VARIANCE)
    low, high = _where(p_above, point, -step, alpha), _where(p_below, point, step, alpha)
    p_within, p_beyond = min(p_above(limit) + unsaid, 1.0), min(p_below(limit) + unsaid, 1.0)
    return NonInferiority(p_within, p_beyond, low, high, error, informative, unsaid)


def _p_above(point: float, bound: float, error: float, n_groups: int, informative: float) -> float:
    """Return the p-value of "the true value is above the bound"."""
    if error == 0.0:
        surest = 0.0 if abs(point) <= NO_VARIANCE else 0.5**n_groups
        return surest if point > bound else 1.0 - surest
    units = max(informative, 1.0)
    variance = error**2
    beyond = max(bound * (bound - point), 0.0) * (point > bound)
    null_variance = (variance + math.sqrt(variance**2 + 4 * variance / units * beyond)) / 2
    null_units = min(units * null_variance / variance, n_groups)
    return 1.0 - student_cdf((point - bound) / math.sqrt(null_variance), null_units - 1)


def _where(p_value: Callable[[float], float], point: float, step: float, alpha: float) -> float:
    """Return the bound, from the point in the direction of the step, at which the p-value falls to alpha."""
    inner, outer = point, point + step
    for _ in range(60):
        if p_value(outer) <= alpha:
            break
        inner, outer = outer, point + 2 * (outer - point)
    else:
        return math.copysign(math.inf, step)
    if abs(step) <= NO_VARIANCE:
        return point
    for _ in range(60):
        middle = (inner + outer) / 2
        inner, outer = (inner, middle) if p_value(middle) <= alpha else (middle, outer)
    return outer


def student_cdf(t: float, freedom: float) -> float:
    """Return Student's distribution function, within 0.002 from two degrees of freedom on (Wallace 1959); 1/2 for none.

    >>> round(student_cdf(2.132, 4), 3)
    0.95
    """
    freedom = max(freedom, 0.0)
    if freedom == 0.0:
        return 0.5
    z = math.sqrt(freedom * math.log1p(t * t / freedom)) * (8 * freedom + 1) / (8 * freedom + 3)
    return NORMAL.cdf(math.copysign(z, t))


def student_quantile(share: float, freedom: float) -> float:
    """Return the inverse of :func:`student_cdf` for a share of more than 1/2; infinite without degrees of freedom.

    >>> round(student_quantile(0.95, 4), 2)
    2.14
    """
    if freedom <= 0.0:
        return math.inf
    z = NORMAL.inv_cdf(share) * (8 * freedom + 3) / (8 * freedom + 1)
    exponent = z * z / freedom
    return math.sqrt(freedom * math.expm1(exponent)) if exponent < 700 else math.inf


def holm(p_values: Sequence[float], alpha: float) -> list[bool]:
    """Say which claims hold so that all of them together are wrong with a chance of at most alpha (Holm 1979); nan never holds.

    >>> holm([0.01, 0.04, 0.03], 0.05)
    [True, False, False]
    """
    holds = [False] * len(p_values)
    order = sorted(range(len(p_values)), key=lambda index: (math.isnan(p_values[index]), p_values[index]))
    for rank, index in enumerate(order):
        if not p_values[index] <= alpha / (len(p_values) - rank):
            break
        holds[index] = True
    return holds


def power(effect: float, test: NonInferiority, margin: float, alpha: float) -> float:
    """Return the chance, 0..1, to find "worse by more than the margin" on such data where the true difference is ``effect``.

    For example ``effect=-0.02``: two points worse. By the normal approximation, with the test's standard error and groups.
    """
    if not test.standard_error > 0 or test.groups <= 1:
        return 0.0
    freedom = test.groups - 1
    needed = student_quantile(1 - alpha, freedom)
    if math.isinf(needed):
        return 0.0
    distance = (-margin - effect) / test.standard_error
    return NORMAL.cdf((distance - needed) / math.sqrt(1 + needed**2 / (2 * freedom)))


def samples_needed(
    test: NonInferiority, point: float, margin: float, alpha: float, n_groups: int, chance: float = CHANCE
) -> int | None:
    """Return about how many more groups decide the rule with this chance, if the measured difference is the true one.

    The test is asked again as if there were more groups of the same kind: the standard error falls with the root of their
    number, those that say something about the difference grow with it. None where no number decides: the difference lies on
    the limit, nothing varies, or more than ten million would be needed.
    """
    limit = -margin - TOLERANCE
    if not test.standard_error > 0 or not abs(point + margin) > TOLERANCE:
        return None
    side = 1.0 if point > limit else -1.0

    def is_decided(n_wanted: int) -> bool:
        times = n_wanted / n_groups
        error = test.standard_error / math.sqrt(times)
        unlucky = side * point - NORMAL.inv_cdf(chance) * error
        return _p_above(unlucky, side * limit, error, n_wanted, test.groups * times) <= alpha

    low, high = n_groups, n_groups + 1
    while not is_decided(high):
        low, high = high, 2 * high
        if high > MAX_GROUPS:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if is_decided(middle) else (middle, high)
    return high - n_groups
