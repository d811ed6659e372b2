import numpy as np
import pytest
from PIL import Image

from lakegate.errors import BadInput, UnknownLabel
from lakegate.training.data import TrainingSet
from lakegate.training.detection_part import DetectionPart
from lakegate.training.job import TrainingJob
from tests.training.synthetic import DATASET_TOML, make_model, make_version


def training_set(job, **more):
    part = DetectionPart(job.labels, job.model.architecture.input_px, stride_px=8)
    return TrainingSet(job, part, job.train_samples(), **more)


def test_the_same_seed_and_epoch_give_the_same_batches_and_others_do_not(tmp_path):
    data = training_set(TrainingJob(make_model(), [make_version(tmp_path)]))
    first, again, other = (list(data.batches(seed, 3, 4)) for seed in (0, 0, 1))
    assert [batch.names for batch in first] == [batch.names for batch in again]
    assert all(np.array_equal(one.images, two.images) for one, two in zip(first, again, strict=True))
    assert [batch.names for batch in first] != [batch.names for batch in other]


def test_every_sample_comes_once_per_epoch_and_the_last_batch_may_be_short(tmp_path):
    data = training_set(TrainingJob(make_model(), [make_version(tmp_path, n=6)]))
    batches = list(data.batches(0, 0, 4))
    assert [len(batch.names) for batch in batches] == [4, 2]
    assert sorted(name for batch in batches for name in batch.names) == [f"squares/square-{index}" for index in range(6)]


def test_above_the_memory_limit_images_are_decoded_per_batch_with_the_same_result(tmp_path):
    job = TrainingJob(make_model(), [make_version(tmp_path)])
    kept, decoded = training_set(job), training_set(job, memory_limit_bytes=1000)
    assert kept.fits_in_memory
    assert not decoded.fits_in_memory
    for one, two in zip(kept.batches(0, 0, 4), decoded.batches(0, 0, 4), strict=True):
        assert np.array_equal(one.images, two.images)
        assert all(np.array_equal(first, second) for first, second in zip(one.targets, two.targets, strict=True))


def test_a_label_that_the_dataset_does_not_declare_is_named(tmp_path):
    version = make_version(tmp_path, toml=DATASET_TOML.replace('"dark"]', '"darkk"]'))
    with pytest.raises(UnknownLabel, match="squares/square-0: label 'dark' is not declared; did you mean 'darkk'"):
        training_set(TrainingJob(make_model(), [version]))


def test_an_image_of_another_size_than_its_annotations_is_named(tmp_path):
    version = make_version(tmp_path)
    Image.new("RGB", (40, 30)).save(version.images["square-2"].path)
    with pytest.raises(BadInput, match="squares/square-2: the annotations are for 96 × 96 px, the image has 40 × 30"):
        training_set(TrainingJob(make_model(), [version]))
