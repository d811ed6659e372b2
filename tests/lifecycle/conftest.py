"""A small dataset and model of its own for each test module, on the real lakeFS server."""

import secrets
from pathlib import Path

import pytest

from lakegate.lake.client import LakeClient
from lakegate.lifecycle.publication import Publication, PublicationRequest
from lakegate.settings import Settings
from tests.squares import in_checkout, make_checkout


class Workshop:
    """A checkout with a dataset, and the steps that tests repeat."""

    def __init__(self, folder: Path, settings: Settings) -> None:
        self.dataset = f"squares-{secrets.token_hex(4)}"
        self.checkout = make_checkout(folder / "checkout", [self.dataset])
        self.settings = in_checkout(settings, self.checkout)
        self.client = LakeClient(self.settings)
        self.folder = folder
        self.lines: list[str] = []

    def declare(self, name: str, on_bad_sample: str) -> None:
        make_checkout(self.checkout, [name], on_bad_sample)

    def open(self, source: Path, version: str, dataset: str = "") -> Publication:
        request = PublicationRequest.from_words(
            self.settings, dataset or self.dataset, str(source), version, "", "auto", ""
        )
        return Publication(self.client, self.settings, request, self.lines.append)

    def publish(self, source: Path, version: str, dataset: str = "") -> Publication:
        publication = self.open(source, version, dataset)
        for step in ("read_export", "screen", "write", "audit", "attest", "merge", "tag"):
            getattr(publication, step)()
        return publication


@pytest.fixture
def workshop(settings: Settings, tmp_path: Path) -> Workshop:
    return Workshop(tmp_path, settings)
