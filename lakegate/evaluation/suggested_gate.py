"""First rules for a model: from what its baseline does, how sure that is, and what another seed alone would change."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil, floor

from lakegate.evaluation.bootstrap import CONFIDENCE
from lakegate.evaluation.gate import MIN_OBJECTS, MIN_SAMPLES
from lakegate.evaluation.matrix import Cell, Interval
from lakegate.evaluation.seed_noise import SeedNoise
from lakegate.gate_rules import CELL_ALL, CELL_DIFF, CELL_OLD, metric_facts

MAIN_METRIC = {"detection": "map50", "classification": "accuracy", "segmentation": "miou"}
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
    rules = [*_floor(judged, metric), *(rule for label in labels for rule in _floor(judged, "recall", label))]
    rules += [rule for cell in cells[1:] if cell.kind == "slice" for rule in _floor(cell, "recall")]
    rules += _falls(judged, metric, noise)
    rules += [
        SuggestedRule(f"recall.{CELL_DIFF}.min", rule.limit, "as on all test samples: new data is no reason to be worse")
        for rule in _floor(judged, "recall")
    ]
    return [*rules, *_flips(noise)]


def _floor(cell: Cell, metric: str, label: str = "") -> Iterator[SuggestedRule]:
    interval, value = _interval(cell, metric, label), cell.value(metric, label)
    if interval is None or value is None or cell.n_samples < MIN_SAMPLES or cell.n_objects.get(label, 0) < MIN_OBJECTS:
        return
    column = CELL_ALL if cell.kind == "all" else cell.name
    key = ".".join(part for part in (metric, column, label, "min") if part)
    measured = f"{value:.3f} on {cell.n_samples} test samples, {SURE} interval {interval[0]:.3f} to {interval[1]:.3f}"
    yield SuggestedRule(key, max(floor(interval[0] / STEP + 1e-9) * STEP, 0.0), f"measured {measured}")


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
    yield SuggestedRule(f"{metric}.{CELL_OLD}.max_drop", max(ceil(max(by_draw, by_seed) / STEP - 1e-9) * STEP, STEP), reason)


def _flips(noise: SeedNoise | None) -> Iterator[SuggestedRule]:
    found = None if noise is None else noise.in_cell(CELL_ALL)
    if found is None or noise is None or not found.n_units:
        return
    share = found.largest / found.n_units
    flips = f"{min(found.n_flips)} to {found.largest} of {found.n_units} {noise.unit}s"
    reason = f"{len(noise.runs)} other seeds alone flip {flips}"
    limit = max(ceil(UNDECIDED * share / STEP - 1e-9) * STEP, STEP)
    yield SuggestedRule(f"negative_flip_rate.{CELL_OLD}.max", limit, f"{reason}; half as many more are allowed")


def _interval(cell: Cell, metric: str, label: str) -> Interval | None:
    return cell.intervals.get("candidate", {}).get(metric, {}).get(label)
