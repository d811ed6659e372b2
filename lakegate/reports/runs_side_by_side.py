"""Any number of runs side by side, from their records alone: what differs between them, what came out, how they learned."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Literal

from lakegate.canonical import exact_json
from lakegate.training.record import RunRecord

NO_VALUE = "–"
MIB = 2**20
NOT_A_CURVE = ("epoch_s",)
VALIDATED = "val_"  # begins the names of what was measured on samples that a run did not learn from
Better = Literal["lower", "higher", ""]


@dataclass(frozen=True)
class RowOfRuns:
    """One fact of every run, as text in the order of the runs.

    ``better`` says which numbers are the better ones, "" where none are; ``best``: the numbers of the runs that have the best,
    none where the runs cannot be ranked by it.
    """

    name: str
    values: tuple[str, ...]
    better: Better = ""
    best: frozenset[int] = frozenset()

    @property
    def differs(self) -> bool:
        """Tell whether the runs do not agree."""
        return len(set(self.values)) > 1


@dataclass(frozen=True)
class CurvesOfRuns:
    """One metric over the epochs: per run its values, the first of epoch 1; None where an epoch did not measure it."""

    name: str
    values: tuple[tuple[float | None, ...], ...]


@dataclass(frozen=True)
class RunsSideBySide:
    """The runs, oldest first, and what is said of them; among parameters the rows that differ come first.

    ``why_not_ranked``: what the runs have or lack so that no number is called the best; "" where the numbers may be compared.
    """

    model: str
    runs: tuple[str, ...]
    trained: tuple[str, ...]  # when, UTC
    facts: tuple[RowOfRuns, ...]
    parameters: tuple[RowOfRuns, ...]
    metrics: tuple[RowOfRuns, ...]
    costs: tuple[RowOfRuns, ...]
    curves: tuple[CurvesOfRuns, ...]
    why_not_ranked: str = ""

    @property
    def differences(self) -> tuple[RowOfRuns, ...]:
        """What the runs were made from, as far as it is not the same for all: parameters first."""
        return tuple(row for row in (*self.parameters, *self.facts) if row.differs)

    @property
    def sameness(self) -> tuple[RowOfRuns, ...]:
        """The other rows of what the runs were made from."""
        return tuple(row for row in (*self.parameters, *self.facts) if not row.differs)

    @property
    def sentence(self) -> str:
        """What differs, in one sentence."""
        if len(self.runs) == 1:
            return "There is one run only: train another, and they stand side by side."
        names = ", ".join(row.name for row in self.differences)
        return f"The runs differ in: {names}." if names else "All were made from the same: the same data, code and parameters."

    def to_json(self) -> dict[str, Any]:
        """Return everything as plain values, by run."""
        groups = {"facts": self.facts, "parameters": self.parameters, "metrics": self.metrics, "costs": self.costs}
        content: dict[str, Any] = {"model": self.model, "runs": list(self.runs), "why_not_ranked": self.why_not_ranked}
        content["trained"] = dict(zip(self.runs, self.trained, strict=True))
        for name, rows in groups.items():
            content[name] = {row.name: self._plain(row) for row in rows}
        content["curves"] = {item.name: dict(zip(self.runs, item.values, strict=True)) for item in self.curves}
        return content

    def _plain(self, row: RowOfRuns) -> dict[str, Any]:
        plain: dict[str, Any] = {"values": dict(zip(self.runs, row.values, strict=True)), "differs": row.differs}
        ranked = {"better": row.better, "best": [self.runs[index] for index in sorted(row.best)]}
        return {**plain, **ranked} if row.better else plain


_FACTS: dict[str, Callable[[RunRecord], str]] = {
    "task": lambda record: record.task,
    "trained on": lambda record: ", ".join(f"{item.dataset}@{item.tag}" for item in record.datasets),
    "training samples": lambda record: str(sum(item.n_train_samples for item in record.datasets)),
    "labels": lambda record: ", ".join(record.labels),
    "started from": lambda record: f"run {record.start_run}" if record.start_run else "random weights",
    "code": lambda record: f"{record.code_commit[:12] or 'no commit'}{' + changes' if record.code_is_dirty else ''}",
    "lock file": lambda record: record.environment.lock_sha256[:12] or NO_VALUE,
    "GPU": lambda record: record.environment.gpu.name if record.environment.gpu else "none",
    "asked for by": lambda record: record.requested_by,
}
_COSTS: dict[str, Callable[[RunRecord], str]] = {
    "weights kept of epoch": lambda record: f"{record.chosen_epoch or len(record.history)} of {len(record.history)}",
    "went on after a stop": lambda record: f"from epoch {record.resumed_from_epoch}" if record.resumed_from_epoch else "no",
    "training, s": lambda record: f"{record.durations_s.get('training', 0.0):.1f}",
    "peak memory, MiB": lambda record: f"{record.peak_memory_bytes / MIB:.0f}",
}


def put_side_by_side(model: str, records: Sequence[RunRecord]) -> RunsSideBySide:
    """Gather what the records of one model's runs say; they are put in the order of their training."""
    ordered = sorted(records, key=lambda record: (record.created_at, record.run_id))
    facts = [RowOfRuns(name, tuple(told(record) for record in ordered)) for name, told in _FACTS.items()]
    parameters = [{item.name: exact_json(item.value).decode().strip() for item in record.parameters} for record in ordered]
    why_not = _why_not_ranked(ordered)
    metrics = [
        _metric(name, [record.metrics.get(name) for record in ordered], why_not == "") for name in _metric_names(ordered)
    ]
    costs = [{**{name: told(record) for name, told in _COSTS.items()}, **_sizes(record)} for record in ordered]
    return RunsSideBySide(
        model=model,
        runs=tuple(record.run_id for record in ordered),
        trained=tuple(record.created_at[:16].replace("T", " ") for record in ordered),
        facts=tuple(facts),
        parameters=tuple(sorted(_rows(parameters), key=lambda row: not row.differs)),
        metrics=tuple(metrics),
        costs=tuple(_rows(costs)),
        curves=_curves([record.history for record in ordered]),
        why_not_ranked=why_not,
    )


