"""Waivers: a person's word that a rule does not hold back a model, with a reason, an owner and a last day."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime

from lakegate.gate_rules import Outcome, RuleResult, Waiver
from lakegate.model_tables import WaiverTable


def today_utc() -> date:
    """Return the day by which waivers expire."""
    return datetime.now(UTC).date()


def in_force(waivers: Mapping[str, WaiverTable], today: date) -> tuple[str, ...]:
    """Return the keys of the rules whose waivers count on that day, sorted."""
    return tuple(sorted(key for key, waiver in waivers.items() if today <= waiver.expires))


def waive(result: RuleResult, waivers: Mapping[str, WaiverTable], counting: tuple[str, ...]) -> RuleResult:
    """Return the result with its waiver, where it does not hold and one counts; an expired one is named.

    Args:
        waivers: by the key of their rule.
        counting: the keys whose waivers count, as :func:`in_force` says.
    """
    waiver = waivers.get(result.key)
    if waiver is None or result.outcome is Outcome.PASS:
        return result
    if result.key in counting:
        return replace(result, waiver=Waiver(waiver.reason, waiver.owner, waiver.expires.isoformat()))
    expired = f"The waiver of {waiver.owner} expired on {waiver.expires.isoformat()} and does not count."
    return replace(result, sentence=f"{result.sentence} {expired}")


def is_held(result: RuleResult) -> bool:
    """Return True where the rule holds nothing back: it passes, or it is waived."""
    return result.outcome is Outcome.PASS or result.waiver is not None
