"""Publish an annotation export as an immutable, attested version of a dataset."""

from prefect import flow

from lakegate.formats.registry import SourceFormat
from tasks import publishing


@flow(name="publish-dataset", flow_run_name="{dataset}@{version}", persist_result=False)
def publish_dataset(
    dataset: str,
    version: str,
    source: str = "",
    images: str = "",
    source_format: SourceFormat = "auto",
    message: str = "",
    requested_by: str = "",
    where: str = "",
    licence: str = "",
    ref: str = "",
) -> str:
    """Write to a branch, audit it, publish it. Killed at any moment and run again, the result is one version.

    Args:
        dataset: Name of a folder in datasets/, for example blood-cells.
        source: Folder or archive of the export, as the worker sees it, or s3://bucket/prefix, or lakefs://repository/ref/path.
        version: Name of the new version, for example v2. Versions are never changed: take a new name for new content.
        images: Folder, archive or address of the images, where the export does not hold them.
        source_format: Format of the export; auto looks at the files.
        message: What is new, in a sentence; shown in the log of the dataset.
        requested_by: Your name; empty means the name that the worker runs under.
        where: Publish only samples for which this is true, for example count("person") == 0.
        licence: Licence of the samples, where the export does not state one.
        ref: Instead of a source: a branch of the dataset in lakeFS, for example main after a merge there.
    """
    words = (dataset, source, version, images, source_format, message, requested_by, where, licence, ref)
    publication = publishing.open_publication(*words)
    publishing.read_export(publication)
    publishing.screen_samples(publication)
    publishing.write_branch(publication)
    publishing.audit_branch(publication)
    publishing.attest_content(publication)
    publishing.merge_branch(publication)
    publishing.tag_version(publication)
    return publishing.show_version(publication)
