from dataclasses import replace

import pytest

from lakegate.errors import TrainingFailed
from lakegate.training.held_out import split_samples
from lakegate.training.job import TrainingJob
from tests.training.synthetic import make_model, make_version

PATIENT = make_model(extra="patience = 2")


def names(samples):
    return [sample.id for _, sample in samples]


def with_samples(version, **fields):
    """Change fields of the samples: each value is called with the sample's number."""
    changed = [
        replace(sample, **{name: value(number) for name, value in fields.items()})
        for number, sample in enumerate(version.samples)
    ]
    return replace(version, samples=tuple(changed))


def test_split_val_is_validated_on_where_there_is_one_and_nothing_of_train_is_held_out(tmp_path):
    version = with_samples(make_version(tmp_path, n=6), split=lambda number: "val" if number < 2 else "train")
    for model in (make_model(), PATIENT):
        split = split_samples(TrainingJob(model, [version]))
        assert names(split.validated) == ["square-0", "square-1"]
        assert names(split.learnt) == [f"square-{number}" for number in range(2, 6)]
        assert split.source == "split val"


def test_nothing_is_held_out_of_train_without_patience(tmp_path):
    split = split_samples(TrainingJob(make_model(), [make_version(tmp_path)]))
    assert (len(split.learnt), split.validated, split.source) == (8, [], "")


def test_a_tenth_is_held_out_by_whole_groups_and_stays_when_other_groups_come(tmp_path):
    version = with_samples(make_version(tmp_path, n=40), group=lambda number: f"film-{number // 4}")
    split = split_samples(TrainingJob(PATIENT, [version]))
    (film,) = {sample.group for _, sample in split.validated}
    assert len(split.validated) == 4
    assert {sample.group for _, sample in split.learnt} == {f"film-{number}" for number in range(10)} - {film}
    fewer = replace(version, samples=tuple(sample for sample in version.samples if sample.group in (film, "film-9", "film-0")))
    assert {sample.group for _, sample in split_samples(TrainingJob(PATIENT, [fewer])).validated} == {film}


def test_a_single_group_cannot_be_validated_on_and_the_error_says_what_to_do(tmp_path):
    version = with_samples(make_version(tmp_path), group=lambda _: "one film")
    with pytest.raises(TrainingFailed, match=r"single group.*set \[split\] val in dataset.toml"):
        split_samples(TrainingJob(PATIENT, [version]))
