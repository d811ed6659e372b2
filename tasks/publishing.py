"""How a version is published: the steps of :mod:`lakegate.lifecycle.publication`, as tasks."""

from prefect import get_run_logger

from lakegate.errors import BadInput
from lakegate.lake.client import LakeClient
from lakegate.lifecycle import showing
from lakegate.lifecycle.publication import Publication, PublicationRequest
from lakegate.lifecycle.ref_publication import RefPublication, RefRequest
from tasks.artifacts import artifact_key, show_link, show_text
from tasks.diffing import show_difference
from tasks.running import settings_for, step


def open_publication(
    dataset: str,
    source: str,
    version: str,
    images: str,
    source_format: str,
    message: str,
    requested_by: str,
    where: str = "",
    licence: str = "",
    ref: str = "",
) -> Publication:
    """Check the words of the form before anything is read; with a ``ref``, what lies there in lakeFS is published."""
    settings = settings_for(requested_by)
    if bool(source) == bool(ref):
        raise BadInput(f"give a source or a ref, one of the two; source is '{source}', ref is '{ref}'")
    if ref and (images or where or licence):
        raise BadInput(f"images, where and licence are for an export; what lies on '{ref}' is published as it is")
    if ref:
        wanted = RefRequest.of_ref(settings, dataset, ref, version, message)
        return RefPublication(LakeClient(settings), settings, wanted, get_run_logger().info)
    words = (dataset, source, version, images, source_format, message, where, licence)
    request = PublicationRequest.from_words(settings, *words)
    return Publication(LakeClient(settings), settings, request, get_run_logger().info)


@step
def read_export(publication: Publication) -> None:
    """Read the annotation export."""
    publication.read_export()


@step
def screen_samples(publication: Publication) -> None:
    """Find bad samples; refuse them, or keep them out with their reason, as the dataset declares."""
    publication.screen()


@step
def write_branch(publication: Publication) -> None:
    """Send what changed to the version's own branch and commit it."""
    publication.write()


@step
def audit_branch(publication: Publication) -> None:
    """Validate what was committed."""
    publication.audit()


@step
def attest_content(publication: Publication) -> None:
    """Sign that this content passed, and keep the report."""
    publication.attest()


@step
def merge_branch(publication: Publication) -> None:
    """Merge into main; where main moved, merge it in and audit again."""
    publication.merge()


@step
def tag_version(publication: Publication) -> None:
    """Name the version."""
    publication.tag()


def show_version(publication: Publication) -> str:
    """Leave the validation report, the version's samples, and what changed since the version before, on the run."""
    key = artifact_key("validation", publication.request.dataset)
    page = publication.save_page()
    show_link(key, page.url, f"Validation report of {publication.request.reference}")
    show_samples(publication.request.dataset, publication.request.version)
    show_text(f"{key}-summary", publication.summary_markdown())
    shown = publication.show_diff()
    if shown is not None:
        show_difference(shown)
    return publication.request.reference


def show_samples(dataset: str, tag: str) -> None:
    """Leave a page on the run on which the version's samples can be browsed."""
    settings = settings_for("")
    shown = showing.show_version(LakeClient(settings), settings, f"{dataset}@{tag}")
    show_link(artifact_key("samples", dataset), shown.page.url, f"Samples of {dataset}@{tag}")
