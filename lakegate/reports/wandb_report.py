"""The W&B report of a comparison: kept as a document of our own, turned into W&B's blocks only when it is published."""

import os
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from lakegate.canonical import sha256_bytes
from lakegate.errors import BadInput
from lakegate.registry.documents import Document
from lakegate.reports.wandb_panels import curve_panels, panel_grid, table_panels
from lakegate.settings import Settings
from lakegate.training.tracking import EPOCH, TRAIN

FOLDER = "wandb-reports"
KEPT, SENT = ".report.json", ".published.json"
MAX_FLIPS = 50
TABLES = {  # of the comparison's run, with the words above each
    "counter_examples": "Worst counter-examples of the rules that failed, with pictures",
    "flips": "Flips, with pictures",
    "rules": "Rules",
    "matrix": "Matrix",
}
UNSENT = "What is empty here was made offline and is not sent yet; `lakegate wandb publish` says how to send it."


class KeptFlip(Document):
    """One flip in words; ``sample`` is ``dataset/sample``."""

    kind: str
    label: str
    sample: str
    words: str


class KeptReport(Document):
    """What a report says, in no words of W&B's; ``wandb_run`` is the id of the run with the tables, "" where there is none.

    ``flips``: the worst first, at most ``MAX_FLIPS`` of all ``n_flips``. ``wandb_folder``: of a run that waits for
    ``wandb sync``. ``trained``: those of both runs whose training was logged to W&B, ``curves``: what it logged per epoch,
    ``tables``: what the run with the tables has.
    """

    key: str  # of the comparison
    model: str
    candidate_run: str
    baseline_run: str  # "" for a first release
    verdict: str
    sentence: str
    evidence_digest: str
    markdown: str
    flips: tuple[KeptFlip, ...]
    n_flips: int
    wandb_run: str = ""
    wandb_folder: str = ""
    trained: tuple[str, ...] = ()
    curves: tuple[str, ...] = ()
    tables: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """What stands above the report and in its address."""
        return f"{self.model}: run {self.candidate_run} against {self.baseline_run or 'no baseline'}"

    @property
    def view_name(self) -> str:
        """By which the server knows the report: the same for the same comparison, on any machine."""
        return f"lakegate-{self.key[:16]}"

    @property
    def content_digest(self) -> str:
        """SHA-256 of what a reader sees."""
        return sha256_bytes(self.model_copy(update={"wandb_folder": ""}).to_bytes())


class PublishedReport(Document):
    """Where a report was published, written after the server confirmed it; ``content_digest`` says which content it has."""

    server: str
    entity: str
    view_id: str
    url: str
    content_digest: str


def keep_report(settings: Settings, report: KeptReport) -> Path:
    """Write ``<home>/wandb-reports/<key>.report.json`` aside and rename it; raises ``OSError``."""
    return _write(reports_folder(settings) / f"{report.key}{KEPT}", report)


def keep_published(settings: Settings, report: KeptReport, published: PublishedReport) -> Path:
    """Note that the report was published; raises ``OSError``."""
    return _write(reports_folder(settings) / f"{report.key}{SENT}", published)


def kept_paths(settings: Settings) -> list[Path]:
    """Return the files of all kept reports, the oldest first."""
    return sorted(reports_folder(settings).glob(f"*{KEPT}"), key=lambda path: (path.stat().st_mtime_ns, path.name))


def read_report(path: Path) -> KeptReport:
    """Read a kept report; raises ``BadInput`` where it is damaged."""
    try:
        return KeptReport.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        words = str(error).splitlines()[0]
        raise BadInput(f"{path.name} is no kept report ({words}); delete it, its comparison stands in the evidence") from error


def read_published(settings: Settings, report: KeptReport) -> PublishedReport | None:
    """Return where the report was published; ``None`` where it was not, or the note of it is damaged."""
    path = reports_folder(settings) / f"{report.key}{SENT}"
    try:
        return PublishedReport.model_validate_json(path.read_bytes())
    except (FileNotFoundError, ValidationError):
        return None


def reports_folder(settings: Settings) -> Path:
    """Where the reports are kept."""
    return settings.home / FOLDER


def report_spec(report: KeptReport, run_url: str = "") -> dict[str, Any]:
    """Return the report as W&B's view spec, version 5: verdict, rules and matrix, flips, live panels, where it comes from.

    Pictures are in the tables of the panels: a block of its own would need them at a public address.

    Args:
        run_url: of the run with the tables; no link where it is "".
    """
    blocks = [
        {"type": "callout-block", "children": [{"type": "callout-line", "children": _text(_verdict(report))}]},
        _markdown(report.markdown.partition("\n\n")[2].replace("<br>", " · ")),  # the verdict stands above
        _heading("Flips"),
        _markdown(_flips(report)),
        *_panels(report),
        _heading("Where the numbers come from"),
        _markdown(_origin(report, run_url)),
    ]
    nobody: dict[str, Any] = {"authors": [], "discussionThreads": [], "ref": {}}
    return {"version": 5, "panelSettings": {}, "blocks": blocks, "width": "fluid", **nobody}


def _panels(report: KeptReport) -> list[dict[str, Any]]:
    """Return the grids with the tables of the comparison and with the curves of both trainings, as far as there are any."""
    blocks: list[dict[str, Any]] = []
    names = [name for name in TABLES if name in report.tables]
    if report.wandb_run and names:
        words = "\n".join(f"{number}. {TABLES[name]}" for number, name in enumerate(names, start=1))
        grid = panel_grid("this comparison", {"name": [report.wandb_run]}, table_panels(names))
        blocks += [_heading("Tables and pictures"), _markdown(f"{UNSENT}\n\n{words}"), grid]
    if report.trained and report.curves:
        chosen = {"group": report.trained, "jobType": [TRAIN]}
        grid = panel_grid("training of candidate and baseline", chosen, curve_panels(report.curves, EPOCH))
        blocks += [_heading("How they learned"), _markdown(UNSENT), grid]
    return blocks


def _verdict(report: KeptReport) -> str:
    return f"{report.verdict.replace('_', ' ').upper()}: {report.sentence}"


def _flips(report: KeptReport) -> str:
    if not report.flips:
        return "None." if report.baseline_run else "There is no baseline, so nothing could flip."
    head = ["| kind | label | sample | what happened |", "| --- | --- | --- | --- |"]
    rows = [f"| {' | '.join(map(_cell, (item.kind, item.label, item.sample, item.words)))} |" for item in report.flips]
    more = report.n_flips - len(report.flips)
    return "\n".join([*head, *rows, *(["", f"{more} more are on the matrix page."] if more else [])])


def _origin(report: KeptReport, run_url: str) -> str:
    lines = [f"- comparison `{report.key}`", f"- evidence `{report.evidence_digest}`; the evidence in lakeFS is what counts"]
    return "\n".join([*lines, *([f"- [tables and pictures of this comparison]({run_url})"] if run_url else [])])


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _heading(text: str) -> dict[str, Any]:
    return {"type": "heading", "level": 2, "children": _text(text)}


def _text(text: str) -> list[dict[str, str]]:
    return [{"text": text}]


def _markdown(content: str) -> dict[str, Any]:
    return {"type": "markdown-block", "children": _text(""), "content": content.replace("<", "&lt;")}


def _write(path: Path, document: Document) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    aside.write_bytes(document.to_bytes())
    aside.replace(path)
    return path
