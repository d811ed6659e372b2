"""What a reader of the page, the Markdown and the tables is told: own metrics, labels of one model, passing rules, the top."""

import json
import re
from pathlib import Path

import pytest

from lakegate.evaluation.evidence import matrix_json
from lakegate.evaluation.gate import Verdict
from lakegate.evaluation.markdown import matrix_markdown
from lakegate.evaluation.matrix import Matrix
from lakegate.evaluation.report import render_matrix_html
from lakegate.evaluation.stored import read_matrix
from lakegate.evaluation.tables import error_metrics, metric_rows, plain_rows
from lakegate.gate_rules import Outcome
from lakegate.lifecycle.shown_matrix import matrix_rows
from tests.evaluation.full_page import full_page
from tests.evaluation.planted import World
from tests.evaluation.test_report import _Page, embedded


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> tuple[Matrix, Verdict]:
    return full_page(World(tmp_path_factory.mktemp("full"), []))


def test_a_difference_without_an_interval_is_called_neither_better_nor_worse(compared: tuple[Matrix, Verdict]) -> None:
    matrix, verdict = compared
    rows = metric_rows(matrix.cells, metrics=error_metrics(matrix.cells))
    changed = [entry for row in rows for entry in row.entries if entry.change in ("better", "worse")]
    assert changed and {entry.change_words for entry in changed} == {"not judged"}
    html = render_matrix_html(matrix, verdict)
    assert f'<td class="number change unsure">{changed[0].difference} <small>not judged</small></td>' in html
    assert "Not judged: there is no interval." in html and "<dt>not judged</dt>" in html
    told = [text for row in plain_rows(matrix.cells, matrix.own_metrics) for text in row.values()]
    assert f"{changed[0].difference} not judged" in told
    assert f"| {changed[0].difference} not judged |" in matrix_markdown(matrix, verdict)


def test_an_own_metric_is_better_or_worse_where_its_direction_is_said(compared: tuple[Matrix, Verdict]) -> None:
    matrix, verdict = compared
    told = {row.metric: row for row in metric_rows(matrix.cells, own=matrix.own_metrics)}
    change = {name: told[name].entries[0].change_words for name in matrix.own_metrics}
    assert change == {"worst_label_recall": "worse?", "shown_per_sample": "better?", "mean_score": ""}  # all three fell
    assert [told[name].entries[0].difference[0] for name in matrix.own_metrics] == ["−", "−", "−"]
    assert told["shown_per_sample"].hint == "a metric of your own; lower is better"
    stored = read_matrix(matrix_json(matrix, verdict))
    assert plain_rows(stored.cells, stored.own_metrics) == plain_rows(matrix.cells, matrix.own_metrics)
    shown = {(row["metric"], row["of"]): row["all test samples (39 images)"] for row in matrix_rows(stored)}
    assert shown["shown per sample", "difference"].startswith("−0.026 better? (")
    text = matrix_markdown(matrix, verdict)
    assert "| worst label recall, difference | −0.051 worse?<br>" in text and "| mean score, difference | −0.013<br>" in text
    sentences = {item.key.split(".")[0]: item.sentence for item in verdict.results}
    assert sentences["shown_per_sample"].endswith(" Shown per sample: lower is better.")
    assert sentences["mean_score"].endswith(" Mean score: [metrics] does not say which direction is better.")


def test_labels_of_one_model_have_rows_with_intervals_and_those_without_images_one_line(
    compared: tuple[Matrix, Verdict],
) -> None:
    matrix, verdict = compared
    html = render_matrix_html(matrix, verdict)
    text = " ".join(_Page(html).text.split())
    assert "No test images for: granule, smear of the old scanner." in text
    assert re.search(r"clot\s*candidate only\s*9\s*0\.881 0\.\d+ to 1\.000", text)
    assert "label:granule" not in html and "label granule" not in html
    markdown = matrix_markdown(matrix, verdict)
    assert "label clot, known to the candidate only" in markdown and "label granule" not in markdown
    assert "Not covered: " in markdown and "labels without test images: granule, smear of the old scanner" in markdown
    assert list(plain_rows(matrix.cells)[0])[-2:] == ["superseded", "label:clot"]


