"""The description of an image, and telling two sets apart on images that were not learned from."""

import numpy as np
import pytest

from lakegate.errors import BadInput
from lakegate.monitoring.embedding import N_FEATURES, embed, separate


def noise(seed: int, height: int = 60, width: int = 90) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_an_image_of_any_size_becomes_the_same_number_of_finite_features() -> None:
    for image in (noise(0), noise(0, 400, 7), np.zeros((5, 5, 3), np.uint8), np.full((900, 900, 3), 255, np.uint8)):
        features = embed(image)
        assert features.shape == (N_FEATURES,) and np.isfinite(features).all()


def test_equal_images_have_equal_features_and_blurred_or_coloured_ones_others() -> None:
    smooth = np.repeat(np.repeat(noise(1, 6, 9), 10, 0), 10, 1)
    assert (embed(noise(1)) == embed(noise(1))).all()
    assert np.abs(embed(noise(1)) - embed(smooth)).max() > 0.5
    assert np.abs(embed(smooth) - embed(np.ascontiguousarray(smooth[:, :, ::-1]))).max() > 0.02


def test_sets_of_one_kind_are_not_told_apart_and_other_ones_are() -> None:
    random = np.random.default_rng(0)
    reference, alike = random.normal(size=(80, 6)), random.normal(size=(40, 6))
    groups = [str(number) for number in range(80)]
    assert 0.35 < separate(reference, groups, alike).auc < 0.65
    other = separate(reference, groups, alike + np.eye(6)[0] * 3)
    assert other.auc > 0.95 and other.frame_scores.shape == (40,)


def test_images_of_one_group_are_never_learned_from_when_it_is_tested() -> None:
    """A pattern of its own in each group cannot be used: the classifier sees a group either while learning or when tested."""
    random = np.random.default_rng(0)
    scenes = random.normal(size=(10, 40))
    reference = np.repeat(scenes, 8, axis=0) + 0.01 * random.normal(size=(80, 40))
    grouped = separate(reference, [str(number // 8) for number in range(80)], random.normal(size=(40, 40)))
    apart = separate(reference, [str(number) for number in range(80)], random.normal(size=(40, 40)))
    assert apart.auc > grouped.auc + 0.1


def test_too_few_images_for_the_folds_are_refused() -> None:
    with pytest.raises(BadInput, match="at least 5 images on each side, came 4 and 9"):
        separate(np.zeros((4, 3)), ["a"] * 4, np.zeros((9, 3)))
