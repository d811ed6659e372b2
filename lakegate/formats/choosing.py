"""What of an export is published: the samples that a predicate keeps, and the licence that they carry."""

from collections.abc import Collection
from dataclasses import replace

from lakegate.canonical import sha256_bytes
from lakegate.declarations import DatasetDeclaration
from lakegate.errors import BadInput, UnknownLabel, nearest
from lakegate.formats.importing import ImportResult
from lakegate.samples import ImportedSample
from lakegate.slices import labels_named, parse_predicate


def check_where(where: str, declaration: DatasetDeclaration) -> None:
    """Check a predicate before anything is read; an empty one keeps everything.

    Raises:
        BadDeclaration: it is no predicate. UnknownLabel: it names a label that the dataset does not declare.
    """
    if not where.strip():
        return
    parse_predicate(where)
    for label in sorted(labels_named(where) - set(declaration.labels)):
        raise UnknownLabel(f"'{where}': '{label}' is no label of '{declaration.name}'{nearest(label, declaration.labels)}")


def choose_samples(
    imported: ImportResult, where: str, licence: str = "", declared: Collection[str] = ()
) -> ImportResult:
    """Keep the samples for which ``where`` is true, and write ``licence`` into the source of those that state none.

    What is left out is counted in a note, rows of problems of samples that are left out included. Both words are part of
    the source digest. ``where`` may name labels of the export that the dataset does not declare: "no people" leaves out
    samples that could not be published otherwise.

    Raises:
        BadInput: no sample is left. UnknownLabel: ``where`` names a label that is neither in ``declared`` nor in the export.
    """
    if not where and not licence:
        return imported
    _check_labels(where, imported, declared)
    keeps = parse_predicate(where) if where else lambda _sample: True
    kept = [_licensed(item, licence) for item in imported.samples if keeps(item.sample)]
    if not kept and imported.samples:
        raise BadInput(f"'{where}' keeps none of the {len(imported.samples)} samples that were read; check the predicate")
    names = {item.sample.id for item in kept}
    left_out = {item.sample.id for item in imported.samples if item.sample.id not in names}
    left_out |= {name for name, sample in imported.undeclared.items() if not keeps(sample)}
    problems = [item for item in imported.problems if item.sample_id not in left_out]
    notes = list(imported.notes)
    if where:
        gone = len(imported.problems) - len(problems)
        words = f", and {gone} problems of samples that are left out" if gone else ""
        notes.append(f"where '{where}' keeps {len(kept)} of {len(imported.samples)} samples{words}")
    digest = sha256_bytes("\n".join([imported.source_digest, where, licence]).encode())
    return replace(imported, samples=kept, problems=problems, notes=notes, source_digest=digest)


def _check_labels(where: str, imported: ImportResult, declared: Collection[str]) -> None:
    """Refuse a slip in a label's name: it would keep or drop everything in silence."""
    missing = labels_named(where) - set(declared) if where and declared else set()
    if not missing:
        return
    found = {item.label for sample in imported.undeclared.values() for item in sample.annotations}
    for label in sorted(missing - found):
        known = nearest(label, {*declared, *found})
        raise UnknownLabel(f"'{where}': '{label}' is neither a label of the dataset nor one of this export{known}")


def _licensed(item: ImportedSample, licence: str) -> ImportedSample:
    if not licence:
        return item
    return replace(item, sample=replace(item.sample, source={"licence": licence, **item.sample.source}))
