"""The palettes of the pages keep WCAG 2.1 AA, 4.5 to 1 for text and 3 to 1 for what is drawn: light, dark, print."""

import re
from pathlib import Path

import pytest

TEMPLATES = Path(__file__).resolve().parents[1] / "lakegate" / "templates"
TEXT, DRAWN = 4.5, 3.0
MOST_TINTED = 0.55  # the share of the colour of a bar behind a number of the confusion
NAMES = ("light", "dark", "print")
Rgb = tuple[float, ...]


def palettes() -> dict[str, dict[str, str]]:
    """Return the colours by name, for each medium: what a medium does not change is as in the light."""
    css = "".join((TEMPLATES / name).read_text() for name in ("base.html.j2", "matrix_parts.html.j2"))
    found: dict[str, dict[str, str]] = {name: {} for name in NAMES}
    for before, block in re.findall(r"(@media [^{]*\{ )?:root \{([^}]*)\}", css):
        name = "dark" if "dark" in before else "print" if "print" in before else "light"
        found[name] |= dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{3,6})", block))
    return {name: {**found["light"], **found[name]} for name in NAMES}


def rgb(colour: str) -> Rgb:
    digits = colour[1:] if len(colour) == 7 else "".join(digit * 2 for digit in colour[1:])
    return tuple(int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4))


def luminance(colour: Rgb) -> float:
    red, green, blue = (part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in colour)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: Rgb, other: Rgb) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_black_on_white_has_the_contrast_that_the_standard_says() -> None:
    assert contrast(rgb("#000"), rgb("#ffffff")) == pytest.approx(21)
    assert contrast(rgb("#777777"), rgb("#fff")) == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("medium", NAMES)
def test_texts_and_drawings_stand_out(medium: str) -> None:
    colours = {name: rgb(value) for name, value in palettes()[medium].items()}
    grounds = ("paper", "card")
    weak = [
        (name, ground)
        for ground in grounds
        for name in ("ink", "soft", "pass", "fail", "thin", "info", "waived")
        if contrast(colours[name], colours[ground]) < TEXT
    ]
    weak += [(name, "paper") for name in ("bar", "bar-bad") if contrast(colours[name], colours["paper"]) < DRAWN]
    for name in ("bar", "bar-bad"):
        tinted = tuple(
            MOST_TINTED * front + (1 - MOST_TINTED) * back for front, back in zip(colours[name], colours["paper"], strict=True)
        )
        weak += [("ink", f"tinted {name}")] if contrast(colours["ink"], tinted) < TEXT else []
    assert weak == []


def test_the_marks_of_flips_carry_black_numbers_that_are_read() -> None:
    css = (TEMPLATES / "matrix_gallery.html.j2").read_text()
    marks = re.findall(r"\.mark\.\w+ circle \{ fill: (#[0-9a-f]{6}); \}", css)
    assert len(marks) == 3 and set(marks) == set(re.findall(r"\.number-badge\.\w+ \{ background: (#[0-9a-f]{6}); \}", css))
    assert min(contrast(rgb("#000"), rgb(mark)) for mark in marks) > TEXT
