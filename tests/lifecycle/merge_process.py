"""The first steps of a merge in a process of its own, so that tests can kill it: checkout, dataset, source, into."""

import sys
from pathlib import Path

from lakegate.lake.client import LakeClient
from lakegate.lifecycle.merging import DatasetMerge, MergeRequest
from lakegate.settings import Settings
from tests.squares import in_checkout


def main(checkout: str, dataset: str, source: str, into: str) -> None:
    settings = in_checkout(Settings.load(), Path(checkout))
    merging = DatasetMerge(
        LakeClient(settings), settings, MergeRequest.from_words(settings, dataset, source, into, []), print
    )
    merging.plan()
    merging.write()


if __name__ == "__main__":
    main(*sys.argv[1:])
