"""A training in two real processes on the CPU, with gloo: what an image contributes does not depend on who sees it."""

import os
import subprocess
from pathlib import Path

import pytest
import torch

from lakegate.errors import BadDeclaration, TrainingFailed
from lakegate.training.checkpoints import load_tensors
from lakegate.training.loop import fit
from tests.training.own_network import DIE_AT_BATCH
from tests.training.test_loop import mortal_job, quiet, without_seconds

STANDING_STILL = "learning_rate = 1e-7\nema = 0.5"


def first_moments(folder: Path) -> list[torch.Tensor]:
    """Return AdamW's running means of the gradients: while the weights stand still, weighted sums of each batch's gradient."""
    state = load_tensors(folder / "checkpoint.pt")["optimizer"]["state"]
    return [state[index]["exp_avg"] for index in sorted(state)]


def children() -> list[str]:
    """Return the processes of a training that this one has started and not ended."""
    words = ["pgrep", "-P", str(os.getpid()), "-f", "lakegate.training.one_process"]
    return subprocess.run(words, capture_output=True, text=True).stdout.split()


def test_two_processes_add_up_to_the_gradients_and_losses_of_one_with_the_whole_batch(tmp_path, monkeypatch):
    images, folder = tmp_path / "images", tmp_path / "two"
    # 5 images in batches of 4: of the second batch one process has no image; 2 further ones are validated on
    jobs = [mortal_job(images, 2, STANDING_STILL, n=7, n_val=2, processes=size) for size in (1, 2)]
    assert jobs[0].digest == jobs[1].digest
    alone = fit(jobs[0], tmp_path / "one", quiet)

    monkeypatch.setenv(DIE_AT_BATCH, "3")
    seen = []

    def report(epoch, metrics):
        seen.append((epoch, metrics["loss"], len(children())))

    with pytest.raises(TrainingFailed, match=r"process [12] of 2 of the training ended without a result"):
        fit(jobs[1], folder, report)
    assert seen == [(1, pytest.approx(alone.history[0]["loss"], rel=1e-5), 2)]
    assert children() == []

    monkeypatch.delenv(DIE_AT_BATCH)
    shared = fit(jobs[1], folder, quiet)
    assert (shared.resumed_from_epoch, shared.epochs_run, shared.processes) == (1, 1, 2)
    for one, two in zip(without_seconds(alone.history), without_seconds(shared.history), strict=True):
        assert two == pytest.approx(one, rel=1e-5)
    for one, two in zip(first_moments(tmp_path / "one"), first_moments(folder), strict=True):
        assert torch.allclose(one, two, atol=1e-6 + 1e-4 * float(one.abs().max()))
    weights = [load_tensors(result.model_path) for result in (alone, shared)]
    assert all(torch.allclose(weights[0][name], weights[1][name], rtol=1e-4, atol=1e-5) for name in weights[0])


def test_more_processes_than_images_in_a_batch_are_refused(tmp_path):
    with pytest.raises(BadDeclaration, match=r"batch_size = 4 is less than \[resources\] gpus = 5"):
        fit(mortal_job(tmp_path / "images", processes=5), tmp_path / "run", quiet)
