"""Cron lines as ``[schedule]`` takes them: five fields, checked here so that a slip is told where it was written."""

import re

from lakegate.errors import BadDeclaration

FIELDS = (
    ("minute", 0, 59, ()),
    ("hour", 0, 23, ()),
    ("day of the month", 1, 31, ()),
    ("month", 1, 12, ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")),
    ("day of the week", 0, 7, ("sun", "mon", "tue", "wed", "thu", "fri", "sat")),
)
LONGEST_MONTH_DAYS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
EXAMPLE = "'0 3 * * mon' is every Monday at 03:00 UTC"
PART = re.compile(r"(?P<first>\*|\w+)(?:-(?P<last>\w+))?(?:/(?P<step>\d+))?")


def check_cron(line: str) -> str:
    """Return the line with single spaces.

    Fields are minute, hour, day of the month, month, day of the week (0 and 7 are Sunday), each ``*``, a value, a range
    ``a-b``, a step ``*/n`` or ``a-b/n``, or several of these with commas.

    >>> check_cron("0 3  * * mon")
    '0 3 * * mon'

    Raises:
        BadDeclaration: another number of fields, a value that its field does not have, or a date that never comes.
    """
    words = line.split()
    if len(words) != len(FIELDS):
        raise BadDeclaration(f"'{line}' has {len(words)} fields, a cron line has five; {EXAMPLE}")
    values = [_values(line, word, *field) for word, field in zip(words, FIELDS, strict=True)]
    days, months, weekday = values[2], values[3], words[4]
    if weekday == "*" and min(days) > max(LONGEST_MONTH_DAYS[month - 1] for month in months):
        raise BadDeclaration(f"'{line}' never comes: no such month has a day {min(days)}; {EXAMPLE}")
    return " ".join(words)


def _values(line: str, word: str, name: str, lowest: int, highest: int, names: tuple[str, ...]) -> set[int]:
    values: set[int] = set()
    for part in word.lower().split(","):
        found = PART.fullmatch(part)
        chosen = _range(found, lowest, highest, names) if found else range(0)
        if not chosen:
            known = f"{lowest} to {highest}{f', {names[0]} to {names[-1]}' if names else ''}"
            raise BadDeclaration(f"'{line}': '{part}' is no {name} ({known}; also *, a-b, */n, a-b/n); {EXAMPLE}")
        values |= set(chosen)
    return values


def _range(part: re.Match[str], lowest: int, highest: int, names: tuple[str, ...]) -> range:
    """Return what one part stands for; empty where it stands for nothing that the field has."""
    first, last, step = (_number(part[group], lowest, names) for group in ("first", "last", "step"))
    if part["first"] == "*":
        first, last = (lowest, highest) if part["last"] is None else (None, None)
    elif part["last"] is None:
        last = first if part["step"] is None else highest
    if first is None or last is None or step == 0 or not lowest <= first <= last <= highest:
        return range(0)
    return range(first, last + 1, step or 1)


def _number(word: str | None, lowest: int, names: tuple[str, ...]) -> int | None:
    if word in names:
        return names.index(word) + lowest
    return int(word) if word and word.isdecimal() else None
