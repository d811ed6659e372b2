"""``lakegate data export`` and ``lakegate data frames``: what goes to annotation tools and other programs."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from lakegate.catalog import load_dataset
from lakegate.lifecycle.sources import check_address, is_remote
from lakegate.settings import Settings
from lakegate.slices import parse_predicate
from lakegate_cli.flow_runs import run_flow
from lakegate_cli.output import JsonOption, console, print_json
from lakegate_cli.progress import shown_progress

LocalOption = Annotated[bool, typer.Option("--local", help="Run the flow in this process instead of on a work pool.")]


def export(
    dataset: str,
    ref: Annotated[str, typer.Argument(help="Tag, branch or commit; annotate-… for raw frames.")],
    into: Annotated[str, typer.Option("--into", help="New folder, or s3://bucket/prefix.")],
    export_format: Annotated[Literal["coco", "yolo", "cvat"], typer.Option("--format", help="What reads it.")] = "cvat",
    where: Annotated[str, typer.Option("--where", help='Only these samples, for example: count("person") == 0')] = "",
    split: Annotated[Literal["", "train", "val", "test"], typer.Option("--split", help="Only this split.")] = "",
    predictions: Annotated[str, typer.Option("--predictions", help="Pre-annotations: MODEL in production, or MODEL@RUN.")] = "",
    local: LocalOption = False,
    as_json: JsonOption = False,
) -> None:
    """Write a version, or what a query keeps of it, as COCO, YOLO or CVAT for images 1.1."""
    settings = Settings.load()
    load_dataset(settings, dataset)
    if where.strip():
        parse_predicate(where)
    target = into if is_remote(into) else str(Path(into).absolute())
    words = {"dataset": dataset, "ref": ref, "into": target, "export_format": export_format}
    parameters = {**words, "where": where, "split": split, "predictions": predictions, "requested_by": settings.user}
    with shown_progress(as_json) as say:
        run = run_flow(settings, "export-dataset/cpu", parameters, local, say)
    if as_json:
        print_json({**words, "flow_run": run.url, "seconds": round(run.seconds, 1)})
    else:
        console().print(f"{dataset}@{ref} is exported as {export_format}: {target}")


def frames(
    dataset: str,
    source: Annotated[str, typer.Option("--source", help="Folder, archive, s3:// or lakefs:// address of images.")],
    branch: Annotated[str, typer.Option("--branch", help="Name of the branch; it becomes annotate-<name>.")],
    message: Annotated[str, typer.Option("--message", "-m", help="What the frames show, in a sentence.")] = "",
    local: LocalOption = False,
    as_json: JsonOption = False,
) -> None:
    """Put images without labels on a branch, for annotation: no version, no attestation."""
    settings = Settings.load()
    load_dataset(settings, dataset)
    check_address(source, "source")
    address = source if is_remote(source) else str(Path(source).resolve())
    parameters = {"dataset": dataset, "source": address, "branch": branch, "message": message, "requested_by": settings.user}
    with shown_progress(as_json) as say:
        run = run_flow(settings, "publish-frames/cpu", parameters, local, say)
    name = branch if branch.startswith("annotate-") else f"annotate-{branch}"
    if as_json:
        print_json({"dataset": dataset, "branch": name, "flow_run": run.url, "seconds": round(run.seconds, 1)})
    else:
        console().print(f"next: lakegate data export {dataset} {name} --format cvat --into FOLDER", markup=False)
