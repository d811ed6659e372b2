"""The schema of both tables, in pandera: each rule is one check of one column, and names the rows that break it."""

import os
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, get_args

from lakegate.declarations import Task
from lakegate.quality.problems import SampleProblem
from lakegate.quality.reasons import OBJECT_REASONS, SAMPLE_REASONS, Row
from lakegate.quality.rules import BOX_TOLERANCE_PX, rules_of_shapes, rules_of_task
from lakegate.quality.tables import Tables
from lakegate.samples import Split

if TYPE_CHECKING:
    import pandas as pd

_OF_LABEL_FILE = ("image_exists", "size_matches", "split_valid", "one_label_per_image")  # what a person has to change
_SHOWN_PER_SAMPLE = 3
_FAILURES_TOLD = 20  # by pandera, which takes minutes to list a million; all rows are found by the same check afterwards

Holds = Callable[["pd.Series[Any]"], "pd.Series[bool]"]


class _Check(NamedTuple):
    """One rule: the column that it looks at, and which of its values are good."""

    rule: str
    column: str
    holds: Holds


def find_problems(tables: Tables, labels: Sequence[str], task: Task = "detection") -> list[SampleProblem]:
    """Check both tables against the schema of a task.

    Returns:
        One problem per sample and rule, samples in the table's order; several objects of one sample share a problem.
    """
    asked = (*rules_of_task(task), *rules_of_shapes(task))
    label_files = dict(zip(tables.samples["sample_id"], tables.samples["label_file"], strict=True))
    problems = []
    for rule, rows in _failures(tables.samples, _SAMPLE_TYPES, [check for check in _sample_checks() if check.rule in asked]):
        for row in _records(tables.samples, rows):
            file = row["label_file"] if rule in _OF_LABEL_FILE else row["file"]
            problems.append(SampleProblem(row["sample_id"], file, rule, SAMPLE_REASONS[rule](row)))
    checks = [check for check in _object_checks(set(label_files), labels) if check.rule in asked]
    for rule, rows in _failures(tables.annotations, _OBJECT_TYPES, checks):
        problems += _object_problems(tables.annotations, rule, rows, label_files, labels)
    return list(dict.fromkeys(problems))


def _object_problems(
    table: "pd.DataFrame", rule: str, rows: Sequence[int], label_files: dict[str, str], labels: Sequence[str]
) -> Iterable[SampleProblem]:
    by_sample: dict[str, list[int]] = {}
    sample_ids, numbers = table["sample_id"].to_numpy(), table["number"].to_numpy()
    for row in rows:
        by_sample.setdefault(sample_ids[row], []).append(row)
    shown = [row for own in by_sample.values() for row in own[:_SHOWN_PER_SAMPLE]]
    records = [record | {"labels": labels} for record in _records(table, shown)]
    words = {row: OBJECT_REASONS[rule](record) for row, record in zip(shown, records, strict=True)}
    for sample_id, own in by_sample.items():
        reasons = [words[row] for row in own[:_SHOWN_PER_SAMPLE]]
        if len(own) > _SHOWN_PER_SAMPLE:
            reasons.append(f"and {len(own) - _SHOWN_PER_SAMPLE} more")
        file = label_files.get(sample_id, sample_id)
        yield SampleProblem(sample_id, file, rule, "; ".join(reasons), tuple(int(numbers[row]) for row in own))


def _sample_checks() -> tuple[_Check, ...]:
    splits = get_args(Split)
    return (
        _Check("sample_ids_unique", "id_count", lambda count: count == 1),
        _Check("image_exists", "has_image", lambda has_image: has_image),
        _Check("image_is_whole", "broken_reason", lambda reason: reason == ""),
        _Check("size_matches", "size_fits", lambda fits: fits),
        _Check("split_valid", "split", lambda split: split.isin(splits)),
        _Check("one_label_per_image", "n_image_labels", lambda number: number == 1),
    )


