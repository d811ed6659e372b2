import math
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from lakegate.canonical import sha256_file
from lakegate.errors import BadDeclaration, SetupProblem, TrainingFailed
from lakegate.training.checkpoints import load_tensors
from lakegate.training.job import BIT_IDENTICAL, FULL_PRECISION, SEEDED_ONLY, StartingWeights, TrainingJob
from lakegate.training.loop import fit
from lakegate.training.schedule import one_cycle
from lakegate.training.trainer import Trainer
from tests.training.own_network import DIE_AT_BATCH
from tests.training.synthetic import make_model, make_version

STOPS_EARLY = "patience = 2\nlearning_rate = 0.01"  # too high a rate: after the first epochs the validation loss explodes
CHECKOUT = Path(__file__).resolve().parents[2]
KILLED_TRAINING = """
import sys
from pathlib import Path
from lakegate.training.job import TrainingJob
from lakegate.training.loop import fit
from tests.training.test_loop import mortal_job
job = mortal_job(Path(sys.argv[1]), int(sys.argv[3]), sys.argv[4])
fit(job, Path(sys.argv[2]), lambda epoch, metrics: print(epoch, flush=True))
"""

EMPTY_TRAINING = """
import sys
from pathlib import Path
from lakegate.training.loop import TrainingJob, fit
from tests.training.synthetic import make_model
fit(TrainingJob(make_model(), []), Path(sys.argv[1]), print)
"""


def quiet(epoch, metrics):
    assert epoch >= 1
    assert math.isfinite(metrics["loss"])


def mortal_job(images, epochs=3, extra="", n=8, n_val=0, **more):
    model, version = make_model(epochs=epochs, extra=extra), make_version(images, n)
    splits = ["val"] * n_val + ["train"] * (n - n_val)
    samples = (replace(sample, split=split) for sample, split in zip(version.samples, splits, strict=True))
    architecture = model.architecture.model_copy(update={"name": "tests.training.own_network:make_mortal"})
    declared = model.model_copy(update={"architecture": architecture})
    return TrainingJob(declared, [replace(version, samples=tuple(samples))], **more)


def test_two_trainings_of_one_job_end_with_identical_weights_and_another_seed_does_not(tmp_path):
    job = TrainingJob(make_model(), [make_version(tmp_path / "images")], threads=2)
    results = [fit(job, tmp_path / name, quiet) for name in ("a", "b")]
    assert results[0].determinism == BIT_IDENTICAL
    assert results[0].model_sha256 == results[1].model_sha256 == sha256_file(tmp_path / "a" / "model.pt")
    assert results[0].metrics == results[1].metrics
    other = fit(TrainingJob(job.model, job.versions, seed=1, threads=2), tmp_path / "c", quiet)
    assert other.model_sha256 != results[0].model_sha256


def test_the_result_tells_what_was_done_and_the_loss_falls(tmp_path):
    job = mortal_job(tmp_path / "images", epochs=6)
    seen = []
    result = fit(job, tmp_path / "run", lambda epoch, metrics: seen.append((epoch, metrics["loss"])))
    assert [epoch for epoch, _ in seen] == [1, 2, 3, 4, 5, 6]
    assert seen[-1][1] < seen[0][1]
    assert result.metrics["loss"] == seen[-1][1]
    assert result.n_samples == {"squares": 8}
    assert (result.epochs_run, result.resumed_from_epoch) == (6, None)
    assert result.peak_memory_bytes > 50_000_000
    assert (result.chosen_epoch, result.chosen_because) == (6, "the last of 6 epochs; no validation loss was measured")
    assert (result.last_path, result.precision, result.processes) == (None, FULL_PRECISION, 1)
    assert set(result.durations_s) == {"prepare", "training", "total"}
    assert set(load_tensors(result.model_path)) == set(load_tensors(tmp_path / "run" / "checkpoint.pt")["model"])


