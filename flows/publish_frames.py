"""Put raw frames on a branch of a dataset, for annotation."""

from prefect import flow

from tasks import exchange


@flow(name="publish-frames", flow_run_name="{dataset} {branch}", persist_result=False)
def publish_frames(dataset: str, source: str, branch: str, message: str = "", requested_by: str = "") -> str:
    """Send images without labels to the branch annotate-<branch>. Killed at any moment and run again, the result is the same.

    Args:
        dataset: Name of a folder in datasets/, for example blood-cells.
        source: Folder or archive of images, as the worker sees it, or s3://bucket/prefix, or lakefs://repository/ref/path.
        branch: Name of the branch, for example may-camera-3.
        message: What the frames show, in a sentence.
        requested_by: Your name; empty means the name that the worker runs under.
    """
    frames = exchange.open_frames(dataset, source, branch, message, requested_by)
    exchange.read_frames(frames)
    summary = exchange.write_frames(frames)
    return exchange.show_frames(frames, summary)