def _object_checks(sample_ids: set[str], labels: Sequence[str]) -> tuple[_Check, ...]:
    return (
        _Check("annotation_has_sample", "sample_id", lambda ids: ids.isin(sample_ids)),
        _Check("annotation_ids_unique", "id_count", lambda count: count <= 1),
        _Check("label_is_declared", "label", lambda label: label.isin(labels)),
        _Check("label_of_whole_image", "is_image_level", lambda is_image_level: is_image_level),
        _Check("box_present", "has_box", lambda has_box: has_box),
        _Check("mask_present", "has_mask", lambda has_mask: has_mask),
        _Check("keypoints_present", "has_keypoints", lambda has_keypoints: has_keypoints),
        _Check("box_has_area", "shorter_side_px", lambda side_px: side_px > 0),
        _Check("box_inside_image", "outside_px", _is_tolerated),
        _Check("polygon_has_area", "polygon_flaw", lambda flaw: flaw == ""),
        _Check("polygon_inside_image", "polygon_outside_px", _is_tolerated),
        _Check("mask_fits_image", "mask_flaw", lambda flaw: flaw == ""),
        _Check("mask_not_empty", "mask_area_px", lambda area_px: area_px > 0),
        _Check("keypoints_valid", "keypoint_flaw", lambda flaw: flaw == ""),
        _Check("keypoints_inside_image", "keypoint_outside_px", _is_tolerated),
    )


def _is_tolerated(outside_px: "pd.Series[Any]") -> "pd.Series[bool]":
    return outside_px <= BOX_TOLERANCE_PX


_SAMPLE_TYPES: dict[str, type] = {
    "sample_id": str, "file": str, "label_file": str, "split": str, "width_px": int, "height_px": int, "decoded_width_px": int,
    "decoded_height_px": int, "sha256": str, "id_count": int, "has_image": bool, "broken_reason": str, "size_fits": bool,
    "image_labels": str, "n_image_labels": int,
}  # fmt: skip
_OBJECT_TYPES: dict[str, type] = {
    "sample_id": str, "number": int, "annotation_id": str, "id_count": int, "label": str, "has_box": bool, "x_px": float,
    "y_px": float, "box_width_px": float, "box_height_px": float, "image_width_px": int, "image_height_px": int,
    "is_image_level": bool, "has_mask": bool, "has_polygons": bool, "has_rle": bool, "has_keypoints": bool, "polygon_flaw": str,
    "polygon_outside_px": float, "keypoint_flaw": str, "keypoint_outside_px": float, "mask_flaw": str, "mask_area_px": int,
    "shorter_side_px": float, "outside_px": float,
}  # fmt: skip


def _failures(table: "pd.DataFrame", types: dict[str, type], checks: Sequence[_Check]) -> list[tuple[str, list[int]]]:
    """Return (rule, rows that break it) of every broken rule; a table of the wrong shape is an error of ours and is raised."""
    import numpy as np

    errors = _pandera().errors
    if table.empty:
        return []
    try:
        _schema(types, checks).validate(table, lazy=True)
    except errors.SchemaErrors as error:
        broken = set(error.failure_cases["check"])
        if not broken <= {check.rule for check in checks}:
            raise
        return [
            (check.rule, np.flatnonzero(~check.holds(table[check.column]).to_numpy(bool)).tolist())
            for check in checks
            if check.rule in broken
        ]
    return []


def _schema(types: dict[str, type], checks: Sequence[_Check]) -> Any:
    # Only column checks: a pandera check on the whole frame gives a failure for each column of a bad row.
    pa = _pandera()
    of_column: dict[str, list[Any]] = {}
    for check in checks:
        made = pa.Check(check.holds, error=check.rule, n_failure_cases=_FAILURES_TOLD, ignore_na=False)
        of_column.setdefault(check.column, []).append(made)
    nullable = ("x_px", "y_px", "box_width_px", "box_height_px")
    return pa.DataFrameSchema(
        {name: pa.Column(kind, of_column.get(name), nullable=name in nullable) for name, kind in types.items()}, strict=True
    )


def _records(table: "pd.DataFrame", rows: Sequence[int]) -> list[Row]:
    return [{str(key): value for key, value in row.items()} for row in table.iloc[list(rows)].to_dict(orient="records")]


def _pandera() -> Any:
    os.environ.setdefault("DISABLE_PANDERA_IMPORT_WARNING", "True")
    import pandera.pandas as pa  # 1.4 s

    return pa
