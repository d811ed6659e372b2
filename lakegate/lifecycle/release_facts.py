"""Gather what an approver is shown: all of it from pinned commits and stored evidence, so equal inputs give equal facts."""

from collections import Counter
from collections.abc import Sequence

from lakegate.canonical import sha256_bytes
from lakegate.code_changes import code_changes
from lakegate.declarations import ModelDeclaration
from lakegate.errors import NotApproved, RegistryError
from lakegate.evaluation.gallery import worst_first
from lakegate.evaluation.judged import Flip
from lakegate.evaluation.stored import StoredMatrix, read_matrix
from lakegate.lake.changes import open_changes
from lakegate.lake.client import LakeClient
from lakegate.lake.diff import DatasetDiff, diff_versions
from lakegate.lake.local_version import DatasetVersion, LocalVersion
from lakegate.lake.versions import list_versions
from lakegate.lifecycle.comparison import StoredComparison, find_comparison
from lakegate.lifecycle.release_documents import (
    CodeFact,
    DataFact,
    FlipSummary,
    GateChange,
    GateEffect,
    ReleaseFacts,
    ReplacedFact,
    SettingChange,
    VersionFact,
    WorstImage,
)
from lakegate.registry import releases, runs
from lakegate.registry.documents import Release, ReleaseRequest, RunReference
from lakegate.registry.store import EVIDENCE, REPOSITORY, put_evidence, read_document
from lakegate.settings import Settings
from lakegate.training.record import DatasetUse, RunRecord

MAX_WORST_IMAGES = 3


def facts_path(digest: str, suffix: str = "json") -> str:
    """Return where the facts (or the page, ``html``) of this digest lie in the evidence."""
    return f"release-pages/{digest}.{suffix}"


def gather_facts(client: LakeClient, settings: Settings, request: ReleaseRequest) -> ReleaseFacts:
    """Gather the facts of a request; its ``page_digest`` and ``reviewers`` are left out, since they come after the facts.

    Raises:
        RegistryError: the comparison that the request names is missing, or is another one.
        Unattested: a version that the release trains on has no valid attestation.
    """
    draft = request.model_copy(update={"page_digest": "", "reviewers": ()})
    judged = _comparison(client, draft)
    data = client.read(REPOSITORY, EVIDENCE, _matrix_path(draft))
    matrix = read_matrix(data, _matrix_path(draft))
    replaced = releases.read_release(client, draft.model, draft.replaces) if draft.replaces else None
    record = _record(client, draft.candidate)
    before = None if replaced is None else _record(client, replaced.run)
    declaration = ModelDeclaration.model_validate_json(client.read(REPOSITORY, draft.candidate.commit, runs.DECLARATION))
    return ReleaseFacts(
        request=draft,
        team=declaration.model.team,
        description=declaration.model.description,
        rules=matrix.rules,
        skipped=matrix.skipped,
        gate_changes=() if replaced is None else _gate_changes(client, replaced, matrix),
        cells=matrix.cells,
        n_judged=matrix.coverage[0].n_judged,
        n_test=matrix.coverage[0].n_test,
        flips=None if draft.baseline is None else _flips(matrix),
        latency=matrix.latency,
        data=tuple(_data(client, settings, use, before) for use in record.datasets),
        settings=() if before is None else tuple(_setting_changes(before, record)),
        code=None if replaced is None else _code(replaced, draft),
        replaced=None if replaced is None else _replaced(replaced),
        matrix_page=judged.page_name,
        matrix_sha256=sha256_bytes(data),
    )


def keep_facts(client: LakeClient, facts: ReleaseFacts) -> None:
    """Store the facts in the evidence under their digest; safe to repeat."""
    message = f"release page: {facts.request.model} release {facts.request.release}"
    put_evidence(client, {facts_path(facts.digest): facts.to_bytes()}, message)


