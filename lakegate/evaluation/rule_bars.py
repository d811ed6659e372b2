"""Where the value of a rule and its interval lie against the limit, as positions for a picture."""

from dataclasses import dataclass

from lakegate.evaluation.tables import interval_words
from lakegate.gate_rules import RuleResult

MARGIN = 0.08  # of the width, on both sides


@dataclass(frozen=True)
class RuleBar:
    """Positions from 0 (left) to 1; ``allowed`` is the side of the limit where the rule holds."""

    value: float
    limit: float
    span: tuple[float, float] | None
    allowed: tuple[float, float]
    limit_words: str
    words: str


def rule_bar(result: RuleResult) -> RuleBar | None:
    """Return the picture of one rule; None where there is no value to show."""
    if result.value is None or result.limit is None:
        return None
    shown = [result.value, result.limit, *(result.interval or ())]
    if not result.key.endswith(".min"):
        shown.append(0.0)  # a change, a share or a ratio is read from zero
    low: float = min(shown)
    width: float = max(shown) - low or 1.0

    def place(number: float) -> float:
        return MARGIN + (1 - 2 * MARGIN) * (number - low) / width

    limit = place(result.limit)
    interval = interval_words(result.interval)
    return RuleBar(
        value=place(result.value),
        limit=limit,
        span=None if result.interval is None else (place(result.interval[0]), place(result.interval[1])),
        allowed=(limit, 1.0) if result.key.endswith(".min") else (0.0, limit),
        limit_words=f"{result.limit:g}",
        words=f"{result.value:.3f}{f' ({interval})' if interval else ''}, limit {result.limit:g}",
    )
