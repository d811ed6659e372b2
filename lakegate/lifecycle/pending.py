"""Which models have no release of the newest version of their data: what an event should have started and did not."""

import json
from collections.abc import Collection
from dataclasses import dataclass

from lakegate.catalog import load_model, model_names, split_reference
from lakegate.errors import BadInput, LakeError, RegistryError, VersionNotFound
from lakegate.lake.client import LakeClient
from lakegate.lake.versions import newest_attested
from lakegate.registry.store import EVIDENCE, REPOSITORY
from lakegate.settings import Settings

Known = Collection[tuple[str, str]]  # (model, dataset@tag)
REQUESTS = "requests/"


@dataclass(frozen=True)
class PendingRelease:
    """A version of a dataset that a model trains on and that nobody released, proposed or tried."""

    model: str
    version: str  # dataset@tag


@dataclass(frozen=True)
class PendingReleases:
    """What is pending, and a sentence for each model that could not be looked at."""

    found: tuple[PendingRelease, ...]
    notes: tuple[str, ...]


def find_pending(client: LakeClient, settings: Settings, started: Known) -> PendingReleases:
    """Compare the newest attested version of each dataset with what was started, and with the requests of the registry.

    ``started`` holds what flow runs exist for, whatever came of them: a release that failed is a person's to repeat. Models
    with ``[schedule] on_new_version = false`` wait for a person.
    """
    found: list[PendingRelease] = []
    notes: list[str] = []
    proposed: set[tuple[str, str]] | None = None
    for model in model_names(settings):
        try:
            declaration = load_model(settings, model)
            names = dict.fromkeys(split_reference(item)[0] for item in declaration.data.train)
            newest = [newest_attested(client, settings, name).reference for name in names]
        except VersionNotFound:
            continue  # it waits for its first data
        except (BadInput, LakeError) as error:
            notes.append(f"{model}: {error}")
            continue
        missing = [version for version in newest if (model, version) not in started]
        if missing and declaration.schedule.on_new_version:
            proposed = _proposed(client) if proposed is None else proposed
            found += [PendingRelease(model, version) for version in missing if (model, version) not in proposed]
    return PendingReleases(tuple(found), tuple(notes))


def _proposed(client: LakeClient) -> set[tuple[str, str]]:
    """Return model and version of every request that was ever made; a decision or release has one too.

    Requests of other versions of Lakegate count as well, so only the two fields that matter here are read.
    """
    known: set[tuple[str, str]] = set()
    try:
        paths = [entry.path for entry in client.list_objects(REPOSITORY, EVIDENCE, REQUESTS)]
    except VersionNotFound:
        return known

    def read(path: str) -> None:
        try:
            request = json.loads(client.read(REPOSITORY, EVIDENCE, path))
            known.update((request["model"], version) for version in request["versions"])
        except (ValueError, TypeError, KeyError) as error:
            raise RegistryError(
                f"lakefs://{REPOSITORY}/{EVIDENCE}/{path} is no request ({error}); it was changed by hand: look at its history"
            ) from error

    client.in_parallel(read, paths)
    return known