def require_facts(client: LakeClient, request: ReleaseRequest) -> ReleaseFacts:
    """Return the facts that the request is bound to.

    Raises:
        NotApproved: they are missing, were changed, or are those of another request.
    """
    name = f"the facts of release {request.release} of {request.model} ({request.page_digest[:12] or 'no digest'})"
    again = f"; release it again: `lakegate model release {request.model}`"
    facts = read_document(client, EVIDENCE, facts_path(request.page_digest), ReleaseFacts) if request.page_digest else None
    if facts is None:
        raise NotApproved(f"{name} are not in the evidence{again}")
    if facts.digest != request.page_digest:
        raise NotApproved(f"{name} were changed: they have the digest {facts.digest[:12]} now{again}")
    if facts.request != request.model_copy(update={"page_digest": "", "reviewers": ()}):
        raise NotApproved(f"{name} are those of another request{again}")
    return facts


def _matrix_path(request: ReleaseRequest) -> str:
    return f"comparisons/{request.comparison}/matrix.json"


def _comparison(client: LakeClient, request: ReleaseRequest) -> StoredComparison:
    judged = find_comparison(client, request.comparison)
    if judged is None or judged.evidence_digest != request.evidence_digest:
        found = "there is none" if judged is None else f"it has the evidence {judged.evidence_digest[:12]}"
        raise RegistryError(
            f"release {request.release} of {request.model} names the comparison {request.comparison[:12]} with the evidence "
            f"{request.evidence_digest[:12]}, and {found}; compare again: "
            f"`lakegate model compare {request.model} {request.candidate.run_id}`"
        )
    return judged


def _record(client: LakeClient, run: RunReference) -> RunRecord:
    where = f"{runs.RECORD} of run {run.run_id}"
    return RunRecord.from_bytes(client.read(REPOSITORY, run.commit, runs.RECORD), where)


def _gate_changes(client: LakeClient, replaced: Release, matrix: StoredMatrix) -> tuple[GateChange, ...]:
    """Compare the limits of both gates; the limit of a line that was skipped for lack of a baseline is not known."""
    path = _matrix_path(replaced.request)
    earlier = read_matrix(client.read(REPOSITORY, EVIDENCE, path), path)
    before, after = (_limits(earlier), _limits(matrix))
    changes = []
    for key in sorted(before.keys() | after.keys()):
        old, new = before.get(key), after.get(key)
        effect: GateEffect | None = None
        if key not in before:
            effect = "new"
        elif key not in after:
            effect = "gone"
        elif old is not None and new is not None and old != new:
            is_looser = new < old if key.endswith(".min") else new > old
            effect = "looser" if is_looser else "stricter"
        if effect is not None:
            changes.append(GateChange(key=key, before=old, after=new, effect=effect))
    return tuple(changes)


def _limits(matrix: StoredMatrix) -> dict[str, float | None]:
    return {**{rule.key: None for rule in matrix.skipped}, **{rule.key: rule.limit for rule in matrix.rules}}


def _flips(matrix: StoredMatrix) -> FlipSummary:
    ranked = worst_first(matrix.flips)
    commits = {item.reference.partition("@")[0].partition(":")[0]: item.commit for item in reversed(matrix.coverage)}
    bad = [
        (number, flips)
        for number, (_, flips) in enumerate(ranked, start=1)
        if any(flip.kind != "positive" for flip in flips)
    ]
    return FlipSummary(
        n_flips={kind: sum(flip.kind == kind for flip in matrix.flips) for kind in ("negative", "positive", "new_false")},
        n_images=len(ranked),
        worst=tuple(_worst(number, flips, commits) for number, flips in bad[:MAX_WORST_IMAGES]),
    )


def _worst(number: int, flips: Sequence[Flip], commits: dict[str, str]) -> WorstImage:
    first = flips[0]
    return WorstImage(
        number=number,
        dataset=first.dataset,
        commit=commits[first.dataset],
        sample_id=first.sample_id,
        flips=tuple(flips),
    )


