"""The learning rate over a training."""

import math

WARM_UP_SHARE = 0.3
START_DIVISOR = 25.0
END_DIVISOR = 1e4


def one_cycle(step: int, n_steps: int, peak: float) -> float:
    """Return the learning rate of ``step`` (from 0): up to ``peak`` over 30 % of the steps, then down, along cosines.

    Source: Smith and Topin, "Super-Convergence", 2018; the constants are those of torch's OneCycleLR.

    >>> [round(one_cycle(step, 11, 1.0), 3) for step in (0, 3, 10)]
    [0.04, 0.98, 0.0]
    """
    top = max(WARM_UP_SHARE * n_steps - 1, 1e-9)
    low, lowest = peak / START_DIVISOR, peak / START_DIVISOR / END_DIVISOR
    if step <= top:
        start, end, share = low, peak, step / top
    else:
        start, end, share = peak, lowest, (step - top) / max(n_steps - 1 - top, 1e-9)
    return end + (start - end) * (1 + math.cos(math.pi * min(share, 1.0))) / 2
