import numpy as np
import pytest
from PIL import Image

from lakegate.errors import BadInput, UnknownLabel
from lakegate.training.data import TrainingSet, flip, make_targets
from lakegate.training.job import TrainingJob
from tests.training.synthetic import DATASET_TOML, make_model, make_version


def test_the_same_seed_and_epoch_give_the_same_batches_and_others_do_not(tmp_path):
    data = TrainingSet(TrainingJob(make_model(), [make_version(tmp_path)]), 8)
    first, again, other = (list(data.batches(seed, 3, 4)) for seed in (0, 0, 1))
    assert [batch.names for batch in first] == [batch.names for batch in again]
    assert all(np.array_equal(one.images, two.images) for one, two in zip(first, again, strict=True))
    assert [batch.names for batch in first] != [batch.names for batch in other]


def test_every_sample_comes_once_per_epoch_and_the_last_batch_may_be_short(tmp_path):
    data = TrainingSet(TrainingJob(make_model(), [make_version(tmp_path, n=6)]), 8)
    batches = list(data.batches(0, 0, 4))
    assert [len(batch.names) for batch in batches] == [4, 2]
    assert sorted(name for batch in batches for name in batch.names) == [f"squares/square-{index}" for index in range(6)]


def test_above_the_memory_limit_images_are_decoded_per_batch_with_the_same_result(tmp_path):
    job = TrainingJob(make_model(), [make_version(tmp_path)])
    kept, decoded = TrainingSet(job, 8), TrainingSet(job, 8, memory_limit_bytes=1000)
    assert kept.fits_in_memory
    assert not decoded.fits_in_memory
    for one, two in zip(kept.batches(0, 0, 4), decoded.batches(0, 0, 4), strict=True):
        assert np.array_equal(one.images, two.images)
        assert np.array_equal(one.distances, two.distances)


FLIPS = ("horizontal", "vertical", "diagonal")


def test_flipped_boxes_stay_on_their_pixels():
    for seed in range(20):
        image = np.zeros((64, 64, 3), np.uint8)
        image[8:24, 30:50] = 255
        flipped, boxes = flip(image, np.array([[30, 8, 50, 24]], np.float32), np.random.default_rng(seed), FLIPS)
        rows, columns = np.nonzero(flipped[..., 0])
        assert boxes[0].tolist() == [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]


def test_only_the_flips_that_are_declared_happen():
    image = np.arange(64 * 64 * 3, dtype=np.uint8).reshape(64, 64, 3)
    none = np.zeros((0, 4), np.float32)
    allowed = [image.tobytes(), image[:, ::-1].tobytes()]
    seen = {flip(image, none, np.random.default_rng(seed), ("horizontal",))[0].tobytes() for seed in range(20)}
    assert seen == set(allowed)


def test_images_that_are_not_square_keep_their_shape():
    for seed in range(8):
        flipped, _ = flip(np.zeros((32, 64, 3), np.uint8), np.zeros((0, 4), np.float32), np.random.default_rng(seed), FLIPS)
        assert flipped.shape == (32, 64, 3)


def test_targets_describe_the_box_from_each_of_its_locations():
    box = np.array([[8, 16, 56, 48]], np.float32)
    classes, distances, foreground = make_targets(box, np.array([1]), 2, (64, 64), 8)
    assert foreground.sum() > 1
    for row, column in np.argwhere(foreground > 0):
        x, y = column * 8 + 4, row * 8 + 4
        left, top, right, bottom = distances[:, row, column]
        assert [x - left, y - top, x + right, y + bottom] == box[0].tolist()
        assert classes[:, row, column].tolist() == [0, 1]
    assert classes[:, foreground == 0].sum() == 0


def test_of_overlapping_objects_the_smaller_one_wins_and_a_tiny_one_is_not_lost():
    boxes = np.array([[28, 28, 36, 36], [0, 0, 64, 64], [2, 2, 4, 4]], np.float32)
    classes, _, _ = make_targets(boxes, np.array([0, 1, 2]), 3, (64, 64), 8)
    assert classes[0, 3, 3] == 1
    assert classes[1, 2, 2] == 1
    assert classes[2, 0, 0] == 1


def test_an_image_without_objects_is_all_background():
    classes, _, foreground = make_targets(np.zeros((0, 4), np.float32), np.zeros(0, np.int64), 2, (64, 64), 8)
    assert classes.sum() == foreground.sum() == 0


def test_a_label_that_the_dataset_does_not_declare_is_named(tmp_path):
    version = make_version(tmp_path, toml=DATASET_TOML.replace('"dark"]', '"darkk"]'))
    with pytest.raises(UnknownLabel, match="squares/square-0: label 'dark' is not declared; did you mean 'darkk'"):
        TrainingSet(TrainingJob(make_model(), [version]), 8)


def test_an_image_of_another_size_than_its_annotations_is_named(tmp_path):
    version = make_version(tmp_path)
    Image.new("RGB", (40, 30)).save(version.images["square-2"].path)
    with pytest.raises(BadInput, match="squares/square-2: the annotations are for 96 × 96 px, the image has 40 × 30"):
        TrainingSet(TrainingJob(make_model(), [version]), 8)
