"""A publisher in a process of its own, so that tests can kill it: dataset, tag, folder of images, boxes in pixels."""

import sys
from pathlib import Path

from lakegate.lake.client import LakeClient
from lakegate.settings import Settings
from tests.lake.story import a_sample, publish_version


def main(dataset: str, tag: str, folder: str) -> None:
    settings = Settings.load()
    samples = [a_sample(path.stem, path) for path in sorted(Path(folder).glob("*.png"))]
    print(publish_version(LakeClient(settings), settings, dataset, tag, samples).commit)


if __name__ == "__main__":
    main(*sys.argv[1:])
