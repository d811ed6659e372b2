"""The matrix as Markdown: for a Prefect artifact and a pull request."""

from collections.abc import Sequence

from lakegate.evaluation.gate import Verdict
from lakegate.evaluation.matrix import Matrix
from lakegate.evaluation.tables import flip_rows, metric_rows
from lakegate.gate_rules import Outcome

SYMBOLS = {Outcome.PASS: "✓ PASS", Outcome.FAIL: "✗ FAIL", Outcome.NOT_ENOUGH_DATA: "… NOT ENOUGH DATA"}


def matrix_markdown(matrix: Matrix, verdict: Verdict) -> str:
    """Return the verdict, the matrix and the rules; the numbers are those of the page."""
    lines = [f"**{SYMBOLS[verdict.outcome]}** {_escape(verdict.sentence)}", ""]
    columns = [f"{cell.name}<br>{cell.n_samples} images, {cell.n_objects['']} objects" for cell in matrix.cells]
    lines += _table(["", *columns], _matrix_lines(matrix))
    lines += ["", *_table(["verdict", "rule", "what was found"], _rule_lines(verdict))]
    return "\n".join(lines) + "\n"


def _matrix_lines(matrix: Matrix) -> list[list[str]]:
    lines = []
    for row in metric_rows(matrix.cells):
        lines.append([f"{row.name}, candidate", *(entry.candidate for entry in row.entries)])
        if matrix.baseline is not None:
            lines.append([f"{row.name}, baseline", *(entry.baseline for entry in row.entries)])
            lines.append([f"{row.name}, difference", *(f"{entry.difference} {entry.change}".strip() for entry in row.entries)])
    return lines + [[row.name, *row.entries] for row in flip_rows(matrix.cells)]


def _rule_lines(verdict: Verdict) -> list[list[str]]:
    judged = [[SYMBOLS[item.outcome], f"`{item.key}`", item.sentence] for item in verdict.results]
    return judged + [["skipped", f"`{item.key}`", item.sentence] for item in verdict.skipped]


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [head, ["---"] * len(head), *rows]
    return [f"| {' | '.join(_escape(item) for item in line)} |" for line in lines]


def _escape(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
