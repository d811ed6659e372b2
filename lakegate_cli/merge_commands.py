"""``lakegate data merge`` and ``lakegate data blame``."""

from typing import Annotated, Any

import typer

from lakegate.catalog import check_version_name, load_dataset
from lakegate.lake.client import LakeClient
from lakegate.lake.objects import MAIN
from lakegate.settings import Settings
from lakegate_cli.data_commands import LocalOption, publish
from lakegate_cli.flow_runs import run_flow
from lakegate_cli.output import JsonOption, console, print_json, print_rows
from lakegate_cli.progress import shown_progress

DEPLOYMENT = "merge-dataset/cpu"


def merge(
    dataset: str,
    source: Annotated[str, typer.Argument(help="The branch whose changes are merged (\"theirs\").")],
    into: Annotated[str, typer.Option("--into", help="The branch that gets them (\"ours\").")] = MAIN,
    resolve: Annotated[
        list[str] | None,
        typer.Option("--resolve", help="SAMPLE=ours or SAMPLE=theirs for what both changed differently; a bare side for all."),
    ] = None,
    version: Annotated[str, typer.Option("--version", help="Publish the result under this name (into main only).")] = "",
    message: Annotated[str, typer.Option("--message", "-m", help="What is new, in a sentence.")] = "",
    local: LocalOption = False,
    as_json: JsonOption = False,
) -> None:
    """Merge a branch; where both changed a sample, object by object. Into main it waits until it is published."""
    from lakegate.lifecycle.merging import MergeRequest, merge_branch

    settings = Settings.load()
    request = MergeRequest.from_words(settings, dataset, source, into, resolve or [])
    if version:
        check_version_name(version)
        request.require_main()
    client = LakeClient(settings)
    branch = merge_branch(request, client.head(dataset, into).id, client.head(dataset, source).id)
    parameters = {
        "dataset": dataset,
        "source": source,
        "into": into,
        "resolve": resolve or [],
        "requested_by": settings.user,
    }
    with shown_progress(as_json) as say:
        run = run_flow(settings, DEPLOYMENT, parameters, local, say)
    if version:
        publish(dataset, version, ref=branch, message=message, local=local, as_json=as_json)
        return
    where = branch if into == MAIN else into
    commit = client.head(dataset, where).id
    if as_json:
        print_json({"dataset": dataset, "branch": where, "commit": commit[:12], "flow_run": run.url})
        return
    console().print(f"merged: {dataset}@{where}, commit {commit[:12]}")
    if into == MAIN:
        console().print(f"next: lakegate data publish {dataset} --ref {branch} --version NAME", markup=False)


def blame(
    dataset: str,
    sample: Annotated[str, typer.Argument(help="Name of the sample: its image's path without the suffix.")],
    ref: Annotated[str, typer.Option("--ref", help="Version, branch or commit to look at.")] = MAIN,
    as_json: JsonOption = False,
) -> None:
    """Say who changed each object of a sample last, when, and with which version (claimed names, unauthenticated)."""
    from lakegate.lifecycle.blame import blame_sample

    settings = Settings.load()
    load_dataset(settings, dataset)
    found = blame_sample(LakeClient(settings), settings, dataset, sample, ref)
    if as_json:
        print_json([{**vars(item), "at": item.at.isoformat()} for item in found])
        return
    rows: list[dict[str, Any]] = [
        {
            "object": item.words,
            "change": item.change,
            "version": item.version or "no version yet",
            "by": item.by,
            "when": f"{item.at:%Y-%m-%d %H:%M} UTC",
            "drawn by": item.author,
            "before": item.before,
        }
        for item in found
    ]
    print_rows(rows, f"{dataset}@{ref}: sample {sample} has no object")
