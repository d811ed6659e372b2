"""One line per rule: how many were checked, how many failed, and the first ten of them."""

from collections.abc import Sequence

from lakegate.declarations import DatasetDeclaration, Task
from lakegate.quality.image_metrics import MeasuredImages
from lakegate.quality.leaks import LEAK_RULES
from lakegate.quality.problems import SampleProblem
from lakegate.quality.rules import OBJECT_RULES, RULES, Limit, RuleLine, rules_of_shapes, rules_of_task
from lakegate.quality.tables import Tables
from lakegate.quality.whole_set import FIRST_IDS

_AFTER_IMPORT_WORDS = "Found while the export was read."


def import_lines(problems: Sequence[SampleProblem], n_imported: int) -> list[RuleLine]:
    """Return the lines of rules that only the reader of the export knows."""
    names = dict.fromkeys(problem.rule for problem in problems if problem.rule not in RULES)
    return [_line(name, _AFTER_IMPORT_WORDS, n_imported + len(problems), problems) for name in names]


def schema_lines(tables: Tables, measured: MeasuredImages, found: Sequence[SampleProblem], task: Task) -> list[RuleLine]:
    """Return the lines of the task's rules, and of the rules about further shapes that occur."""
    checked = _checked(tables, measured)
    asked = [*rules_of_task(task), *(rule for rule in rules_of_shapes(task) if checked[rule])]
    return [
        _line(rule, RULES[rule], checked[rule], found, unit="objects" if rule in OBJECT_RULES else "samples")
        for rule in RULES
        if rule in asked
    ]


def leak_lines(
    measured: MeasuredImages, found: Sequence[SampleProblem], declaration: DatasetDeclaration, earlier_versions: Sequence[str]
) -> list[RuleLine]:
    """Return the lines about leaks; that on earlier test splits stands only where there is an earlier version."""
    bits = declaration.quality.near_duplicate_bits
    limit = f"at most {bits} of 64 bits differ" if bits >= 0 else "only equal bytes"
    limits = {"no_near_leak_between_splits": limit, "not_in_earlier_test": limit}
    left_out = set() if bits >= 0 else {"no_near_leak_between_splits"}
    left_out |= set() if earlier_versions else {"not_in_earlier_test"}
    asked = [rule for rule in LEAK_RULES if rule not in left_out]
    return [_line(rule, RULES[rule], len(measured.metrics), found, limit=limits.get(rule, "")) for rule in asked]


def limit_line(limit: Limit, checked: int, found: Sequence[SampleProblem]) -> RuleLine:
    """Return the line of one limit of ``[quality]`` on single images."""
    return _line(limit.rule, limit.words, checked, found, limit=limit.text)


def _checked(tables: Tables, measured: MeasuredImages) -> dict[str, int]:
    """Return on how many samples or objects each rule could be checked."""
    n_samples, n_whole, objects = len(tables.samples), len(measured.metrics), tables.annotations
    with_box, with_polygons = int(objects["has_box"].sum()), int(objects["has_polygons"].sum())
    with_mask, with_points = int(objects["has_rle"].sum()), int(objects["has_keypoints"].sum())
    n_of = {
        "image_is_whole": n_whole + len(measured.broken), "size_matches": n_whole,
        "box_has_area": with_box, "box_inside_image": with_box,
        "polygon_has_area": with_polygons, "polygon_inside_image": with_polygons,
        "mask_fits_image": with_mask, "mask_not_empty": with_mask,
        "keypoints_valid": with_points, "keypoints_inside_image": with_points,
    }  # fmt: skip
    return {rule: n_of.get(rule, len(objects) if rule in OBJECT_RULES else n_samples) for rule in RULES}


def _line(
    rule: str, words: str, checked: int, found: Sequence[SampleProblem], limit: str = "", unit: str = "samples"
) -> RuleLine:
    own = [problem for problem in found if problem.rule == rule]
    failed = sum(len(problem.boxes) or 1 for problem in own) if unit == "objects" else len(own)
    ids = sorted({problem.sample_id for problem in own})
    return RuleLine(rule, words, max(checked, failed), failed, tuple(ids[:FIRST_IDS]), limit=limit, unit=unit)