def _data(client: LakeClient, settings: Settings, use: DatasetUse, before: RunRecord | None) -> DataFact:
    now = _version(use)
    old = next((_version(item) for item in (before.datasets if before else []) if item.dataset == use.dataset), None)
    versions = _versions_since(client, now, old)
    if old is None:
        return _data_fact(now, None, versions, None, {})
    sides = open_changes(client, settings, old, now)
    return _data_fact(now, old, versions, diff_versions(*sides), _objects_of_moved(*sides))


def _version(use: DatasetUse) -> DatasetVersion:
    return DatasetVersion(use.dataset, use.tag, use.commit, use.content_digest)


def _versions_since(client: LakeClient, now: DatasetVersion, old: DatasetVersion | None) -> tuple[VersionFact, ...]:
    """Return the tagged versions after ``old`` up to ``now``; where nothing is before, only ``now``."""
    known = list_versions(client, now.dataset)  # newest first
    places = {item.commit: place for place, item in reversed(list(enumerate(known)))}
    start = places.get(now.commit)
    if start is None:
        return ()
    end = start + 1 if old is None else places.get(old.commit, start + 1)
    return tuple(
        VersionFact(
            tag=item.tag,
            publisher=item.publisher,
            message=item.message,
            created_on=item.created_at.date().isoformat(),
            n_samples=item.n_samples,
        )
        for item in known[start:end]
    )


def _data_fact(
    now: DatasetVersion,
    old: DatasetVersion | None,
    versions: tuple[VersionFact, ...],
    difference: DatasetDiff | None,
    n_objects: dict[str, int],
) -> DataFact:
    numbers = {} if difference is None else difference.to_json()
    return DataFact(
        reference=now.reference,
        commit=now.commit,
        content_digest=now.content_digest,
        before="" if old is None else old.reference,
        versions=versions,
        samples=numbers.get("samples", {}),
        objects=numbers.get("objects", {}),
        n_objects_of_added=n_objects.get("added", 0),
        n_objects_of_removed=n_objects.get("removed", 0),
        label_changes=() if difference is None else _label_words(difference),
    )


def _objects_of_moved(old: LocalVersion, new: LocalVersion) -> dict[str, int]:
    """Count the objects on samples that only one side has."""
    counts: Counter[str] = Counter()
    for name, side, other in (("added", new, old), ("removed", old, new)):
        counts[name] = sum(len(sample.annotations) for sample in side.samples if sample.id not in other.images)
    return counts


def _label_words(difference: DatasetDiff) -> tuple[str, ...]:
    labels = difference.labels
    words = [f"label added: {name}" for name in labels.added] + [f"label removed: {name}" for name in labels.removed]
    words += [f"label renamed: {old} → {new}" for old, new in labels.renamed.items()]
    return tuple(words + [f"label probably renamed: {old} → {new}" for old, new in labels.suggested.items()])


def _setting_changes(before: RunRecord, after: RunRecord) -> list[SettingChange]:
    old, new = ({item.name: str(item.value) for item in record.parameters} for record in (before, after))
    old["seed"], new["seed"] = str(before.seed), str(after.seed)
    old["requirements.lock"], new["requirements.lock"] = (
        record.environment.lock_sha256[:12] or "no lock file" for record in (before, after)
    )
    return [
        SettingChange(name=name, before=old.get(name, "–"), after=new.get(name, "–"))
        for name in sorted(old.keys() | new.keys())
        if old.get(name) != new.get(name) and name != "training.seed"
    ]


def _code(replaced: Release, request: ReleaseRequest) -> CodeFact:
    changes = code_changes(replaced.request.code_commit, request.code_commit)
    return CodeFact(sentence=changes.sentence, commits=changes.commits, n_more=changes.n_more, n_lost=changes.n_lost)


def _replaced(release: Release) -> ReplacedFact:
    return ReplacedFact(
        number=release.number,
        run_id=release.run.run_id,
        versions=release.request.versions,
        code_commit=release.request.code_commit,
        approved_by=release.decision.approver,
        reason=release.decision.reason,
        decided_at=release.decision.decided_at,
    )
