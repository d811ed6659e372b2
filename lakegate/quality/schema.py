"""The schema of both tables, in pandera, and what to say about each row that breaks it."""

import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, get_args

from lakegate.errors import nearest
from lakegate.quality.problems import SampleProblem
from lakegate.quality.rules import BOX_TOLERANCE_PX
from lakegate.quality.tables import Tables
from lakegate.samples import Split

if TYPE_CHECKING:
    import pandas as pd

SAMPLE_RULES = ("sample_ids_unique", "image_exists", "image_is_whole", "size_matches", "split_valid")
BOX_RULES = (
    "annotation_has_sample", "annotation_ids_unique", "label_is_declared", "box_present", "box_has_area", "box_inside_image",
)  # fmt: skip
_OF_LABEL_FILE = ("image_exists", "size_matches", "split_valid")  # the label file is what a person has to change
_SHOWN_PER_SAMPLE = 3
Row = dict[str, Any]


def find_problems(tables: Tables, labels: Sequence[str]) -> list[SampleProblem]:
    """Check both tables against the schema.

    Returns:
        One problem per sample and rule, samples in the table's order; several boxes of one sample share a problem.
    """
    label_files = dict(zip(tables.samples["sample_id"], tables.samples["label_file"], strict=True))
    problems = []
    for rule, row in _failures(tables.samples, _samples_schema(), SAMPLE_RULES):
        file = row["label_file"] if rule in _OF_LABEL_FILE else row["file"]
        problems.append(SampleProblem(row["sample_id"], file, rule, _SAMPLE_REASONS[rule](row)))
    by_sample: dict[tuple[str, str], list[Row]] = {}
    for rule, row in _failures(tables.annotations, _annotations_schema(set(label_files), labels), BOX_RULES):
        by_sample.setdefault((row["sample_id"], rule), []).append(row | {"labels": labels})
    for (sample_id, rule), rows in by_sample.items():
        reasons = [_BOX_REASONS[rule](row) for row in rows[:_SHOWN_PER_SAMPLE]]
        if len(rows) > _SHOWN_PER_SAMPLE:
            reasons.append(f"and {len(rows) - _SHOWN_PER_SAMPLE} more")
        numbers = tuple(int(row["number"]) for row in rows)
        problems.append(SampleProblem(sample_id, label_files.get(sample_id, sample_id), rule, "; ".join(reasons), numbers))
    return list(dict.fromkeys(problems))


def _samples_schema() -> Any:
    pa = _pandera()
    return pa.DataFrameSchema(
        {
            "sample_id": pa.Column(str),
            "file": pa.Column(str),
            "label_file": pa.Column(str),
            "split": pa.Column(str, pa.Check.isin(get_args(Split), error="split_valid")),
            "width_px": pa.Column(int),
            "height_px": pa.Column(int),
            "decoded_width_px": pa.Column(int),
            "decoded_height_px": pa.Column(int),
            "sha256": pa.Column(str),
            "id_count": pa.Column(int, pa.Check.eq(1, error="sample_ids_unique")),
            "has_image": pa.Column(bool, pa.Check.eq(True, error="image_exists")),
            "broken_reason": pa.Column(str, pa.Check.eq("", error="image_is_whole")),
            "size_fits": pa.Column(bool, pa.Check.eq(True, error="size_matches")),
        },
        strict=True,
    )


def _annotations_schema(sample_ids: set[str], labels: Sequence[str]) -> Any:
    # Only column checks: a pandera check on the whole frame gives a failure for each column of a bad row.
    pa = _pandera()
    return pa.DataFrameSchema(
        {
            "sample_id": pa.Column(str, pa.Check(lambda ids: ids.isin(sample_ids), error="annotation_has_sample")),
            "number": pa.Column(int),
            "annotation_id": pa.Column(str),
            "id_count": pa.Column(int, pa.Check.le(1, error="annotation_ids_unique")),
            "label": pa.Column(str, pa.Check.isin(labels, error="label_is_declared")),
            "has_box": pa.Column(bool, pa.Check.eq(True, error="box_present")),
            **{name: pa.Column(float, nullable=True) for name in ("x_px", "y_px", "box_width_px", "box_height_px")},
            "image_width_px": pa.Column(int),
            "image_height_px": pa.Column(int),
            "shorter_side_px": pa.Column(float, pa.Check.gt(0, error="box_has_area")),
            "outside_px": pa.Column(float, pa.Check.le(BOX_TOLERANCE_PX, error="box_inside_image")),
        },
        strict=True,
    )


def _failures(table: "pd.DataFrame", schema: Any, rules: Sequence[str]) -> list[tuple[str, Row]]:
    """Return (rule, row) for every row that breaks a rule; a table of the wrong shape is an error of ours and is raised."""
    errors = _pandera().errors
    if table.empty:
        return []
    try:
        schema.validate(table, lazy=True)
    except errors.SchemaErrors as error:
        cases = error.failure_cases
        if not set(cases["check"]) <= set(rules):
            raise
        order = {rule: position for position, rule in enumerate(rules)}
        found = sorted({(order[rule], int(index)) for rule, index in zip(cases["check"], cases["index"], strict=True)})
        rows = table.loc[sorted({index for _, index in found})].to_dict(orient="index")
        return [(rules[position], {str(key): value for key, value in rows[index].items()}) for position, index in found]
    return []


def _pandera() -> Any:
    os.environ.setdefault("DISABLE_PANDERA_IMPORT_WARNING", "True")
    import pandera.pandas as pa  # 1.4 s

    return pa


def _box(row: Row) -> str:
    return f"box {row['number']} '{row['label']}'"


def _corners(row: Row) -> str:
    x, y, width, height = (row[name] for name in ("x_px", "y_px", "box_width_px", "box_height_px"))
    return f"x {x:g} to {x + width:g} px, y {y:g} to {y + height:g} px"


_SAMPLE_REASONS: dict[str, Callable[[Row], str]] = {
    "sample_ids_unique": lambda row: (
        f"the id stands {row['id_count']} times; every image needs its own name without the suffix"
    ),
    "image_exists": lambda _: "no image file belongs to these labels; deliver it, or take the labels out",
    "image_is_whole": lambda row: str(row["broken_reason"]),
    "size_matches": lambda row: (
        f"the labels say {row['width_px']} x {row['height_px']} px, the image has "
        f"{row['decoded_width_px']} x {row['decoded_height_px']} px; label the image as it is stored"
    ),
    "split_valid": lambda row: f"split '{row['split']}' is none of train, val, test{nearest(row['split'], get_args(Split))}",
}
_BOX_REASONS: dict[str, Callable[[Row], str]] = {
    "annotation_has_sample": lambda row: f"{_box(row)} belongs to a sample that is not in this version",
    "annotation_ids_unique": lambda row: (
        f"{_box(row)} shares its id '{row['annotation_id']}' with {row['id_count'] - 1} other(s)"
    ),
    "label_is_declared": lambda row: (
        f"{_box(row)}: label '{row['label']}' is not declared{nearest(row['label'], row['labels'])}"
    ),
    "box_present": lambda row: f"object {row['number']} '{row['label']}' has no box",
    "box_has_area": lambda row: (
        f"{_box(row)} has no area: width {row['box_width_px']:g} px, height {row['box_height_px']:g} px"
    ),
    "box_inside_image": lambda row: (
        f"{_box(row)} reaches {row['outside_px']:g} px outside: {_corners(row)}, "
        f"the image has {row['image_width_px']} x {row['image_height_px']} px"
    ),
}
