"""``lakegate data …``: dataset versions."""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from infra.release_triggers import apply_release_triggers, followers_of
from lakegate.catalog import check_name, check_version_name, dataset_names, declaration_path, load_dataset
from lakegate.errors import BadInput, VersionNotFound
from lakegate.lake.client import LakeClient
from lakegate.settings import Settings
from lakegate.shared_store import S3
from lakegate_cli.flow_runs import run_flow
from lakegate_cli.output import JsonOption, console, print_json, print_rows
from lakegate_cli.progress import counted_progress, shown_progress

app = typer.Typer(no_args_is_help=True)
Format = Literal["auto", "voc", "coco", "yolo"]
LocalOption = Annotated[bool, typer.Option("--local", help="Run the flow in this process instead of on a work pool.")]
ImagesOption = Annotated[Path | None, typer.Option("--images", help="Folder of the images, where the export has none.")]
SourceOption = Annotated[Path, typer.Option("--source", help="Folder of the annotation export.")]


def _absolute(folder: str, what: str) -> str:
    if not folder or folder.startswith(S3):
        return folder
    path = Path(folder)
    if not path.exists():
        raise BadInput(f"{what} {path} does not exist; give the folder of the annotation export or of its images")
    return str(path.resolve())


@app.command("init")
def init(dataset: str, source: SourceOption, images: ImagesOption = None, as_json: JsonOption = False) -> None:
    """Write datasets/<dataset>/dataset.toml from what an export holds; it can be published unedited."""
    from lakegate.formats.proposing import propose_dataset_toml

    settings = Settings.load()
    path = declaration_path(settings, check_name(dataset, "dataset"))
    if path.exists():
        raise BadInput(f"{path} exists already; edit it, or choose another name")
    _absolute(str(source), "source")
    text = propose_dataset_toml(source, images)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    if as_json:
        print_json({"dataset": dataset, "declaration": str(path)})
        return
    console().print(f"wrote {path}:\n")
    console().print(text, markup=False)
    console().print(f"next: lakegate data publish {dataset} --source {source} --version v1", markup=False)


@app.command("publish")
def publish(
    dataset: str,
    source: Annotated[str, typer.Option("--source", help="Folder of the annotation export, or s3://bucket/prefix.")],
    version: Annotated[str, typer.Option("--version", help="Name of the new version, for example v1.")],
    images: Annotated[str, typer.Option("--images", help="Folder or s3:// address of the images, as for --source.")] = "",
    source_format: Annotated[Format, typer.Option("--format", help="Format of the export.")] = "auto",
    message: Annotated[str, typer.Option("--message", "-m", help="What is new, in a sentence.")] = "",
    local: LocalOption = False,
    as_json: JsonOption = False,
) -> None:
    """Publish an export as a version: branch, audit, attest, merge, tag."""
    settings = Settings.load()
    load_dataset(settings, dataset)
    check_version_name(version)
    parameters = {
        "dataset": dataset,
        "source": _absolute(source, "source"),
        "version": version,
        "images": _absolute(images, "images"),
        "source_format": source_format,
        "message": message,
        "requested_by": settings.user,
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
def diff(dataset: str, old: str, new: str, as_json: JsonOption = False) -> None:
    """Say what changed between two versions, in samples and in objects."""
    from lakegate.lake.diff import diff_versions
    from lakegate.lake.local import open_version
    from lakegate.lake.versions import pin
    from lakegate.lifecycle.diff_words import describe_diff

    settings = Settings.load()
    load_dataset(settings, dataset)
    client = LakeClient(settings)
    sides = [
        open_version(client, settings, pin(client, f"{dataset}@{ref}"))
        for ref in (old, new)
    ]
    difference = diff_versions(*sides)
    if as_json:
        print_json(difference.to_json())
    else:
        console().print(describe_diff(difference, f"{dataset}@{old}", f"{dataset}@{new}"), markup=False)


@app.command("suggest")
def suggest(
    dataset: str, ref: Annotated[str, typer.Argument(help="Tag, branch or commit; else the newest version.")] = ""
) -> None:
    """Propose [quality] limits from a version: TOML with the reason of each line, to paste into dataset.toml."""
    from lakegate.lifecycle.suggested_limits import suggest_limits

    print(suggest_limits(Settings.load(), dataset, ref), end="")


@app.command("get")
def get(
    dataset: str,
    ref: Annotated[str, typer.Argument(help="Tag, branch or commit.")],
    into: Annotated[Path, typer.Option("--into", help="Folder to make; it must not exist.")],
    as_json: JsonOption = False,
) -> None:
    """Fetch a version into a folder; every file is checked against its SHA-256."""
    from lakegate.lake.local import get_version
    from lakegate.lake.versions import pin

    settings = Settings.load()
    load_dataset(settings, dataset)
    client = LakeClient(settings)
    version = pin(client, f"{dataset}@{ref}")
    with counted_progress("files", as_json) as report:
        count = get_version(client, settings, version, into, report)
    if as_json:
        print_json({"reference": version.reference, "commit": version.commit, "files": count, "folder": str(into)})
    else:
        console().print(f"{version.reference} ({version.commit[:12]}): {count} files in {into}")
