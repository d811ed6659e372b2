"""How a candidate is judged: planned, evaluated, shown."""

from prefect import get_run_logger

from lakegate.declarations import Precision
from lakegate.lake.client import LakeClient
from lakegate.lifecycle import comparison
from lakegate.lifecycle.comparison import ComparisonPlan
from lakegate.lifecycle.shown_matrix import matrix_rows, rule_rows, stored_matrix
from tasks.artifacts import artifact_key, show_link, show_table, show_text
from tasks.running import settings_for, step


@step
def plan_comparison(
    model: str, candidate: str, baseline: str, versions: list[str], precision: Precision
) -> ComparisonPlan:
    """Pin the two runs and the data that they are judged on."""
    settings = settings_for("")
    return comparison.plan_comparison(LakeClient(settings), settings, model, candidate, baseline, versions, precision)


@step
def judge(plan: ComparisonPlan) -> None:
    """Evaluate what is not cached, apply the gate, keep the evidence."""
    settings = settings_for("")
    comparison.judge(LakeClient(settings), settings, plan, get_run_logger().info)


@step
def show_verdict(plan: ComparisonPlan) -> str:
    """Leave the matrix on the run; return the verdict's sentence."""
    settings = settings_for("")
    client = LakeClient(settings)
    stored = comparison.require_comparison(client, plan)
    page = comparison.save_page(client, settings, plan)
    key = artifact_key("matrix", plan.model)
    show_link(key, page.url, f"Regression matrix of {plan.model}: {stored.verdict}")
    show_text(f"{key}-summary", stored.markdown)
    matrix = stored_matrix(client, plan.key)
    show_table(f"{key}-table", matrix_rows(matrix), stored.sentence)
    show_table(f"{key}-rules", rule_rows(matrix), "The rules of the gate")
    return stored.sentence
