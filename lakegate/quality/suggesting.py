"""Propose ``[quality]`` limits from what a version holds: wide enough that all of it passes, with the reason of each."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from lakegate.declarations import DatasetDeclaration
from lakegate.quality.validation import ValidationResult
from lakegate.quality.version_limits import version_facts
from lakegate.samples import Sample

if TYPE_CHECKING:
    import pandas as pd

_ROOM = 0.25  # of the spread between the 1st and the 99th percentile, left free beyond what was seen
_RANGES = {"brightness": 255.0, "contrast": 127.5, "entropy": 8.0}  # from 0 to the largest value that is possible
_SIDE_STEP_PX = 16
_SHARE_STEP = 0.05


class Suggestion(NamedTuple):
    """One line of ``[quality]``: its key, its value as TOML writes it, and why."""

    key: str
    value: str
    reason: str


def suggest_quality(samples: Sequence[Sample], result: ValidationResult, declaration: DatasetDeclaration) -> str:
    """Return a ``[quality]`` table as TOML, each line with its reason as a comment.

    Args:
        samples: of the version.
        result: the verdict on them; its metrics are what the limits come from.
        declaration: labels, and how many bits make a near duplicate.
    """
    metrics = result.metrics
    lines: list[Suggestion] = []
    if len(metrics):
        lines = [*_of_images(metrics), *_of_version(samples, metrics, declaration), _near(result, declaration)]
    title = f"[quality] # proposed from {len(metrics)} images; every one of them passes"
    width = max((len(f"{line.key} = {line.value}") for line in lines), default=0)
    return "\n".join([title, *(f"{f'{line.key} = {line.value}':<{width}} # {line.reason}" for line in lines)]) + "\n"


def _of_images(metrics: "pd.DataFrame") -> list[Suggestion]:
    shorter, longer = metrics["shorter_side_px"], metrics["longer_side_px"]
    least = max(1, int(shorter.min() * (1 - _ROOM)) // _SIDE_STEP_PX * _SIDE_STEP_PX)
    most = -(-int(longer.max() * (1 + _ROOM)) // _SIDE_STEP_PX) * _SIDE_STEP_PX
    lines = [
        Suggestion("min_side_px", str(least), f"the shorter sides are {shorter.min()} to {shorter.max()} px"),
        Suggestion("max_side_px", str(most), f"the longer sides are {longer.min()} to {longer.max()} px"),
    ]
    for name, highest in _RANGES.items():
        low, high = _with_room(metrics[name])
        lines.append(_pair(name, max(0.0, low), min(highest, high), metrics[name]))
    blur = metrics["blur"]
    reason = f"the sharpness is {blur.min():.4g} to {blur.max():.4g}; half of the lowest"
    return [*lines, Suggestion("blur_min", _number(_down(blur.min() / 2)), reason)]


def _of_version(samples: Sequence[Sample], metrics: "pd.DataFrame", declaration: DatasetDeclaration) -> list[Suggestion]:
    facts = version_facts(samples, metrics, declaration, None)
    empty, rarest = facts["max_empty_share"], facts["min_objects_per_label"]
    share = min(1.0, (math.floor(empty.value / _SHARE_STEP) + 2) * _SHARE_STEP)
    lines = [Suggestion("max_empty_share", f"{share:.2f}", empty.sentence)]
    if rarest.value >= 2:
        lines.append(Suggestion("min_objects_per_label", str(int(rarest.value // 2)), f"{rarest.sentence}; half of it"))
    return lines


def _near(result: ValidationResult, declaration: DatasetDeclaration) -> Suggestion:
    bits = declaration.quality.near_duplicate_bits
    alike = next(line.failed for line in result.rules if line.name == "images_alike_in_split")
    leaks = sum(problem.rule == "no_near_leak_between_splits" for problem in result.problems)
    return Suggestion(
        "near_duplicate_bits",
        str(bits),
        f"of 64; at {bits}, {alike} images look like another of their split and {leaks} like one of a split judged on",
    )


def _with_room(column: "pd.Series[float]") -> tuple[float, float]:
    spread = float(np.percentile(column, 99) - np.percentile(column, 1))
    return float(column.min()) - _ROOM * spread, float(column.max()) + _ROOM * spread


def _pair(name: str, low: float, high: float, column: "pd.Series[float]") -> Suggestion:
    value = f"[{_number(_down(low))}, {_number(_up(high))}]"
    return Suggestion(name, value, f"seen: {column.min():.4g} to {column.max():.4g}, and a quarter of the spread beyond")


def _down(value: float) -> float:
    step = _step(value)
    return math.floor(value / step) * step


def _up(value: float) -> float:
    step = _step(value)
    return math.ceil(value / step) * step


def _step(value: float) -> float:
    """Round to two digits."""
    return 10.0 ** (math.floor(math.log10(value)) - 1) if value > 0 else 1.0


def _number(value: float) -> str:
    return f"{value:.10g}"
