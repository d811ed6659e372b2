"""How sure the ratio of two models' latency is, on drawn times of a machine that does other work now and then."""

import numpy as np
import pytest

from lakegate.evaluation.latency import latency_of


def times_ms(random: np.random.Generator, n_pairs: int, ratio: float) -> np.ndarray:
    """Times of two models, of which the first takes ``ratio`` times as long; bursts of load slow both down, each by chance."""
    is_loaded = np.repeat(random.random(n_pairs // 10 + 1) < 0.15, 10)[:n_pairs]
    load = np.where(is_loaded, random.exponential(1.5, (2, n_pairs)), random.exponential(0.02, (2, n_pairs)))
    return np.array([[4.0 * ratio], [4.0]]) * (1 + load)


@pytest.mark.parametrize(("n_pairs", "share", "least"), [(400, 50, 0.87), (400, 99, 0.87), (40, 50, 0.87), (40, 99, 0.85)])
def test_the_interval_of_a_ratio_holds_the_true_one(n_pairs: int, share: int, least: float) -> None:
    random = np.random.default_rng(share)
    drawn = [latency_of(times_ms(random, n_pairs, 1.3)) for _ in range(80)]
    intervals = [item.p50_ratio_interval if share == 50 else item.p99_ratio_interval for item in drawn]
    assert np.mean([told is not None and told[0] <= 1.3 <= told[1] for told in intervals]) >= least


def test_neighbours_are_drawn_together_since_load_comes_in_bursts() -> None:
    random = np.random.default_rng(5)
    is_loaded = np.repeat(random.random(20) < 0.5, 20)  # the candidate alone, half of the time
    bursts = np.array([4.0 + random.random(400) + 4 * is_loaded, 4.0 + random.random(400)])
    apart = bursts[:, random.permutation(400)]
    widths = [np.ptp(told) for times in (bursts, apart) if (told := latency_of(times).p50_ratio_interval) is not None]
    assert widths[0] > 1.2 * widths[1]


def test_without_a_baseline_or_with_few_pairs_there_is_no_interval() -> None:
    assert latency_of(np.full((1, 40), 5.0)).p50_ratio_interval is None
    few = latency_of(np.array([[2.0, 3.0, 4.0], [1.0, 1.0, 1.0]]))
    assert (few.n_images, few.candidate_p50_ms, few.p50_ratio, few.p50_ratio_interval) == (3, 3.0, 3.0, None)