def train_until_killed(images, folder, batch, epochs=3, extra=""):
    """Return the epochs that a training of its own process reports before it dies in its forward pass ``batch``."""
    killed = subprocess.run(
        [sys.executable, "-c", KILLED_TRAINING, str(images), str(folder), str(epochs), extra],
        cwd=CHECKOUT,
        env={**os.environ, DIE_AT_BATCH: str(batch)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert not (folder / "model.pt").exists()
    return [int(line) for line in killed.stdout.split()]


def without_seconds(history):
    return [{name: value for name, value in row.items() if name != "epoch_s"} for row in history]


def test_a_training_that_was_interrupted_ends_with_the_weights_of_one_that_was_not(tmp_path):
    job, folder = mortal_job(tmp_path / "images"), tmp_path / "interrupted"

    def interrupt(epoch, _metrics):
        if epoch == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(job, folder, interrupt)
    assert not (folder / "model.pt").exists()
    resumed, whole = fit(job, folder, quiet), fit(job, tmp_path / "whole", quiet)
    assert (resumed.resumed_from_epoch, resumed.epochs_run) == (2, 1)
    assert resumed.model_sha256 == whole.model_sha256
    assert len(resumed.history) == 3
    assert without_seconds(resumed.history) == without_seconds(whole.history)


def test_a_killed_training_ends_with_the_best_averaged_and_last_weights_of_one_that_was_not(tmp_path):
    images, folder, extra = tmp_path / "images", tmp_path / "killed", f"{STOPS_EARLY}\nema = 0.6"
    whole = fit(mortal_job(images, 12, extra), tmp_path / "whole", quiet)
    n_epochs = len(whole.history)
    assert 1 < whole.chosen_epoch == n_epochs - 2 < 10
    batches_per_epoch = 2  # of 8 images one is validated on, with averaged weights in a network of their own
    died_in = whole.chosen_epoch + 2
    assert train_until_killed(images, folder, died_in * batches_per_epoch, 12, extra) == list(range(1, died_in))
    resumed = fit(mortal_job(images, 12, extra), folder, quiet)
    assert resumed.resumed_from_epoch == died_in - 1
    assert (resumed.chosen_epoch, resumed.chosen_because) == (whole.chosen_epoch, whole.chosen_because)
    assert resumed.model_sha256 == whole.model_sha256
    assert without_seconds(resumed.history) == without_seconds(whole.history)
    assert sha256_file(folder / "last.pt") == sha256_file(tmp_path / "whole" / "last.pt") != whole.model_sha256
    again = fit(mortal_job(images, 12, extra), folder, quiet)
    assert (again.epochs_run, again.model_sha256) == (0, whole.model_sha256)


def test_a_training_stops_early_and_keeps_the_best_weights_and_the_last(tmp_path):
    job, seen = mortal_job(tmp_path / "images", 12, STOPS_EARLY), []
    result = fit(job, tmp_path / "run", lambda _, metrics: seen.append(metrics["val_loss"]))
    assert len(seen) < 12
    assert 1 < result.chosen_epoch == seen.index(min(seen)) + 1 == len(seen) - 2
    assert result.metrics["val_loss"] == min(seen)
    assert "the lowest loss on 1 samples of split train that were held out" in result.chosen_because
    assert "stopped before epoch 12: it did not fall for 2 epochs" in result.chosen_because
    assert result.n_samples == {"squares": 7}
    assert validation_loss(job, result.model_path) == pytest.approx(min(seen), rel=1e-6)
    assert validation_loss(job, result.last_path) == pytest.approx(seen[-1], rel=1e-6)


def validation_loss(job, weights):
    """Measure the validation loss of a file of weights anew."""
    trainer = Trainer(job, weights.parent)
    trainer._prepare()
    trainer.network.load_state_dict(load_tensors(weights))
    return trainer.validation.measure(trainer.network, 1)["val_loss"]


def test_the_validation_loss_does_not_depend_on_the_batch_size_and_changes_no_training(tmp_path):
    version = make_version(tmp_path / "images")
    validated = replace(
        version, samples=tuple(replace(item, split="val" if item.id > "square-2" else "train") for item in version.samples)
    )
    only_train = replace(version, samples=tuple(item for item in validated.samples if item.split == "train"))
    results = {
        name: fit(TrainingJob(make_model(epochs=1), [data]), tmp_path / name, quiet)
        for name, data in (("with", validated), ("without", only_train))
    }
    assert results["with"].model_sha256 == results["without"].model_sha256
    assert "val_loss" not in results["without"].metrics
    assert "the lowest loss on 5 samples of split val" in results["with"].chosen_because
    losses = []
    for batch_size in (1, 2, 5):
        training = make_model().training.model_copy(update={"batch_size": batch_size})
        job = TrainingJob(make_model().model_copy(update={"training": training}), [validated])
        losses.append(validation_loss(job, results["with"].model_path))
    assert losses == pytest.approx([results["with"].metrics["val_loss"]] * 3, rel=1e-5)


def test_a_training_that_starts_from_a_run_is_ahead_of_one_from_random_weights(tmp_path):
    images = tmp_path / "images"
    first = fit(mortal_job(images, epochs=6), tmp_path / "first", quiet)
    start = StartingWeights("0123456789", first.model_sha256, first.model_path, ("bright", "dark"))
    job = mortal_job(images, epochs=1, start=start)
    assert job.digest != mortal_job(images, epochs=1).digest
    further, anew = fit(job, tmp_path / "further", quiet), fit(mortal_job(images, epochs=1), tmp_path / "anew", quiet)
    assert further.metrics["loss"] < 0.8 * anew.metrics["loss"]
    assert further.start == start
    assert "started from the weights of run 0123456789" in further.notes[0]


def test_a_finished_training_is_not_repeated(tmp_path):
    job = mortal_job(tmp_path / "images", epochs=1)
    first, again = (fit(job, tmp_path / "run", quiet) for _ in range(2))
    assert (again.epochs_run, again.resumed_from_epoch) == (0, 1)
    assert again.model_sha256 == first.model_sha256


def test_a_truncated_checkpoint_is_set_aside_and_the_training_starts_anew(tmp_path):
    job, folder = mortal_job(tmp_path / "images", epochs=1), tmp_path / "run"
    whole = fit(job, folder, quiet)
    checkpoint = folder / "checkpoint.pt"
    checkpoint.write_bytes(checkpoint.read_bytes()[:-100])
    result = fit(job, folder, quiet)
    assert result.resumed_from_epoch is None
    assert "set aside as checkpoint.broken-1.pt" in result.notes[0]
    assert result.model_sha256 == whole.model_sha256


def test_another_job_in_the_same_folder_is_refused(tmp_path):
    fit(mortal_job(tmp_path / "images", epochs=1), tmp_path / "run", quiet)
    with pytest.raises(TrainingFailed, match="of another job"):
        fit(mortal_job(tmp_path / "images", epochs=1, seed=7), tmp_path / "run", quiet)


def test_going_on_with_other_threads_is_noted(tmp_path):
    fit(mortal_job(tmp_path / "images", epochs=1), tmp_path / "run", quiet)
    result = fit(mortal_job(tmp_path / "images", epochs=1, threads=2), tmp_path / "run", quiet)
    assert "not bit-identical" in result.notes[0]


def test_a_loss_that_is_not_finite_names_epoch_batch_and_samples(tmp_path):
    model = make_model(extra="learning_rate = 1e30")
    with pytest.raises(TrainingFailed, match=r"not finite in epoch 1, batch 2 .*squares/square-\d.*learning_rate"):
        fit(TrainingJob(model, [make_version(tmp_path / "images")]), tmp_path / "run", quiet)


def test_an_unknown_start_and_a_missing_gpu_are_refused_before_anything_is_written(tmp_path):
    model = make_model()
    started = model.model_copy(update={"architecture": model.architecture.model_copy(update={"init": "production"})})
    with pytest.raises(BadDeclaration, match="init = 'production', but the job names no weights"):
        fit(TrainingJob(started, [make_version(tmp_path)]), tmp_path / "run", quiet)
    if not torch.cuda.is_available():
        with pytest.raises(SetupProblem, match="train with device 'cpu'"):
            fit(TrainingJob(model, [make_version(tmp_path)], device="cuda"), tmp_path / "run", quiet)
    assert not (tmp_path / "run").exists()


def test_a_training_leaves_the_settings_of_torch_as_they_were(tmp_path):
    threads, state = torch.get_num_threads(), torch.get_rng_state()
    fit(mortal_job(tmp_path / "images", epochs=1, threads=threads + 1), tmp_path / "run", quiet)
    assert torch.get_num_threads() == threads
    assert torch.equal(torch.get_rng_state(), state)
    assert not torch.are_deterministic_algorithms_enabled()


def test_threads_do_not_spin_while_they_wait(tmp_path):
    environment = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    answer = subprocess.run(
        [sys.executable, "-c", EMPTY_TRAINING, str(tmp_path)],
        cwd=CHECKOUT,
        env={**environment, "OMP_DISPLAY_ENV": "true"},
        capture_output=True,
        text=True,
    )
    assert "expected at least one dataset version to train on" in answer.stderr
    assert "OMP_WAIT_POLICY = 'PASSIVE'" in answer.stderr  # printed by the OpenMP that torch loads


def test_the_learning_rate_follows_one_cycle_of_torch():
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.AdamW([parameter], lr=1.0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.004, total_steps=50, cycle_momentum=False)
    for step in range(50):
        assert one_cycle(step, 50, 0.004) == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-6, abs=1e-12)
        optimizer.step()
        schedule.step()
    assert one_cycle(0, 1, 0.004) > 0


@pytest.mark.gpu
def test_a_training_on_a_gpu_reaches_the_loss_of_one_on_the_cpu(tmp_path):
    if not torch.cuda.is_available():
        pytest.skip("no GPU: torch sees no CUDA device")
    on_cpu, on_gpu = (
        fit(mortal_job(tmp_path / "images", epochs=6, device=device), tmp_path / device, quiet) for device in ("cpu", "cuda")
    )
    assert on_gpu.determinism == SEEDED_ONLY
    assert on_gpu.gpu is not None
    assert on_gpu.metrics["loss"] == pytest.approx(on_cpu.metrics["loss"], rel=0.1)
