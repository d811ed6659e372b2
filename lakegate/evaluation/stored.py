"""A comparison read back from the evidence: what a release page shows of it."""

import json
from dataclasses import dataclass
from typing import Any

from lakegate.declarations import ModelTask
from lakegate.errors import RegistryError
from lakegate.evaluation.gate import SkippedRule
from lakegate.evaluation.judged import Flip, NearPrediction
from lakegate.evaluation.matrix import Cell, Coverage, Latency
from lakegate.gate_rules import Outcome, RuleResult, Waiver


@dataclass(frozen=True)
class StoredMatrix:
    """The numbers of ``matrix.json``, without the images and predictions that only the matrix page shows."""

    task: ModelTask
    cells: tuple[Cell, ...]
    coverage: tuple[Coverage, ...]  # the judged version first
    flips: tuple[Flip, ...]
    rules: tuple[RuleResult, ...]
    skipped: tuple[SkippedRule, ...]
    latency: Latency | None
    own_metrics: dict[str, bool | None]


def read_matrix(data: bytes, where: str = "matrix.json") -> StoredMatrix:
    """Parse what :func:`lakegate.evaluation.evidence.matrix_json` wrote.

    Raises:
        RegistryError: fields are missing or unknown: another version of Lakegate wrote it.
    """
    try:
        content = json.loads(data)
        return StoredMatrix(
            task=content["task"],
            cells=tuple(_cell(item) for item in content["cells"]),
            coverage=tuple(Coverage(**item) for item in content["coverage"]),
            flips=tuple(_flip(item) for item in content["flips"]),
            rules=tuple(_rule(item) for item in content["rules"]),
            skipped=tuple(SkippedRule(**item) for item in content["skipped"]),
            latency=_latency(content["measured"]["latency"]),
            own_metrics=dict(content["own_metrics"]),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise RegistryError(f"{where} is not a comparison of this version of Lakegate ({error}); compare again") from error


def _cell(item: dict[str, Any]) -> Cell:
    """JSON knows no tuples."""
    intervals = {
        row: {metric: {label: tuple(pair) for label, pair in by_label.items()} for metric, by_label in by_metric.items()}
        for row, by_metric in item["intervals"].items()
    }
    return Cell(**{**item, "intervals": intervals})


def _flip(item: dict[str, Any]) -> Flip:
    near = {who: None if item[who] is None else _near(item[who]) for who in ("candidate", "baseline")}
    return Flip(**{**item, "cells": tuple(item["cells"]), "box_xyxy_px": tuple(item["box_xyxy_px"]), **near})


def _near(item: dict[str, Any]) -> NearPrediction:
    return NearPrediction(**{**item, "box_xyxy_px": tuple(item["box_xyxy_px"])})


def _rule(item: dict[str, Any]) -> RuleResult:
    waiver = None if item.get("waiver") is None else Waiver(**item["waiver"])
    interval = None if item.get("interval") is None else tuple(item["interval"])
    examples = tuple(item.get("counter_examples", ()))
    changed = {"outcome": Outcome(item["outcome"]), "waiver": waiver, "interval": interval, "counter_examples": examples}
    return RuleResult(**{**item, **changed})


def _latency(item: dict[str, Any] | None) -> Latency | None:
    if item is None:
        return None
    told: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in item.items()}
    del told["p99_ratio"]
    return Latency(**told)
