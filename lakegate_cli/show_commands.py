"""``lakegate data show``: a version as a page of pictures."""

from pathlib import Path
from typing import Annotated

import typer

from lakegate.lake.client import LakeClient
from lakegate.settings import Settings
from lakegate_cli.output import JsonOption, console, print_json
from lakegate_cli.progress import counted_progress

WHERE_HELP = "Only samples that fit, for example: 'objects >= 15 and \"night\" in tags'."


def show(
    dataset: str,
    ref: Annotated[str, typer.Argument(help="Tag, branch or commit; by default the newest version.")] = "",
    where: Annotated[str, typer.Option("--where", help=WHERE_HELP)] = "",
    into: Annotated[Path | None, typer.Option("--into", help="File to write, instead of the page under reports/.")] = None,
    open_it: Annotated[bool, typer.Option("--open", help="Open the page in the browser.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Make a page of a version: pictures with their labels drawn, and filters by label, split, group, tag and text."""
    from lakegate.lifecycle.showing import newest_tag, show_version

    settings = Settings.load()
    client = LakeClient(settings)
    reference = f"{dataset}@{ref or newest_tag(client, dataset)}"
    with counted_progress("files", as_json) as report:
        shown = show_version(client, settings, reference, where, into, report)
    if open_it:
        typer.launch(shown.page.url)
    if as_json:
        counts = {"samples": shown.n_samples, "of": shown.n_all, "pictures": shown.n_pictures}
        state = {"unattested": shown.unattested, "unreadable": list(shown.unreadable)}
        print_json({"reference": reference, "commit": shown.version.commit, "page": shown.page.url, **counts, **state})
        return
    if shown.unattested:
        console().print(f"not attested: {shown.unattested}", markup=False)
    for reason in shown.unreadable:
        console().print(reason, markup=False)
    console().print(f"{reference}: {shown.n_samples} of {shown.n_all} samples, {shown.n_pictures} with picture", markup=False)
    console().print(shown.page.url, markup=False)
