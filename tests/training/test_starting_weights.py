import pytest
import torch

from lakegate.errors import TrainingFailed, UnsafeModelFile
from lakegate.training.checkpoints import save_tensors
from lakegate.training.job import StartingWeights
from lakegate.training.starting_weights import load_start
from lakegate.training.tiny_detector import TinyDetector

LABELS = ("bright", "dark")


def weights_of(network, path, labels=LABELS):
    save_tensors(network.state_dict(), path)
    return StartingWeights("0123456789", "d" * 64, path, labels)


def test_weights_of_the_same_network_are_taken_whole(tmp_path):
    source, network = TinyDetector(2, width=8), TinyDetector(2, width=8)
    (note,) = load_start(network, weights_of(source, tmp_path / "model.pt"), LABELS)
    assert "started from the weights of run 0123456789" in note
    assert all(torch.equal(mine, theirs) for mine, theirs in zip(network.parameters(), source.parameters(), strict=True))


def test_a_head_for_other_labels_stays_random_and_is_named(tmp_path):
    source, network = TinyDetector(2, width=8), TinyDetector(3, width=8)
    before = network.classes.weight.detach().clone()
    notes = load_start(network, weights_of(source, tmp_path / "model.pt"), ("bright", "dark", "grey"))
    assert notes[1].endswith("in another shape or not at all: classes")
    assert notes[2] == "run 0123456789 had learnt the labels ['bright', 'dark'], in this order"
    assert torch.equal(network.classes.weight, before)
    assert torch.equal(network.stem[0].weight, source.stem[0].weight)


def test_layers_that_only_the_run_has_are_named(tmp_path):
    source, network = TinyDetector(2, width=8), TinyDetector(2, width=8)
    source.extra = torch.nn.Linear(3, 3)
    assert "this network has no such layers: extra" in load_start(network, weights_of(source, tmp_path / "m.pt"), LABELS)[1]


def test_a_run_of_another_architecture_is_refused(tmp_path):
    start = weights_of(torch.nn.Linear(3, 3), tmp_path / "model.pt")
    with pytest.raises(TrainingFailed, match="no layer of run 0123456789 has the name and the shape"):
        load_start(TinyDetector(2), start, LABELS)


def test_a_file_with_code_is_not_unpickled(tmp_path):
    torch.save({"weight": torch.nn.Linear(1, 1)}, tmp_path / "model.pt")
    with pytest.raises(UnsafeModelFile):
        load_start(TinyDetector(2), StartingWeights("0123456789", "d" * 64, tmp_path / "model.pt", LABELS), LABELS)
