"""``lakegate data …``: dataset versions."""

from pathlib import Path
from typing import Annotated, Any

import typer

from infra.release_triggers import apply_release_triggers, followers_of
from lakegate.catalog import check_name, check_version_name, dataset_names, declaration_path, load_dataset
from lakegate.errors import BadInput, VersionNotFound
from lakegate.formats.registry import SourceFormat
from lakegate.lake.client import LakeClient
from lakegate.lifecycle.sources import check_address, is_remote
from lakegate.settings import Settings
from lakegate_cli.flow_runs import run_flow
from lakegate_cli.output import JsonOption, console, print_json, print_rows
from lakegate_cli.progress import counted_progress, shown_progress

app = typer.Typer(no_args_is_help=True)
FormatOption = Annotated[SourceFormat, typer.Option("--format", help="Format of the export; auto looks at the files.")]
LocalOption = Annotated[bool, typer.Option("--local", help="Run the flow in this process instead of on a work pool.")]
WHAT = "Folder, archive, s3://bucket/prefix or lakefs://repository/ref/path"
ImagesOption = Annotated[str, typer.Option("--images", help=f"{WHAT} of the images, where the export has none.")]
SourceOption = Annotated[str, typer.Option("--source", help=f"{WHAT} of the annotation export.")]


def absolute(address: str, what: str) -> str:
    """Return a path as the worker sees it; s3:// and lakefs:// addresses stay as they are."""
    if not address:
        return address
    check_address(address, what)
    return address if is_remote(address) else str(Path(address).resolve())


@app.command("init")
def init(
    dataset: str,
    source: SourceOption,
    images: ImagesOption = "",
    source_format: FormatOption = "auto",
    as_json: JsonOption = False,
) -> None:
    """Write datasets/<dataset>/dataset.toml from what an export holds; it can be published unedited."""
    from lakegate.formats.proposing import propose_dataset_toml
    from lakegate.lifecycle.sources import open_source

    settings = Settings.load()
    path = declaration_path(settings, check_name(dataset, "dataset"))
    if path.exists():
        raise BadInput(f"{path} exists already; edit it, or choose another name")
    opened = [open_source(settings, address) for address in (source, images) if address]
    text = propose_dataset_toml(opened[0].path, opened[1].path if images else None, source_format)
    for item in opened:
        item.close()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    if as_json:
        print_json({"dataset": dataset, "declaration": str(path)})
        return
    console().print(f"wrote {path}:\n")
    console().print(text, markup=False)
    chosen = f" --format {source_format}" if source_format != "auto" else ""
    beside = f" --images {images}" if images else ""
    console().print(f"next: lakegate data publish {dataset} --source {source}{beside}{chosen} --version v1", markup=False)


@app.command("publish")
def publish(
    dataset: str,
    version: Annotated[str, typer.Option("--version", help="Name of the new version, for example v1.")],
    source: SourceOption = "",
    ref: Annotated[str, typer.Option("--ref", help="Instead of --source: branch of the dataset in lakeFS, as main.")] = "",
    images: ImagesOption = "",
    source_format: FormatOption = "auto",
    message: Annotated[str, typer.Option("--message", "-m", help="What is new, in a sentence.")] = "",
    where: Annotated[str, typer.Option("--where", help='Only these samples, for example: count("person") == 0')] = "",
    licence: Annotated[str, typer.Option("--licence", help="Licence of samples for which the export states none.")] = "",
    local: LocalOption = False,
    as_json: JsonOption = False,
) -> None:
    """Publish an export, or what lies on a branch in lakeFS, as a version: branch, audit, attest, merge, tag."""
    settings = Settings.load()
    load_dataset(settings, dataset)
    check_version_name(version)
    if bool(source) == bool(ref):
        raise BadInput("give --source (an annotation export) or --ref (a branch of the dataset in lakeFS), one of the two")
    parameters = {
        "dataset": dataset,
        "source": absolute(source, "source"),
        "version": version,
        "images": absolute(images, "images"),
        "source_format": source_format,
        "message": message,
        "requested_by": settings.user,
        "where": where,
        "licence": licence,
        "ref": ref,
    }
    with shown_progress(as_json) as say:
        if settings.prefect_api_url and not local:
            apply_release_triggers(settings, say, remove=False)  # models that were declared after `lakegate up`
        run = run_flow(settings, "publish-dataset/cpu", parameters, local, say)
    entry = next(row for row in version_rows(Settings.load(), dataset) if row["version"] == version)
    page = f"{settings.reports_url or settings.reports_dir}/{dataset}/validation-{version}.html"
    if as_json:
        print_json({**entry, "page": page, "flow_run": run.url, "seconds": round(run.seconds, 1)})
    else:
        console().print(f"validation report: {page}")
        console().print(f"{dataset}@{version} is published: {entry['samples']} samples, commit {entry['commit']}")
        followers = [] if local else followers_of(settings, dataset)
        if followers:
            console().print(f"its tag starts a release of {', '.join(followers)}; `lakegate model list` says what waits")


