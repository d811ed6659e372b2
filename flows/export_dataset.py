"""Export a version, a query or raw frames for another program."""

from typing import Literal

from prefect import flow

from tasks import exchange


@flow(name="export-dataset", flow_run_name="{dataset}@{ref} as {export_format}", persist_result=False)
def export_dataset(
    dataset: str,
    ref: str,
    into: str,
    export_format: Literal["coco", "yolo", "cvat"] = "cvat",
    where: str = "",
    split: Literal["", "train", "val", "test"] = "",
    predictions: str = "",
    requested_by: str = "",
) -> str:
    """Write images and labels into a new folder, whole or not at all. Only what is attested is exported, or raw frames.

    Args:
        dataset: Name of a folder in datasets/, for example blood-cells.
        ref: Version, branch or commit, for example v2 or annotate-may.
        into: New folder, as the worker sees it, or s3://bucket/prefix.
        export_format: cvat is CVAT for images 1.1, yolo the layout of Ultralytics.
        where: Only samples for which this is true, for example count("person") == 0.
        split: Only samples of this split.
        predictions: Pre-annotations of a model in production (its name), or of a run (model@run).
        requested_by: Your name; empty means the name that the worker runs under.
    """
    words = (dataset, ref, export_format, into, where, split, predictions)
    export = exchange.open_export(words, requested_by)
    exchange.read_samples(export)
    exchange.add_predictions(export)
    summary = exchange.write_export(export)
    return exchange.show_export(export, summary)
