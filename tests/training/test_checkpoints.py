import os
import pickle

import pytest
import torch

from lakegate.errors import BadInput, BrokenModelFile, TrainingFailed, UnsafeModelFile
from lakegate.training.checkpoints import Checkpoint, find_checkpoint, load_tensors, save_checkpoint, save_tensors


class Attack:
    """Runs a command when it is unpickled."""

    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return os.system, (f"touch {self.target}",)


def a_checkpoint(epoch, digest="job"):
    weights = {"weight": torch.full((3,), float(epoch))}
    return Checkpoint(digest, epoch, 1, "cpu", weights, {"state": {}}, {"cpu": torch.get_rng_state()}, [{"loss": 1.0}], 2.0)


def test_tensors_come_back_as_they_were_and_nothing_is_left_beside_them(tmp_path):
    save_tensors({"a": torch.arange(4)}, tmp_path / "model.pt")
    assert load_tensors(tmp_path / "model.pt")["a"].tolist() == [0, 1, 2, 3]
    assert [path.name for path in tmp_path.iterdir()] == ["model.pt"]


@pytest.mark.parametrize("name", ["zip", "legacy", "pickle"])
def test_a_pickle_with_code_is_refused_and_does_not_run(tmp_path, name):
    path, target = tmp_path / "model.pt", tmp_path / "was-run"
    if name == "pickle":
        path.write_bytes(pickle.dumps({"weight": Attack(target)}))
    else:
        torch.save({"weight": Attack(target)}, path, _use_new_zipfile_serialization=name == "zip")
    with pytest.raises(UnsafeModelFile, match="it was not unpickled"):
        load_tensors(path)
    assert not target.exists()


def test_a_checkpoint_with_code_stops_the_training_instead_of_being_set_aside(tmp_path):
    torch.save({"weight": Attack(tmp_path / "was-run")}, tmp_path / "checkpoint.pt")
    with pytest.raises(UnsafeModelFile):
        find_checkpoint(tmp_path, "job")
    assert not (tmp_path / "was-run").exists()


@pytest.mark.parametrize("damage", ["truncated", "flipped", "empty", "text"])
def test_a_damaged_file_is_told_from_an_unsafe_one(tmp_path, damage):
    path = tmp_path / "model.pt"
    save_tensors({"weight": torch.zeros(1000)}, path)
    data = bytearray(path.read_bytes())
    if damage == "flipped":
        data[len(data) // 2] ^= 0xFF
    path.write_bytes({"truncated": data[:-700], "flipped": data, "empty": b"", "text": b"<html>"}[damage])
    with pytest.raises(BrokenModelFile, match="train again"):
        load_tensors(path)


def test_an_absent_file_is_named(tmp_path):
    with pytest.raises(BadInput, match=r"absent\.pt: cannot be read"):
        load_tensors(tmp_path / "absent.pt")


def test_the_newest_checkpoint_is_found(tmp_path):
    for epoch in (1, 2, 3):
        save_checkpoint(a_checkpoint(epoch), tmp_path)
    found, notes = find_checkpoint(tmp_path, "job")
    assert found is not None
    assert found.epoch == 3
    assert found.model["weight"].tolist() == [3, 3, 3]
    assert notes == []


def test_a_damaged_checkpoint_is_set_aside_and_the_one_before_it_is_used(tmp_path):
    for epoch in (1, 2):
        save_checkpoint(a_checkpoint(epoch), tmp_path)
    path = tmp_path / "checkpoint.pt"
    path.write_bytes(path.read_bytes()[:-300])
    found, notes = find_checkpoint(tmp_path, "job")
    assert found is not None
    assert found.epoch == 1
    assert "set aside as checkpoint.broken-1.pt" in notes[0]
    assert (tmp_path / "checkpoint.broken-1.pt").exists()


def test_between_the_two_renames_of_a_killed_save_the_previous_checkpoint_counts(tmp_path):
    save_checkpoint(a_checkpoint(1), tmp_path)
    (tmp_path / "checkpoint.pt").rename(tmp_path / "checkpoint.previous.pt")
    found, _ = find_checkpoint(tmp_path, "job")
    assert found is not None
    assert found.epoch == 1


def test_a_checkpoint_of_another_job_is_refused_with_what_to_do(tmp_path):
    save_checkpoint(a_checkpoint(1, digest="another"), tmp_path)
    with pytest.raises(TrainingFailed, match=r"of another job.*train into another folder"):
        find_checkpoint(tmp_path, "job")


def test_a_table_of_tensors_that_is_no_checkpoint_is_set_aside(tmp_path):
    save_tensors({"weight": torch.zeros(2)}, tmp_path / "checkpoint.pt")
    found, notes = find_checkpoint(tmp_path, "job")
    assert found is None
    assert "not a checkpoint" in notes[0]