def version_rows(settings: Settings, dataset: str) -> list[dict[str, Any]]:
    """Return one row per version, newest first."""
    from lakegate.lake.versions import list_versions

    return [
        {
            "version": item.tag,
            "commit": item.commit[:12],
            "samples": item.n_samples,
            "published": f"{item.created_at:%Y-%m-%d %H:%M} UTC",
            "by": item.publisher,
            "message": item.message,
        }
        for item in list_versions(LakeClient(settings), dataset)
    ]


@app.command("list")
def list_datasets(as_json: JsonOption = False) -> None:
    """List the declared datasets and their newest versions."""
    settings = Settings.load()
    rows = []
    for name in dataset_names(settings):
        declaration = load_dataset(settings, name)
        try:
            versions = version_rows(settings, name)
        except VersionNotFound:
            versions = []
        rows.append(
            {
                "dataset": name,
                "task": declaration.task,
                "labels": ", ".join(declaration.labels),
                "versions": len(versions),
                "newest": versions[0]["version"] if versions else "none yet",
            }
        )
    if as_json:
        print_json(rows)
    else:
        print_rows(rows, "no dataset is declared; make one with `lakegate data init <dataset> --source PATH`")


@app.command("log")
def log(dataset: str, as_json: JsonOption = False) -> None:
    """List the versions of a dataset: what, when, by whom (claimed name, unauthenticated)."""
    settings = Settings.load()
    load_dataset(settings, dataset)
    rows = version_rows(settings, dataset)
    if as_json:
        print_json(rows)
    else:
        print_rows(rows, f"{dataset} has no version yet; publish one with `lakegate data publish {dataset} --source …`")


@app.command("diff")
def diff(
    dataset: str,
    old: str,
    new: str,
    html: Annotated[bool, typer.Option("--html", help="Also write a page of the changed samples, before and after.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Say what changed between two versions, in samples and in objects."""
    from lakegate.lifecycle.data_diff import diff_references, show_diff
    from lakegate.lifecycle.diff_words import describe_diff

    settings = Settings.load()
    load_dataset(settings, dataset)
    client = LakeClient(settings)
    shown = show_diff(client, settings, dataset, old, new) if html else None
    difference = shown.difference if shown else diff_references(client, settings, dataset, old, new)
    if as_json:
        print_json(difference.to_json())
    else:
        console().print(describe_diff(difference, f"{dataset}@{old}", f"{dataset}@{new}"), markup=False)
    if shown:
        typer.echo(f"page: {shown.page.url}", err=as_json)


@app.command("suggest")
def suggest(
    dataset: str, ref: Annotated[str, typer.Argument(help="Tag, branch or commit; else the newest version.")] = ""
) -> None:
    """Propose limits for the table quality from a version: TOML with the reason of each line, to paste into dataset.toml."""
    from lakegate.lifecycle.suggested_limits import suggest_limits

    print(suggest_limits(Settings.load(), dataset, ref), end="")


@app.command("get")
def get(
    dataset: str,
    ref: Annotated[str, typer.Argument(help="Tag, branch or commit.")],
    into: Annotated[Path, typer.Option("--into", help="A new folder, or one that holds another version of the dataset.")],
    as_json: JsonOption = False,
) -> None:
    """Fetch a version into a folder, or bring a folder to another version by what differs; every file is checked."""
    from lakegate.lake.versions import pin
    from lakegate.lake.working_folder import get_version

    settings = Settings.load()
    load_dataset(settings, dataset)
    client = LakeClient(settings)
    version = pin(client, f"{dataset}@{ref}")
    with counted_progress("files", as_json) as report:
        done = get_version(client, settings, version, into, report)
    if as_json:
        row = {"reference": version.reference, "commit": version.commit, "folder": str(into)}
        print_json({**row, "files": done.files, "written": done.written, "removed": done.removed})
    else:
        written = f"{done.files} files in {into}, {done.written} written, {done.removed} removed"
        console().print(f"{version.reference} ({version.commit[:12]}): {written}")
