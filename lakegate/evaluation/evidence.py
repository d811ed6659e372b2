"""The matrix as JSON with exact numbers, and the digest of what an approval is bound to."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from lakegate.canonical import exact_json, sha256_bytes
from lakegate.detections import SCORE_FLOOR
from lakegate.evaluation.bootstrap import CONFIDENCE, N_OWN_REPLICATES, N_REPLICATES, SEED
from lakegate.evaluation.gate import MIN_OBJECTS, MIN_SAMPLES, Verdict
from lakegate.evaluation.matching import MATCH_IOU
from lakegate.evaluation.matrix import Matrix
from lakegate.gate_rules import RuleResult, metric_facts

FLIP_EVIDENCE = ("kind", "dataset", "sample_id", "label", "cells")
CONSTANTS = {
    "match_iou": MATCH_IOU,
    "score_floor": SCORE_FLOOR,
    "min_samples": MIN_SAMPLES,
    "min_objects": MIN_OBJECTS,
    "confidence": CONFIDENCE,
    "replicates": N_REPLICATES,
    "replicates_of_own_metrics": N_OWN_REPLICATES,
    "seed": SEED,
}
TIMELESS = ("key", "outcome", "limit", "waiver")  # of a rule on a measured cost, whose numbers differ each time


def matrix_json(matrix: Matrix, verdict: Verdict) -> bytes:
    """Return everything that the page shows, as JSON. The label ``""`` stands for all labels, null for "cannot be said".

    ``measured`` (latency, cache counters) and a sentence about latency differ from run to run; :func:`evidence_digest`
    leaves out what does.
    """
    latency = matrix.measured.latency
    content = evidence(matrix, verdict)
    content["flips"] = [asdict(flip) for flip in matrix.flips]
    content["verdict"] = {
        "outcome": verdict.outcome.value,
        "sentence": verdict.sentence,
        "against": verdict.against,
        "not_covered": list(verdict.not_covered),
    }
    content["rules"] = [_rule(result, with_numbers=True) for result in verdict.results]
    content["measured"] = asdict(matrix.measured)
    if latency is not None:
        content["measured"]["latency"]["p99_ratio"] = latency.p99_ratio
    return exact_json(content)


def evidence_digest(matrix: Matrix, verdict: Verdict) -> str:
    """Return the SHA-256 of :func:`evidence`: equal for equal inputs, on any machine with this runtime."""
    return sha256_bytes(exact_json(evidence(matrix, verdict)))


def stored_digest(data: bytes) -> str:
    """Return the digest that :func:`evidence_digest` gives for the matrix that :func:`matrix_json` wrote as ``data``.

    Raises:
        ValueError: the bytes are no such matrix.
    """
    content = json.loads(data)
    try:
        del content["measured"]
        content["verdict"] = {"outcome": content["verdict"]["outcome"]}
        content["flips"] = [[flip[name] for name in FLIP_EVIDENCE] for flip in content["flips"]]
        content["rules"] = [_without_timings(rule) for rule in content["rules"]]
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"no matrix: {error!r}") from error
    return sha256_bytes(exact_json(content))


def _without_timings(rule: dict[str, Any]) -> dict[str, Any]:
    return rule if metric_facts(rule["key"].split(".")[0]).per_cell else {name: rule[name] for name in TIMELESS}


def evidence(matrix: Matrix, verdict: Verdict) -> dict[str, Any]:
    """Return what a decision rests on: models, data, cells, flips and outcomes, without anything that time changes.

    Of a rule on latency only the outcome counts here: its milliseconds differ each time. Of a flip its scores and predicted
    boxes are left out: their last digits depend on how images were batched, so on what was in the cache. Its version is left
    out, too: a tag that is set later on an earlier commit gives the same change another name.
    """
    return {
        "candidate": asdict(matrix.candidate),
        "baseline": None if matrix.baseline is None else asdict(matrix.baseline),
        "task": matrix.task,
        "labels": list(matrix.labels),
        "runtime": matrix.runtime,
        "constants": CONSTANTS,
        "cells": [asdict(cell) for cell in matrix.cells],
        "coverage": [asdict(item) for item in matrix.coverage],
        "own_metrics": matrix.own_metrics,
        "incomparable": matrix.incomparable,
        "changes": None if matrix.changes is None else asdict(matrix.changes),
        "seed_noise": None if matrix.seed_noise is None else asdict(matrix.seed_noise),
        "flips": [[getattr(flip, name) for name in FLIP_EVIDENCE] for flip in matrix.flips],
        "verdict": {"outcome": verdict.outcome.value},
        "rules": [_rule(item, with_numbers=metric_facts(item.key.split(".")[0]).per_cell) for item in verdict.results],
        "skipped": [asdict(item) for item in verdict.skipped],
    }


def _rule(result: RuleResult, with_numbers: bool) -> Mapping[str, Any]:
    content: dict[str, Any] = {**asdict(result), "outcome": result.outcome.value}
    return content if with_numbers else {name: content[name] for name in TIMELESS}
