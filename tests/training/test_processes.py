"""A training in two real processes on the CPU, with gloo: what an image contributes does not depend on who sees it."""

import os
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from lakegate.errors import BadDeclaration, TrainingFailed
from lakegate.training.checkpoints import load_tensors
from lakegate.training.job import TrainingJob
from lakegate.training.loop import fit
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


@dataclass(frozen=True)
class DeadlyJob(TrainingJob):
    """A job that its process does not survive to read."""

    def __setstate__(self, state):
        assert state
        os.kill(os.getpid(), signal.SIGKILL)


def test_two_processes_add_up_to_the_gradients_and_losses_of_one_with_the_whole_batch(tmp_path):
    # 5 images in batches of 4: of the second batch one process has no image; 2 further ones are validated on
    alone, shared = (mortal_job(tmp_path / "images", 2, STANDING_STILL, n=7, n_val=2, processes=size) for size in (1, 2))
    assert alone.digest == shared.digest
    expected = fit(alone, tmp_path / "one", quiet)
    folder = tmp_path / "two"

    def interrupt(_epoch, _metrics):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(alone, folder, interrupt)
    seen = []
    result = fit(shared, folder, lambda epoch, metrics: seen.append((epoch, metrics["loss"], len(children()))))
    assert seen == [(2, result.history[1]["loss"], 2)]
    assert (result.resumed_from_epoch, result.epochs_run, result.processes) == (1, 1, 2)
    assert "ran on cpu with 1 threads, the others on cpu with 1 threads in each of 2 processes" in result.notes[0]
    for one, two in zip(without_seconds(expected.history), without_seconds(result.history), strict=True):
        assert two == pytest.approx(one, rel=1e-5)
    for one, two in zip(first_moments(tmp_path / "one"), first_moments(folder), strict=True):
        assert torch.allclose(one, two, atol=1e-6 + 1e-4 * float(one.abs().max()))
    one, two = (load_tensors(item.model_path) for item in (expected, result))
    assert all(torch.allclose(one[name], two[name], rtol=1e-4, atol=1e-5) for name in one)
    assert children() == []


def test_a_process_that_dies_ends_the_training_with_words_and_no_process_is_left(tmp_path):
    job = mortal_job(tmp_path / "images", processes=2)
    with pytest.raises(TrainingFailed, match=r"process [12] of 2 of the training ended without a result"):
        fit(DeadlyJob(**vars(job)), tmp_path / "run", quiet)
    assert children() == []


def test_more_processes_than_images_in_a_batch_are_refused(tmp_path):
    with pytest.raises(BadDeclaration, match=r"batch_size = 4 is less than \[resources\] gpus = 5"):
        fit(mortal_job(tmp_path / "images", processes=5), tmp_path / "run", quiet)
