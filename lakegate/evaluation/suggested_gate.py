"""First rules for a model: from what its baseline does, how sure that is, and what another seed alone would change."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil, floor

from lakegate.evaluation.bootstrap import CONFIDENCE
from lakegate.evaluation.gate import MIN_OBJECTS, MIN_SAMPLES
from lakegate.evaluation.gate_words import UNITS
from lakegate.evaluation.matrix import Cell, Interval
from lakegate.evaluation.seed_noise import SeedNoise
from lakegate.gate_rules import CELL_ALL, CELL_DIFF, CELL_OLD, metric_facts

MAIN_METRIC = {"detection": "map50", "classification": "accuracy", "segmentation": "miou"}
FALL_METRIC = {**MAIN_METRIC, "detection": "map"}  # mAP50 of few images hangs on single ones
STEP = 0.01
UNDECIDED = 1.5  # half an interval of a level, times this, is about what a paired difference of equal models needs to pass
SURE = f"{CONFIDENCE * 100:.0f} %"


@dataclass(frozen=True)
class SuggestedRule:
    """One line for ``[gate]``, and why it is what it is."""

    key: str
    limit: float
    reason: str

    def to_toml(self) -> str:
        """Return the line, its reason as a comment."""
        return f'"{self.key}" = {self.limit:.2f} # {self.reason}'


def suggest_rules(
    cells: Sequence[Cell], task: str, labels: Sequence[str], noise: SeedNoise | None
) -> list[SuggestedRule]:
    """Return first rules from the columns of a run that was judged alone.

    A floor is the lower end of an interval: what lies below is worse than another draw of test samples explains. The limit of
    a fall is wide enough that an equal model passes on so many samples, and not below what the seed alone changes.
    """
    judged = cells[0]
    metric = MAIN_METRIC[task]
    unit = UNITS[task]
    rules = [*_floor(judged, metric, unit), *(rule for label in labels for rule in _floor(judged, "recall", unit, label))]
    rules += [rule for cell in cells[1:] if cell.kind == "slice" for rule in _floor(cell, "recall", unit)]
    rules += _falls(judged, FALL_METRIC[task], noise)
    rules += [
        SuggestedRule(f"recall.{CELL_DIFF}.min", rule.limit, "as on all test samples: new data is no reason to be worse")
        for rule in _floor(judged, "recall", unit)
    ]
    return [*rules, *_flips(noise)]


def _floor(cell: Cell, metric: str, unit: str, label: str = "") -> Iterator[SuggestedRule]:
    """Suggest the lower end of the interval; nothing where that is no more than 0, which any model reaches."""
    interval, value = _interval(cell, metric, label), cell.value(metric, label)
    if interval is None or value is None or cell.n_samples < MIN_SAMPLES or cell.n_objects.get(label, 0) < MIN_OBJECTS:
        return
    column = CELL_ALL if cell.kind == "all" else cell.name
    key = ".".join(part for part in (metric, column, label, "min") if part)
    n_units = cell.n_objects[label]
    of = f"{n_units} {unit}s in {cell.n_samples} test samples" if label else f"{cell.n_samples} test samples"
    if interval[0] < interval[1]:
        low, sure = interval[0], f"{SURE} interval {interval[0]:.3f} to {interval[1]:.3f}"
    else:
        low = value - 3 / n_units  # the rule of three
        sure = f"and in no draw another value: {n_units} {unit}s prove no more than this"
    if (limit := round(floor(low / STEP + 1e-9) * STEP, 2)) > 0:
        yield SuggestedRule(key, limit, f"measured {value:.3f} on {of}, {sure}")


def _falls(cell: Cell, metric: str, noise: SeedNoise | None) -> Iterator[SuggestedRule]:
    interval = _interval(cell, metric, "")
    if interval is None:
        return
    by_draw = UNDECIDED * (interval[1] - interval[0]) / 2
    by_seed = 0.0 if noise is None else noise.largest_change.get(metric, 0.0)
    short, n_samples = metric_facts(metric).short, cell.n_samples
    reason = f"{n_samples} test samples: a model that is as good needs about so much room in {short} to pass {SURE} sure"
    if noise is not None:
        reason += f"; {len(noise.runs)} other seeds alone change it by up to {by_seed:.3f}"
    limit = max(ceil(max(by_draw, by_seed) / STEP - 1e-9) * STEP, STEP)
    yield SuggestedRule(f"{metric}.{CELL_OLD}.max_drop", round(limit, 2), reason)


def _flips(noise: SeedNoise | None) -> Iterator[SuggestedRule]:
    found = None if noise is None else noise.in_cell(CELL_ALL)
    if found is None or noise is None or not found.n_units:
        return
    share = found.largest / found.n_units
    flips = f"{found.words} of {found.n_units} {noise.unit}s"
    reason = f"{len(noise.runs)} other seeds alone flip {flips}"
    limit = max(ceil(UNDECIDED * share / STEP - 1e-9) * STEP, STEP)
    yield SuggestedRule(f"negative_flip_rate.{CELL_OLD}.max", round(limit, 2), f"{reason}; half as many more are allowed")


def _interval(cell: Cell, metric: str, label: str) -> Interval | None:
    return cell.intervals.get("candidate", {}).get(metric, {}).get(label)
