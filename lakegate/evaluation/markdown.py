"""The matrix as Markdown: for a Prefect artifact and a pull request.

Bars are made of block characters: a code host shows no picture that is inside a text.
"""

from collections.abc import Sequence

from lakegate.evaluation.gate import Verdict
from lakegate.evaluation.matrix import Cell, Matrix
from lakegate.evaluation.tables import (
    NO_VALUE,
    NOT_JUDGED,
    Entry,
    cell_words,
    error_metrics,
    flip_rows,
    image_words,
    metric_rows,
    shown_cells,
)
from lakegate.gate_rules import Outcome, RuleResult
from lakegate.task_types.registry import task_type

SYMBOLS = {Outcome.PASS: "✓ PASS", Outcome.FAIL: "✗ FAIL", Outcome.NOT_ENOUGH_DATA: "? NOT ENOUGH DATA"}
BAR_LENGTH = 8
_ORDER = (Outcome.FAIL, Outcome.NOT_ENOUGH_DATA, Outcome.PASS)


def matrix_markdown(matrix: Matrix, verdict: Verdict) -> str:
    """Return the verdict, the rules and the matrix; the numbers are those of the page."""
    results = sorted(verdict.results, key=lambda item: _ORDER.index(item.outcome))
    lines = [f"**{SYMBOLS[verdict.outcome]}** {_escape(verdict.sentence)}", ""]
    lines += [_escape(verdict.against), ""] if verdict.against else []
    lines += [f"Not covered: {_escape('; '.join(verdict.not_covered))}.", ""] if verdict.not_covered else []
    lines += [f"Worse beyond chance, with no rule on it: {_escape('; '.join(verdict.worse))}.", ""] if verdict.worse else []
    lines += [line for item in results if item.waiver for line in (f"⚠ **Waived** {_waiver(item)}", "")]
    lines += [*_table(["verdict", "rule", "what was found"], _rule_lines(results, verdict)), ""]
    shown = shown_cells(matrix.cells)
    for cells in ([cell for cell in shown if cell.kind != "label"], [cell for cell in shown if cell.kind == "label"]):
        if cells:
            lines += [*_table(["", *(_head(matrix, cell) for cell in cells)], _matrix_lines(matrix, cells)), ""]
    if any(NOT_JUDGED in line for line in lines):
        words = "the difference has no interval, so it cannot be said whether it is more than chance"
        lines += [f"{NOT_JUDGED.capitalize()}: {words}.", ""]
    lines.append(_compared(matrix))
    return "\n".join(lines) + "\n"


def bar(share: float, length: int = BAR_LENGTH) -> str:
    """Return a bar of block characters.

    >>> bar(0.5, 4)
    '██░░'
    """
    full = round(share * length)
    return "█" * full + "░" * (length - full)


def _head(matrix: Matrix, cell: Cell) -> str:
    unit = task_type(matrix.task).unit
    images = f"{cell_words(cell)}<br>{image_words(cell, unit)}"
    return images if unit == "image" else f"{images}, {cell.n_objects['']} {unit}s"


def _matrix_lines(matrix: Matrix, cells: Sequence[Cell]) -> list[list[str]]:
    """Return the lines of these columns; where each is known to one model only, there is no difference between them."""
    lines, is_compared = [], matrix.baseline is not None
    for row in (*metric_rows(cells, own=matrix.own_metrics), *metric_rows(cells, metrics=error_metrics(cells))):
        now = [_with(_value(item.candidate, item.candidate_share), item.candidate_interval) for item in row.entries]
        lines.append([f"{row.name}, candidate", *now])
        if is_compared:
            lines.append([f"{row.name}, baseline", *(_baseline(item) for item in row.entries)])
        if is_compared and cells[0].kind != "label":
            lines.append([f"{row.name}, difference", *(_difference(item) for item in row.entries)])
    return lines + [[row.name, *row.entries] for row in (flip_rows(cells) if cells[0].kind != "label" else ())]


def _baseline(item: Entry) -> str:
    return _with(_value(item.baseline, item.baseline_share), item.baseline_interval)


def _value(text: str, share: float) -> str:
    return text if text == NO_VALUE else f"{text} {bar(share)}"


def _difference(item: Entry) -> str:
    return _with(f"{item.difference} {item.change_words}".strip(), item.difference_interval)


def _with(text: str, interval: str) -> str:
    return f"{text}<br>{interval}" if interval else text


def _rule_lines(results: Sequence[RuleResult], verdict: Verdict) -> list[list[str]]:
    judged = [[_outcome(item), f"`{item.key} = {item.limit}`", _found(item)] for item in results]
    return judged + [["skipped", f"`{item.key}`", item.sentence] for item in verdict.skipped]


def _outcome(item: RuleResult) -> str:
    return SYMBOLS[item.outcome] + (" ⚠ waived" if item.waiver else "")


def _found(item: RuleResult) -> str:
    words = [item.sentence]
    if item.remedy:
        words.append(f"**What would help:** {item.remedy}")
    if item.counter_examples and item.outcome is not Outcome.PASS:
        words.append(f"**Look at:** {', '.join(item.counter_examples)}")
    return "<br>".join(words)


def _waiver(item: RuleResult) -> str:
    assert item.waiver is not None
    waiver = item.waiver
    return _escape(f"`{item.key}` by {waiver.owner}, up to and including {waiver.expires}: {waiver.reason}")


def _compared(matrix: Matrix) -> str:
    baseline = "none" if matrix.baseline is None else f"run {matrix.baseline.run_id} ({matrix.baseline.model_sha256[:12]})"
    main = matrix.coverage[0]
    return (
        f"Candidate: run {matrix.candidate.run_id} ({matrix.candidate.model_sha256[:12]}). Baseline: {baseline}. "
        f"Judged on {main.n_judged} of {main.n_test} test images of {main.reference}."
    )


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [head, ["---"] * len(head), *rows]
    return [f"| {' | '.join(_escape(item) for item in line)} |" for line in lines]


def _escape(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
