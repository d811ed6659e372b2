"""``lakegate model compare``: three ways to print a comparison, and the exit code that its verdict ends with."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Literal

from lakegate_cli.output import console, print_json, print_rows

if TYPE_CHECKING:
    from lakegate.evaluation.stored import StoredMatrix
    from lakegate.lifecycle.comparison import StoredComparison
    from lakegate.pages import Page

Format = Literal["text", "markdown", "json"]
EXIT_CODES = {"pass": 0, "fail": 1, "not enough data": 3}  # 2 is bad input, as for every command


def print_comparison(stored: "StoredComparison", matrix: "StoredMatrix", page: "Page", how: Format) -> None:
    """Print verdict, matrix, rules and where the page is."""
    if how == "json":
        numbers = {"cells": [asdict(cell) for cell in matrix.cells], "rules": [asdict(rule) for rule in matrix.rules]}
        print_json({**stored.model_dump(mode="json"), **numbers, "page": page.url})
        return
    if how == "markdown":
        console().print(stored.markdown, markup=False)
        console().print(f"[Open the matrix with all flips]({page.url})", markup=False)
        return
    from lakegate.evaluation.markdown import SYMBOLS
    from lakegate.gate_rules import Outcome
    from lakegate.lifecycle.shown_matrix import matrix_rows, rule_rows

    console().print(f"{SYMBOLS[Outcome(stored.verdict)]}: {stored.sentence}\n", markup=False)
    not_covered = matrix.not_covered and f"Not covered: {'; '.join(matrix.not_covered)}."
    for line in filter(None, (matrix.against, not_covered)):
        console().print(f"{line}\n", markup=False)
    print_rows(rule_rows(matrix), "no rule stands in [gate]: nothing was checked")
    console().print()
    print_rows(matrix_rows(matrix), "")
    console().print(f"\npage: {page.url}", markup=False)
