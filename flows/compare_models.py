"""Judge a candidate against a baseline: the regression matrix and the verdict of the gate."""

from prefect import flow

from flows.predict_shard import predict_shard
from lakegate.declarations import Precision
from tasks import comparing, sharding


@flow(name="compare-models", flow_run_name="{model} {candidate}", persist_result=False)
def compare_models(
    model: str,
    candidate: str,
    baseline: str = "production",
    versions: list[str] = [],  # noqa: B006 - Prefect shows the default in its form
    precision: Precision = "fp32",
) -> str:
    """Compare on old data, on the diff and on every slice; the page opens from this run's artifacts.

    Args:
        model: Name of a folder in models/, for example blood-cells.
        candidate: Id of the run to judge.
        baseline: Id of the run that it must not be worse than; production, or none.
        versions: Dataset versions to judge on, as dataset@tag; a dataset that is not named is taken at its newest attested tag.
        precision: Of the candidate: fp32 is what is served; fp16 or int8 shows what an engine would change. Detectors only.
    """
    comparison = comparing.plan_comparison(model, candidate, baseline, versions, precision)
    sharding.predict_in_shards(predict_shard, comparison)
    comparing.judge(comparison)
    return comparing.show_verdict(comparison)
