"""How two branches are merged: the steps of :mod:`lakegate.lifecycle.merging`, as tasks."""

from collections.abc import Sequence

from prefect import get_run_logger

from lakegate.lake.client import LakeClient
from lakegate.lifecycle.merging import DatasetMerge, MergeRequest
from tasks.artifacts import artifact_key, show_text
from tasks.running import settings_for, step


def open_merge(dataset: str, source: str, into: str, resolve: Sequence[str], requested_by: str) -> DatasetMerge:
    """Check the words of the form before anything is read."""
    settings = settings_for(requested_by)
    request = MergeRequest.from_words(settings, dataset, source, into, resolve)
    return DatasetMerge(LakeClient(settings), settings, request, get_run_logger().info)


@step
def plan_merge(merge: DatasetMerge) -> None:
    """Bring together what both sides did, or list what does not go together."""
    merge.plan()


@step
def write_merge(merge: DatasetMerge) -> None:
    """Make the merge branch; both branches stay parents of it."""
    merge.write()


@step
def check_result(merge: DatasetMerge) -> None:
    """Validate the merged result."""
    merge.check()


@step
def finish_merge(merge: DatasetMerge) -> None:
    """Merge into the working branch; what is for main waits to be published."""
    merge.finish()


def show_merge(merge: DatasetMerge) -> str:
    """Leave on the run what was merged; returns where the result is."""
    show_text(artifact_key("merge", merge.request.dataset), merge.summary_markdown())
    return merge.reference
