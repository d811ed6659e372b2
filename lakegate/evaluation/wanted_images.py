"""Which images a comparison needs predictions on, and which predictions are not in the cache yet."""

from collections.abc import Mapping, Sequence

from lakegate.catalog import split_reference
from lakegate.evaluation.comparing import other_versions
from lakegate.evaluation.partition import partition
from lakegate.evaluation.prediction_cache import PredictionCache
from lakegate.evaluation.predictions import ModelUnderTest, prediction_key
from lakegate.evaluation.seen_images import seen_by, seen_by_none
from lakegate.lake.local_version import LocalImage, LocalVersion
from lakegate.samples import Sample
from lakegate.settings import Settings

READ_AT_ONCE = 1000  # predictions in memory


def wanted_images(
    models: Sequence[ModelUnderTest],
    judged: LocalVersion,
    before: LocalVersion | None,
    settings: Settings,
    further: Mapping[str, LocalVersion],
) -> dict[str, LocalImage]:
    """Return by SHA-256 what :func:`lakegate.evaluation.comparing.compare` predicts on: the same for all models.

    These are the test samples of all columns, superseded ones too, whose image no model has seen.
    """
    parts: list[tuple[LocalVersion, list[Sample]]] = [(judged, judged.samples_in(split="test"))]
    for name, version in other_versions(judged, further):
        parts.append((version, version.samples_in(split_reference(name)[1], split="test")))
    if before is not None:
        old = set(partition(judged, before).superseded)
        parts.append((before, [sample for sample in before.samples if sample.id in old]))
    images: dict[str, LocalImage] = {}
    for version, samples in parts:
        seen = [seen_by(model, samples, version, settings) for model in models]
        found = (version.images[sample.id] for sample in seen_by_none(samples, seen))
        images.update({image.sha256: image for image in found})
    return images


def missing_predictions(model: ModelUnderTest, images_sha256: Sequence[str], settings: Settings) -> list[str]:
    """Return the images without a whole prediction in the cache, in the order given."""
    cache = PredictionCache(settings.cache_dir, prediction_key(model))
    known: set[str] = set()
    for start in range(0, len(images_sha256), READ_AT_ONCE):
        known.update(cache.read(images_sha256[start : start + READ_AT_ONCE]))
    return [sha256 for sha256 in images_sha256 if sha256 not in known]
