"""A small dataset and model of its own for each test module, on the real lakeFS server."""

import secrets
from pathlib import Path

import pytest

from lakegate.lake.client import LakeClient
from lakegate.lifecycle.publication import Publication, PublicationRequest
from lakegate.registry import one_time_codes, releases
from lakegate.registry.decisions import Choice, DecisionWords
from lakegate.registry.documents import Decision, ReleaseRequest
from lakegate.settings import Settings
from tests.squares import declare_roles, in_checkout, make_checkout


class Workshop:
    """A checkout with a dataset, and the steps that tests repeat."""

    def __init__(self, folder: Path, settings: Settings) -> None:
        self.dataset = f"squares-{secrets.token_hex(4)}"
        self.checkout = make_checkout(folder / "checkout", [self.dataset])
        declare_roles(self.checkout)
        self.settings = in_checkout(settings, self.checkout)
        self.client = LakeClient(self.settings)
        self.folder = folder
        self.lines: list[str] = []

    def declare(self, name: str, on_bad_sample: str) -> None:
        make_checkout(self.checkout, [name], on_bad_sample)

    def open(self, source: Path, version: str, dataset: str = "", address: str = "", **words: str) -> Publication:
        request = PublicationRequest.from_words(
            self.settings, dataset or self.dataset, address or str(source), version, "", "auto", "", **words
        )
        return Publication(self.client, self.settings, request, self.lines.append)

    def publish(self, source: Path, version: str, dataset: str = "", address: str = "", **words: str) -> Publication:
        publication = self.open(source, version, dataset, address, **words)
        for step in ("read_export", "screen", "write", "audit", "attest", "merge", "tag"):
            getattr(publication, step)()
        return publication

    def words(self, by: str = "grace", word: Choice = "approve", reason: str = "looked at it") -> DecisionWords:
        """A decision of somebody who was enrolled this moment, so that no test waits for the next code."""
        one_time_codes.enrol(self.settings, by, replace=True)
        return DecisionWords(word, by, reason, one_time_codes.next_code(self.settings, by))

    def decides(self, request: ReleaseRequest, by: str = "grace", word: Choice = "approve", reason: str = "fine") -> Decision:
        return releases.decide(self.client, request, self.words(by, word, reason))


@pytest.fixture
def workshop(settings: Settings, tmp_path: Path) -> Workshop:
    return Workshop(tmp_path, settings)
