"""Test images that a model has seen: it trained on the same bytes, or on a picture that looks the same."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from lakegate.evaluation.predictions import ModelUnderTest
from lakegate.lake.local_version import LocalImage, LocalVersion
from lakegate.quality.duplicates import hash_array, nearest_in
from lakegate.quality.images import measure_many
from lakegate.quality.leaks import FLAT_CONTRAST
from lakegate.quality.metrics_cache import MetricsCache
from lakegate.samples import Sample
from lakegate.settings import Settings


@dataclass(frozen=True)
class Seen:
    """Ids of samples: ``exact`` where the model trained on the same bytes, ``like`` where on a near-duplicate of the image."""

    exact: frozenset[str]
    like: frozenset[str]


def seen_by(model: ModelUnderTest, samples: Sequence[Sample], version: LocalVersion, settings: Settings) -> Seen:
    """Find the samples whose image the model has seen; near-duplicates as far as ``[quality]`` of the version says.

    The perceptual hashes come from the cache of image metrics; what is not in it is measured.
    """
    exact = frozenset(sample.id for sample in samples if version.images[sample.id].sha256 in model.trained_on)
    max_bits = version.declaration.quality.near_duplicate_bits
    rest = [sample for sample in samples if sample.id not in exact]
    if max_bits < 0 or not model.trained_hashes or not rest:
        return Seen(exact, frozenset())
    hash_of = perceptual_hashes([version.images[sample.id] for sample in rest], settings)
    asked = [sample.id for sample in rest if version.images[sample.id].sha256 in hash_of]
    known = hash_array(sorted(model.trained_hashes))
    found = nearest_in(hash_array([hash_of[version.images[name].sha256] for name in asked]), known, max_bits)
    return Seen(exact, frozenset(name for name, index in zip(asked, found.index.tolist(), strict=True) if index >= 0))


def seen_by_none(samples: Sequence[Sample], seen: Sequence[Seen]) -> list[Sample]:
    """Return the samples that are judged: no model has seen their image."""
    return [sample for sample in samples if not any(sample.id in item.exact or sample.id in item.like for item in seen)]


def perceptual_hashes(images: Iterable[LocalImage], settings: Settings) -> dict[str, str]:
    """Return the hashes by SHA-256 of the images that have one: a flat picture looks like every other flat one, and has none.

    An image that cannot be read has none either; whoever predicts on it says so.
    """
    files = {image.sha256: image.path for image in images}
    measured = measure_many(
        files.items(), settings.threads, MetricsCache(settings.cache_dir / "metrics"), {sha256: sha256 for sha256 in files}
    )
    return {sha256: item.phash for sha256, item in measured.metrics.items() if item.contrast >= FLAT_CONTRAST}
