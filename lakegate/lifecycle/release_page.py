"""The release page: one self-contained page for an approver with ten minutes, and the short words that lead to it."""

from collections.abc import Mapping, Sequence

from lakegate.declarations import ModelTask
from lakegate.errors import BadImage
from lakegate.evaluation.matrix import SHORT_WORDS
from lakegate.evaluation.tables import count_words, metric_rows
from lakegate.gate_rules import Outcome
from lakegate.html import BoxKind, DrawnBox, placeholder, render, thumbnail
from lakegate.lake.client import LakeClient
from lakegate.lake.local import fetch_object
from lakegate.lifecycle.release_documents import ReleaseFacts, WorstImage
from lakegate.lifecycle.release_facts import facts_path, require_facts
from lakegate.lifecycle.release_points import data_words, points
from lakegate.lifecycle.release_words import TASK_WORDS, flip_notes, task_of
from lakegate.pages import Page
from lakegate.pages import save_page as write_page
from lakegate.registry.documents import Decision, ReleaseRequest
from lakegate.registry.store import EVIDENCE, REPOSITORY, put_evidence
from lakegate.settings import Settings

PICTURE_PX = 480
_ORDER = (Outcome.FAIL, Outcome.NOT_ENOUGH_DATA, Outcome.PASS)
_BOX_KINDS: dict[str, BoxKind] = {"negative": "missed", "new_false": "false"}


def release_page_name(request: ReleaseRequest) -> str:
    """Return where the page lies below ``<home>/reports``."""
    return f"{request.model}/release-{request.release}-{request.page_digest[:8] or 'draft'}.html"


def release_page_url(settings: Settings, request: ReleaseRequest) -> str:
    """Return the address that opens the page: of the page server, or of the file."""
    if settings.reports_url:
        return f"{settings.reports_url.rstrip('/')}/{release_page_name(request)}"
    return (settings.reports_dir / release_page_name(request)).as_uri()


def save_release_page(
    client: LakeClient, settings: Settings, request: ReleaseRequest, decision: Decision | None = None
) -> Page:
    """Write the page, and the matrix page that it links to, where a person can open them; keep the page as evidence.

    Args:
        decision: given, the page says what was decided instead of how to decide; the evidence keeps the page as it was shown.

    Raises:
        NotApproved: the facts that the request is bound to are missing or were changed.
    """
    facts = require_facts(client, request)
    task = task_of(facts.cells)
    worst_images = facts.flips.worst if facts.flips else ()
    pictures = {worst.number: _picture(client, settings, worst, task) for worst in worst_images}
    html = render_release_html(facts, request, pictures, decision)
    if decision is None:
        put_evidence(
            client,
            {facts_path(request.page_digest, "html"): html.encode()},
            f"release page: {request.model} release {request.release}",
        )
    matrix = client.read(REPOSITORY, EVIDENCE, f"comparisons/{request.comparison}/matrix.html")
    write_page(settings, facts.matrix_page, matrix.decode())
    return write_page(settings, release_page_name(request), html)


def render_release_html(
    facts: ReleaseFacts, request: ReleaseRequest, pictures: Mapping[int, str], decision: Decision | None = None
) -> str:
    """Render the page: verdict, what to look at first, numbers, flips, data, serving, code. It needs no network.

    Args:
        request: as in the facts, with digest and proposed reviewers.
        pictures: data URI by the number of the worst image.
    """
    task = task_of(facts.cells)
    words, worst_images = TASK_WORDS[task], facts.flips.worst if facts.flips else ()
    shown = metric_rows(facts.cells, metrics=words.shown)
    return render(
        "release.html.j2",
        task_words=words,
        facts=facts,
        request=request,
        decision=decision,
        points=points(facts),
        rules=sorted(facts.rules, key=lambda rule: _ORDER.index(rule.outcome)),
        metrics=[SHORT_WORDS[row.metric] for row in shown],
        number_rows=[
            (cell, count_words(cell, words.unit), [row.entries[number] for row in shown])
            for number, cell in enumerate(facts.cells)
        ],
        worst=[(item, pictures[item.number], flip_notes(item.flips, task)) for item in worst_images],
        data=[(item, data_words(item)) for item in facts.data],
        matrix_link=facts.matrix_page.rpartition("/")[2],
        roll_back=roll_back_words(request),
    )


def roll_back_words(request: ReleaseRequest) -> str:
    """Return the command that brings the replaced release back; "" where there is none."""
    return f"lakegate model roll-back {request.model} {request.replaces}" if request.replaces else ""


def release_words(request: ReleaseRequest, page_url: str) -> str:
    """Return what an approver needs to know in a form or an artifact, as Markdown that links to the page."""
    replaces = f"release {request.replaces}" if request.replaces else "nothing: this is the first release"
    rows = {
        "replaces": replaces,
        "trained and judged on": ", ".join(request.versions),
        "candidate": f"run {request.candidate.run_id}",
        "code": request.code_commit[:12] + (" (not committed)" if "+" in request.code_commit else ""),
        "engines": _counted([item.outcome for item in request.engines]) or "none demanded",
        "functional tests": _counted([item.outcome for item in request.functional]) or "none run",
        "in staging": request.served or "not served",
        "asked for by": f"{request.requested_by} (unauthenticated)",
        "proposed reviewers": ", ".join(request.reviewers) or "nobody in particular",
    }
    table = "\n".join(f"| {name} | {_escaped(value)} |" for name, value in rows.items())
    back = roll_back_words(request)
    return (
        f"### Release {request.release} of {request.model}\n\n"
        f"**{request.verdict.upper()}:** {_escaped(request.verdict_sentence)}\n\n"
        f"**[Open the release page]({page_url})**: what to look at first, the matrix, flips, data changes, engines, "
        f"functional tests, latency.\n\n"
        f"| | |\n|---|---|\n{table}\n\n"
        f"Your decision is bound to what the page shows (`{request.page_digest[:12]}`). "
        + (f"To go back afterwards: `{back}`.\n" if back else "There is no earlier release to go back to.\n")
    )


def _counted(outcomes: Sequence[str]) -> str:
    return ", ".join(f"{outcomes.count(name)} {name}" for name in dict.fromkeys(outcomes))


def _escaped(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _picture(client: LakeClient, settings: Settings, worst: WorstImage, task: ModelTask) -> str:
    """Return the image with its flips drawn, unless they are the whole image; a grey picture where it cannot be had."""
    prefix = f"images/{worst.sample_id}."
    flips = () if task == "classification" else worst.flips
    drawn = [flip for flip in flips if flip.kind in _BOX_KINDS]
    is_named = len({flip.label for flip in drawn}) > 1  # one label stands in the words below the picture
    boxes = [DrawnBox(flip.box_xyxy_px, flip.label if is_named else "", _BOX_KINDS[flip.kind]) for flip in drawn]
    try:
        entry = client.list_objects(worst.dataset, worst.commit, prefix)[0]
        path = fetch_object(client, settings, worst.dataset, worst.commit, entry)
        return thumbnail(path, boxes, max_side_px=PICTURE_PX)
    except (BadImage, OSError, IndexError):
        return placeholder("the image cannot be shown")