def direction(metric: str) -> Better:
    """Return which values of a metric of a training are the better ones.

    >>> direction("val_loss_box"), direction("val_accuracy"), direction("anything")
    ('lower', 'higher', '')
    """
    words = metric.split("_")
    return "lower" if "loss" in words else "higher" if "accuracy" in words else ""


def _why_not_ranked(records: Sequence[RunRecord]) -> str:
    """Say what the runs have or have not, so that a lower loss of one need not be the better one."""
    same: dict[str, Callable[[RunRecord], object]] = {
        "task": lambda record: record.task,
        "labels": lambda record: record.labels,
        "training data": lambda record: sorted((item.dataset, item.content_digest) for item in record.datasets),
        "network": lambda record: [item.value for item in record.parameters if item.name == "architecture.name"],
    }
    other = [name for name, told in same.items() if any(told(record) != told(records[0]) for record in records[1:])]
    if other:
        return f"not the same {' and '.join(other)}, so their numbers measure different things"
    is_validated = any(name.startswith(VALIDATED) for record in records for name in record.metrics)
    return (
        ""
        if is_validated
        else "no samples that they did not learn from, and a low loss on learned ones may mean learned by heart"
    )


def _metric_names(records: Sequence[RunRecord]) -> list[str]:
    names = dict.fromkeys(chain.from_iterable(record.metrics for record in records))
    return sorted(names, key=_place)


def _place(name: str) -> int:
    return 0 if name.startswith(VALIDATED) else 2 if name == "learning_rate" else 1


def _metric(name: str, values: Sequence[float | None], is_ranked: bool) -> RowOfRuns:
    better = direction(name)
    texts = tuple(NO_VALUE if value is None else f"{value:.4g}" for value in values)
    told = [value for value in values if value is not None]
    is_on_learnt = not name.startswith(VALIDATED)  # lower there may only mean learnt by heart
    if not is_ranked or is_on_learnt or not better or len(set(texts) - {NO_VALUE}) < 2:
        return RowOfRuns(name, texts, better)
    extreme = min(told) if better == "lower" else max(told)
    return RowOfRuns(name, texts, better, frozenset(index for index, value in enumerate(values) if value == extreme))


def _sizes(record: RunRecord) -> dict[str, str]:
    return {f"size of {name}, MiB": f"{item.size_bytes / MIB:.2f}" for name, item in record.artifacts.items()}


def _rows(columns: Sequence[Mapping[str, str]]) -> list[RowOfRuns]:
    names = dict.fromkeys(chain.from_iterable(columns))
    return [RowOfRuns(name, tuple(column.get(name, NO_VALUE) for column in columns)) for name in names]


def curve_names(histories: Sequence[Sequence[Mapping[str, float]]]) -> list[str]:
    """Return what the runs measured per epoch and is worth a curve: of the validation first, the learning rate last."""
    names = dict.fromkeys(name for history in histories for epoch in history for name in epoch)
    return sorted((name for name in names if name not in NOT_A_CURVE), key=_place)


def _curves(histories: Sequence[Sequence[Mapping[str, float]]]) -> tuple[CurvesOfRuns, ...]:
    return tuple(
        CurvesOfRuns(name, tuple(tuple(epoch.get(name) for epoch in history) for history in histories))
        for name in curve_names(histories)
    )