def test_the_gallery_calls_columns_by_their_words(compared: tuple[Matrix, Verdict]) -> None:
    table = embedded(render_matrix_html(*compared))[0]
    assert table["cells"][:6] == [
        "all test samples", "old data", "the diff", "slice night", "slice crowded", "dataset night-drives",
    ]  # fmt: skip
    assert not [name for name in table["cells"] if "_" in name or ":" in name]


def test_counter_examples_are_to_be_looked_at_where_a_rule_does_not_hold(compared: tuple[Matrix, Verdict]) -> None:
    matrix, verdict = compared
    text = _Page(render_matrix_html(matrix, verdict)).text
    with_examples = [item.outcome for item in verdict.results if item.counter_examples]
    n_holding = with_examples.count(Outcome.PASS)
    assert n_holding == text.count("It holds. Closest to failing on:") > 0
    assert len(with_examples) - n_holding == text.count("Look at:") == matrix_markdown(matrix, verdict).count("Look at:") > 0


def test_the_top_says_what_failed_by_how_much_and_what_would_help(compared: tuple[Matrix, Verdict]) -> None:
    matrix, verdict = compared
    assert verdict.sentence.startswith(
        "counter run 20260607-090000-ab12cd must not replace run 20260501-120000-ef34ab. 1 of 10 rules is broken. "
        "On label clot, recall is 0.889 (95 % interval 0.333 to 1.000); at least 0.990 is required. "
        "To hold, recall must rise by 0.101 or more;"
    )
    assert "Besides, 3 rules cannot be decided on so little data." in verdict.sentence
    text = " ".join(_Page(render_matrix_html(matrix, verdict)).text.split())
    assert "Would replace run 20260501-120000-ef34ab, the baseline, made from planted@v1, score threshold 0.35" in text
    assert "Judged on 39 of 40 test images of planted@v2, 5 of 6 of night-drives@v3" in text
    assert "Not covered by this answer: 1 of 40 test images of planted@v2, since a model trained on it or on the like" in text


@pytest.mark.parametrize(
    ("rules", "outcome", "says"),
    [
        ({"recall.all.min": 0.99, "recall.old_data.min": 0.99}, "fail", "Also broken: recall on old data."),
        ({"map50.diff.max_drop": 0.2, "recall.night.max_drop": 0.2}, "not enough data",
         "Also undecided: recall on slice night."),
        ({"recall.all.min": 0.5, "recall.night.min": 0.99}, "pass",
         "recall.night.min is broken and waived by grace until 2027-06-30: the camera is replaced. Not covered: 1 of 40 test"),
    ],
)  # fmt: skip
def test_the_top_names_every_rule_that_decided(tmp_path: Path, rules: dict[str, float], outcome: str, says: str) -> None:
    _, verdict = full_page(World(tmp_path, []), rules)
    assert (verdict.outcome.value, says in verdict.sentence) == (outcome, True), verdict.sentence


def test_the_words_are_explained_once_and_only_those_of_the_task(compared: tuple[Matrix, Verdict]) -> None:
    html = render_matrix_html(*compared)
    assert html.count('<details class="words"') == 1
    words = re.findall(r"<dt[^>]*>(.*?)</dt>", html)
    assert {"old data", "the diff", "superseded", "flip", "limit of a fall or rise", "mAP50", "mAP50-95"} <= set(words)
    assert "mean IoU" not in words and "macro F1" not in words


def test_the_evidence_keeps_the_directions(compared: tuple[Matrix, Verdict]) -> None:
    content = json.loads(matrix_json(*compared))
    assert content["own_metrics"] == {"worst_label_recall": True, "shown_per_sample": False, "mean_score": None}
