"""The publishing story as a flow tells it, for tests: the steps in their order, validation left to the caller."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from lakegate.canonical import exact_json, sha256_bytes
from lakegate.lake import publish
from lakegate.lake.client import LakeClient
from lakegate.lake.local_version import DatasetVersion
from lakegate.lake.publish import NeedsRevalidation, VersionNote
from lakegate.samples import Annotation, ImportedSample, Sample
from lakegate.settings import Settings

DECLARATION = 'task = "detection"\nlabels = ["RBC", "WBC", "Platelets"]\non_bad_sample = "quarantine"\n'
Boxes = Sequence[tuple[str, tuple[float, float, float, float]]]
ONE_CELL: Boxes = (("RBC", (4.0, 5.0, 20.0, 10.0)),)


def a_sample(name: str, image: Path, boxes: Boxes = ONE_CELL) -> ImportedSample:
    """Return a sample with boxes (x, y, width, height) in pixels."""
    annotations = tuple(Annotation(label, box) for label, box in boxes)
    return ImportedSample(Sample(name, 64, 48, annotations, group=name), image)


def digest_of(samples: Sequence[ImportedSample], declaration: str = DECLARATION) -> str:
    """Return a source digest as an importer would: over everything that determines the result."""
    content = {item.sample.id: [sha256_bytes(item.sample.to_json()), sha256_bytes(item.image.read_bytes())] for item in samples}
    return sha256_bytes(exact_json({"samples": content, "declaration": declaration}))


def publish_version(
    client: LakeClient,
    settings: Settings,
    dataset: str,
    tag: str,
    samples: Sequence[ImportedSample],
    declaration: str = DECLARATION,
    message: str = "",
) -> DatasetVersion:
    """Publish as the flow does; every content passes."""
    note = VersionNote(tag, message or f"Version {tag}", settings.user, digest_of(samples, declaration))
    branch = publish.prepare_branch(client, dataset, tag, note.source_digest)
    publish.write_changes(client, dataset, branch, samples, declaration)
    commit = publish.commit_branch(client, dataset, branch, note)
    while True:
        attest(client, settings, dataset, commit)
        merged = publish.merge_version(client, settings, dataset, branch, note)
        if not isinstance(merged, NeedsRevalidation):
            return publish.tag_version(client, dataset, tag, merged)
        commit = merged.commit


def attest(client: LakeClient, settings: Settings, dataset: str, commit: str, report: str = "all rules hold") -> None:
    """Attest a commit without looking at it."""
    publish.attest(
        client,
        settings,
        dataset,
        commit,
        report_html=f"<p>{report}</p>",
        report_json=exact_json({"report": report}),
        rules_digest="0" * 64,
        publisher=settings.user,
    )


def contents(client: LakeClient, dataset: str, ref: str) -> Mapping[str, str | None]:
    """Return the SHA-256 of each object but the hooks."""
    return {
        entry.path: entry.sha256 for entry in client.list_objects(dataset, ref) if not entry.path.startswith("_lakefs_actions/")
    }
