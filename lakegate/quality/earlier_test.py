"""Images that models were judged on before: the test splits of earlier versions."""

from dataclasses import dataclass


@dataclass(frozen=True)
class EarlierTestImage:
    """One sample of an earlier test split. ``phash`` is empty where the image is flat or cannot be measured any more."""

    version: str  # the tag
    sample_id: str
    sha256: str
    phash: str


@dataclass(frozen=True)
class EarlierTestImages:
    """The test images of all earlier versions, newest version first; equal bytes stand once, under the newest version."""

    images: tuple[EarlierTestImage, ...] = ()
    versions: tuple[str, ...] = ()  # tags that were looked at
