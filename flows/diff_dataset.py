"""Show what changed between two versions of a dataset: samples, objects, labels, and a page with the pictures."""

from prefect import flow

from tasks import diffing


@flow(name="diff-dataset", flow_run_name="{dataset} {old} {new}", persist_result=False)
def diff_dataset(dataset: str, old: str, new: str) -> str:
    """Compare two versions; the page opens from this run's artifacts.

    Args:
        dataset: Name of a folder in datasets/, for example blood-cells.
        old: The earlier version, for example v1; a branch or a commit id will do, if its content is attested.
        new: The later version, for example v2.
    """
    shown = diffing.compare_versions(dataset, old, new)
    return diffing.show_difference(shown)
