"""How values of a JSON file are judged and spelled."""

FARTHEST_PX = 1e9


def is_number(value: object) -> bool:
    """Return True for a number that can be a place in an image; not for nan, infinity and truth values."""
    return isinstance(value, int | float) and not isinstance(value, bool) and -FARTHEST_PX < value < FARTHEST_PX


def word_of(value: object) -> str:
    """Return an attribute's value as a word; truth values as JSON writes them.

    >>> word_of(True), word_of(3), word_of("x")
    ('true', '3', 'x')
    """
    return str(value).lower() if isinstance(value, bool) else str(value)
