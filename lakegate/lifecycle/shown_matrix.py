"""The numbers of a kept comparison, as the command line and the Prefect run show them."""

from typing import Any

from lakegate.evaluation.markdown import SYMBOLS
from lakegate.evaluation.stored import StoredMatrix, read_matrix
from lakegate.evaluation.tables import cell_words, count_words, plain_rows
from lakegate.gate_rules import RuleResult
from lakegate.lake.client import LakeClient
from lakegate.registry.store import EVIDENCE, REPOSITORY
from lakegate.task_types.registry import task_type


def stored_matrix(client: LakeClient, key: str) -> StoredMatrix:
    """Return the matrix of the comparison with this key.

    Raises:
        VersionNotFound: it is not in the evidence.
        RegistryError: another version of Lakegate wrote it.
    """
    path = f"comparisons/{key}/matrix.json"
    return read_matrix(client.read(REPOSITORY, EVIDENCE, path), path)


def matrix_rows(matrix: StoredMatrix) -> list[dict[str, str]]:
    """Return one dict per row of the matrix, the columns named as on the page."""
    unit = task_type(matrix.task).unit
    words = {cell.name: f"{cell_words(cell)} ({count_words(cell, unit)} images)" for cell in matrix.cells}
    return [{words.get(name, name): text for name, text in row.items()} for row in plain_rows(matrix.cells, matrix.own_metrics)]


def rule_rows(matrix: StoredMatrix) -> list[dict[str, Any]]:
    """Return one dict per rule: its verdict, the line in model.toml, what was found and what would help."""
    rows = [
        {"verdict": _verdict(rule), "rule": f"{rule.key} = {rule.limit}", "what was found": _found(rule)}
        for rule in matrix.rules
    ]
    return rows + [{"verdict": "skipped", "rule": item.key, "what was found": item.sentence} for item in matrix.skipped]


def _verdict(rule: RuleResult) -> str:
    return SYMBOLS[rule.outcome] + ("" if rule.waiver is None else ", WAIVED")


def _found(rule: RuleResult) -> str:
    waived = rule.waiver
    words = [rule.sentence, rule.remedy and f"What would help: {rule.remedy}"]
    words.append("" if waived is None else f"Waived by {waived.owner} until {waived.expires}: {waived.reason}")
    return " ".join(word for word in words if word)
