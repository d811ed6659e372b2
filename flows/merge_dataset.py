"""Merge a branch of a dataset into another one; where both changed one sample, its objects are merged."""

from prefect import flow

from tasks import merging


@flow(name="merge-dataset", flow_run_name="{dataset}: {source} into {into}", persist_result=False)
def merge_dataset(
    dataset: str, source: str, into: str = "main", resolve: tuple[str, ...] = (), requested_by: str = ""
) -> str:
    """Bring two branches together. Where they do not go together, both sides are listed and nothing is merged.

    Args:
        dataset: Name of a folder in datasets/, for example blood-cells.
        source: The branch in lakeFS whose changes are merged ("theirs").
        into: The branch that gets them ("ours"). For main, the result waits on a branch of its own: publish that one as a ref.
        resolve: For what both sides changed differently: sample=ours or sample=theirs; a bare word decides all others.
        requested_by: Your name; empty means the name that the worker runs under.
    """
    merge = merging.open_merge(dataset, source, into, resolve, requested_by)
    merging.plan_merge(merge)
    merging.write_merge(merge)
    merging.check_result(merge)
    merging.finish_merge(merge)
    return merging.show_merge(merge)
