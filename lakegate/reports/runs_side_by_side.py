"""Any number of runs side by side, from their records alone: what differs between them, what came out, how they learned."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lakegate.canonical import exact_json
from lakegate.training.record import RunRecord

NO_VALUE = "–"
MIB = 2**20
NOT_A_CURVE = ("epoch_s",)


@dataclass(frozen=True)
class RowOfRuns:
    """One fact of every run, as text in the order of the runs."""

    name: str
    values: tuple[str, ...]

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
    """The runs, oldest first, and what is said of them; in each group the rows that differ come first."""

    model: str
    runs: tuple[str, ...]
    facts: tuple[RowOfRuns, ...]
    parameters: tuple[RowOfRuns, ...]
    metrics: tuple[RowOfRuns, ...]
    curves: tuple[CurvesOfRuns, ...]

    def to_json(self) -> dict[str, Any]:
        """Return everything as plain values, by run."""
        groups = {"facts": self.facts, "parameters": self.parameters, "metrics": self.metrics}
        content: dict[str, Any] = {"model": self.model, "runs": list(self.runs)}
        for name, rows in groups.items():
            content[name] = {
                row.name: {"values": dict(zip(self.runs, row.values, strict=True)), "differs": row.differs} for row in rows
            }
        content["curves"] = {item.name: dict(zip(self.runs, item.values, strict=True)) for item in self.curves}
        return content


_FACTS: dict[str, Callable[[RunRecord], str]] = {
    "trained on": lambda record: ", ".join(f"{item.dataset}@{item.tag}" for item in record.datasets),
    "training samples": lambda record: str(sum(item.n_train_samples for item in record.datasets)),
    "labels": lambda record: ", ".join(record.labels),
    "code": lambda record: f"{record.code_commit[:12] or 'no commit'}{' + changes' if record.code_is_dirty else ''}",
    "seed": lambda record: str(record.seed),
    "lock file": lambda record: record.environment.lock_sha256[:12] or NO_VALUE,
    "GPU": lambda record: record.environment.gpu.name if record.environment.gpu else "none",
    "asked for by": lambda record: record.requested_by,
    "trained at (UTC)": lambda record: record.created_at[:16].replace("T", " "),
    "epochs": lambda record: str(len(record.history)),
    "training, s": lambda record: f"{record.durations_s.get('training', 0.0):.1f}",
    "peak memory, MiB": lambda record: f"{record.peak_memory_bytes / MIB:.0f}",
}


def put_side_by_side(model: str, records: Sequence[RunRecord]) -> RunsSideBySide:
    """Gather what the records of one model's runs say; they are put in the order of their training."""
    ordered = sorted(records, key=lambda record: (record.created_at, record.run_id))
    facts = [RowOfRuns(name, tuple(told(record) for record in ordered)) for name, told in _FACTS.items()]
    parameters = [{item.name: exact_json(item.value).decode() for item in record.parameters} for record in ordered]
    metrics = [{name: f"{value:.4g}" for name, value in record.metrics.items()} for record in ordered]
    metrics = [{**row, **_sizes(record)} for row, record in zip(metrics, ordered, strict=True)]
    return RunsSideBySide(
        model=model,
        runs=tuple(record.run_id for record in ordered),
        facts=tuple(facts),
        parameters=_different_first(parameters),
        metrics=_different_first(metrics),
        curves=_curves([record.history for record in ordered]),
    )


def _sizes(record: RunRecord) -> dict[str, str]:
    return {f"size of {name}, MiB": f"{item.size_bytes / MIB:.2f}" for name, item in record.artifacts.items()}


def _different_first(columns: Sequence[Mapping[str, str]]) -> tuple[RowOfRuns, ...]:
    names = dict.fromkeys(name for column in columns for name in column)
    rows = [RowOfRuns(name, tuple(column.get(name, NO_VALUE) for column in columns)) for name in names]
    return tuple(sorted(rows, key=lambda row: not row.differs))


def curve_names(histories: Sequence[Sequence[Mapping[str, float]]]) -> list[str]:
    """Return what the runs measured in every epoch and is worth a curve, in the order of the first that did."""
    names = dict.fromkeys(name for history in histories for epoch in history for name in epoch)
    return [name for name in names if name not in NOT_A_CURVE]


def _curves(histories: Sequence[Sequence[Mapping[str, float]]]) -> tuple[CurvesOfRuns, ...]:
    return tuple(
        CurvesOfRuns(name, tuple(tuple(epoch.get(name) for epoch in history) for history in histories))
        for name in curve_names(histories)
    )
