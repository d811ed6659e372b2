from dataclasses import replace

import pytest

from lakegate.errors import TrainingFailed, UnknownName
from lakegate.lake.local_version import DatasetVersion
from lakegate.training.job import TrainingJob
from tests.training.synthetic import DATASET_TOML, make_model, make_version


def names(job):
    return [f"{version.version.dataset}/{sample.id}" for version, sample in job.train_samples()]


def test_only_samples_of_the_train_split_are_trained_on(tmp_path):
    version = make_version(tmp_path, n=4)
    held_out = replace(version.samples[1], split="test")
    version = replace(version, samples=(version.samples[0], held_out, *version.samples[2:]))
    assert names(TrainingJob(make_model(), [version])) == ["squares/square-0", "squares/square-2", "squares/square-3"]


def test_several_datasets_are_mixed_and_a_slice_narrows_one_of_them(tmp_path):
    versions = [make_version(tmp_path / "a", n=6), make_version(tmp_path / "b", n=2, dataset="others")]
    job = TrainingJob(make_model('["squares:first", "others"]'), versions)
    assert names(job) == [f"others/square-{index}" for index in range(2)] + [f"squares/square-{index}" for index in range(4)]


def test_a_sample_that_two_references_name_is_trained_on_once(tmp_path):
    job = TrainingJob(make_model('["squares:first", "squares"]'), [make_version(tmp_path, n=6)])
    assert len(names(job)) == 6


def test_without_samples_the_error_says_what_to_do(tmp_path):
    job = TrainingJob(make_model(), [make_version(tmp_path, split="test")])
    with pytest.raises(TrainingFailed, match=r"no samples to train on.*squares@v1: 8 samples in all.*lower the test share"):
        job.train_samples()


def test_a_dataset_without_a_version_and_an_unknown_slice_are_named(tmp_path):
    version = make_version(tmp_path)
    with pytest.raises(TrainingFailed, match="no version of 'other' was given"):
        TrainingJob(make_model('["other"]'), [version]).train_samples()
    with pytest.raises(UnknownName, match="'squares:frist': squares@v1 has no such slice; did you mean 'first'"):
        TrainingJob(make_model('["squares:frist"]'), [version]).train_samples()


def test_datasets_with_other_labels_are_not_mixed(tmp_path):
    swapped = DATASET_TOML.replace('["bright", "dark"]', '["dark", "bright"]')
    other = make_version(tmp_path / "b", dataset="others", toml=swapped)
    with pytest.raises(TrainingFailed, match="the same labels in the same order"):
        _ = TrainingJob(make_model(), [make_version(tmp_path / "a"), other]).labels


def test_the_digest_follows_data_parameters_and_seed_but_not_threads(tmp_path):
    version = make_version(tmp_path)
    job = TrainingJob(make_model(), [version])
    changed = replace(version, version=DatasetVersion("squares", "v2", "e" * 64, "f" * 64))
    retagged = replace(version, version=DatasetVersion("squares", "v9", "e" * 64, "d" * 64))
    assert TrainingJob(make_model(), [version], threads=2).digest == job.digest
    assert TrainingJob(make_model(), [retagged]).digest == job.digest
    others = [TrainingJob(make_model(epochs=3), [version]), TrainingJob(make_model(), [version], seed=1)]
    assert job.digest not in {item.digest for item in (*others, TrainingJob(make_model(), [changed]))}
