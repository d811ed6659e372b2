"""A publisher of a branch in a process of its own, so that tests can kill it: checkout, dataset, branch, version."""

import sys
from collections.abc import Callable
from pathlib import Path

from lakegate.lake.client import LakeClient
from lakegate.lifecycle.ref_publication import RefPublication, RefRequest
from lakegate.settings import Settings
from tests.squares import in_checkout


def open_ref(
    settings: Settings, dataset: str, ref: str, version: str, say: Callable[[str], None] = print
) -> RefPublication:
    request = RefRequest.of_ref(settings, dataset, ref, version, "")
    return RefPublication(LakeClient(settings), settings, request, say)


def main(checkout: str, dataset: str, ref: str, version: str) -> None:
    publication = open_ref(in_checkout(Settings.load(), Path(checkout)), dataset, ref, version)
    for step in ("read_export", "screen", "write", "audit", "attest", "merge", "tag"):
        getattr(publication, step)()


if __name__ == "__main__":
    main(*sys.argv[1:])
