"""`lakegate model compare` prints the same numbers for a person, a pull request and a machine."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from lakegate.evaluation.evidence import evidence_digest, matrix_json
from lakegate.evaluation.markdown import matrix_markdown
from lakegate.evaluation.stored import StoredMatrix, read_matrix
from lakegate.gate_rules import Waiver
from lakegate.lifecycle.comparison import StoredComparison
from lakegate.lifecycle.shown_matrix import matrix_rows, rule_rows
from lakegate.pages import Page
from lakegate.registry.documents import RunReference
from lakegate_cli.matrix_output import EXIT_CODES, Format, print_comparison
from tests.evaluation.planted import World
from tests.evaluation.test_report import judged

PAGE = Page(Path("/reports/matrix.html"), "file:///reports/matrix.html")


@pytest.fixture
def kept(tmp_path: Path) -> tuple[StoredComparison, StoredMatrix]:
    matrix, verdict = judged(World(tmp_path, []))
    run = RunReference(run_id="new", commit="c" * 40, model_sha256=matrix.candidate.model_sha256)
    stored = StoredComparison(
        key="k" * 64,
        model="counter",
        candidate=run,
        baseline=None,
        verdict=verdict.outcome.value,
        sentence=verdict.sentence,
        evidence_digest=evidence_digest(matrix, verdict),
        markdown=matrix_markdown(matrix, verdict),
    )
    return stored, read_matrix(matrix_json(matrix, verdict))


def printed(kept: tuple[StoredComparison, StoredMatrix], how: Format, capsys: pytest.CaptureFixture[str]) -> str:
    print_comparison(*kept, PAGE, how)
    return capsys.readouterr().out


def test_a_person_reads_the_verdict_the_rules_and_the_matrix(
    kept: tuple[StoredComparison, StoredMatrix], capsys: pytest.CaptureFixture[str]
) -> None:
    text = printed(kept, "text", capsys)
    assert text.startswith("✗ FAIL: counter run new must not replace run old.")
    assert "recall.all.min = 0.9" in text and "the diff (6 images)" in text and "−0.500 not judged" in text
    assert "Against run old on all test samples: " in text and "\nNot covered: " in text
    assert text.rstrip().endswith(PAGE.url)


def test_a_pull_request_gets_the_kept_markdown_and_a_link(
    kept: tuple[StoredComparison, StoredMatrix], capsys: pytest.CaptureFixture[str]
) -> None:
    text = printed(kept, "markdown", capsys)
    assert text.startswith(kept[0].markdown) and f"]({PAGE.url})" in text


def test_a_machine_gets_cells_and_rules(
    kept: tuple[StoredComparison, StoredMatrix], capsys: pytest.CaptureFixture[str]
) -> None:
    content = json.loads(printed(kept, "json", capsys))
    assert (content["verdict"], content["page"]) == ("fail", PAGE.url)
    assert [cell["name"] for cell in content["cells"]] == ["all", "old_data", "diff"]
    assert content["rules"][0]["outcome"] == "fail" and content["cells"][0]["candidate"]["recall"][""] == 0.5


def test_each_verdict_has_an_exit_code_of_its_own() -> None:
    assert EXIT_CODES == {"pass": 0, "fail": 1, "not enough data": 3}


def test_a_prefect_table_has_the_columns_of_the_page_and_names_waived_rules(
    kept: tuple[StoredComparison, StoredMatrix],
) -> None:
    matrix = kept[1]
    names = ["metric", "of", "all test samples (12 images)", "old data (6 images)", "the diff (6 images)"]
    assert all(list(row) == names for row in matrix_rows(matrix))
    waived = replace(matrix.rules[0], waiver=Waiver("the camera is replaced", "grace", "2027-06-30"), remedy="label more.")
    row = rule_rows(replace(matrix, rules=(waived,)))[0]
    assert row["verdict"] == "✗ FAIL, WAIVED"
    assert row["what was found"].endswith(
        "What would help: label more. Waived by grace until 2027-06-30: the camera is replaced"
    )
