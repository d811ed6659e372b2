"""The training loop: one-cycle AdamW, a checkpoint per epoch, the same weights for the same seed on a CPU."""

import logging
import math
import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lakegate.canonical import sha256_file
from lakegate.errors import BadDeclaration, SetupProblem, TrainingFailed
from lakegate.training.architectures import build
from lakegate.training.checkpoints import MODEL_FILE, Checkpoint, find_checkpoint, save_checkpoint, save_tensors
from lakegate.training.data import Batch, TrainingSet
from lakegate.training.job import BIT_IDENTICAL, SEEDED_ONLY, GpuFacts, Report, TrainingJob, TrainingResult
from lakegate.training.parts import part_of

log = logging.getLogger(__name__)

WARM_UP_SHARE = 0.3
START_DIVISOR = 25.0
END_DIVISOR = 1e4


class Trainer:
    """One job's network, optimizer and history."""

    def __init__(self, job: TrainingJob, folder: Path) -> None:
        if job.model.architecture.init != "random":
            raise BadDeclaration(
                f"[architecture] init = '{job.model.architecture.init}': only 'random' is supported now; leave it out"
            )
        if job.device == "cuda" and not torch.cuda.is_available():
            raise SetupProblem("device 'cuda' needs an NVIDIA GPU and its driver, torch sees none; train with device 'cpu'")
        self.job, self.folder = job, folder
        self.history: list[dict[str, float]] = []
        self.notes: list[str] = []
        self.train_s = 0.0

    def run(self, report: Report) -> TrainingResult:
        """Train to the last epoch and write ``model.pt``."""
        started = time.perf_counter()
        self.folder.mkdir(parents=True, exist_ok=True)
        with reproducible(self.job):
            self._prepare()
            prepared = time.perf_counter()
            resumed_from = self._resume()
            for epoch in range(resumed_from or 0, self.job.model.training.epochs):
                report(epoch + 1, self._run_epoch(epoch))
        model_path = self.folder / MODEL_FILE
        save_tensors({name: tensor.cpu() for name, tensor in self.network.state_dict().items()}, model_path)
        return TrainingResult(
            model_path=model_path,
            model_sha256=sha256_file(model_path),
            metrics={name: self.history[-1][name] for name in self.part.losses},
            durations_s={"prepare": prepared - started, "training": self.train_s, "total": time.perf_counter() - started},
            peak_memory_bytes=peak_memory_bytes(),
            epochs_run=len(self.history) - (resumed_from or 0),
            resumed_from_epoch=resumed_from,
            determinism=BIT_IDENTICAL if self.job.device == "cpu" else SEEDED_ONLY,
            threads=self.job.threads,
            n_samples=self.data.n_samples,
            history=tuple(self.history),
            notes=tuple(self.notes),
            gpu=gpu_facts() if self.job.device == "cuda" else None,
        )

    def _prepare(self) -> None:
        architecture, training = self.job.model.architecture, self.job.model.training
        torch.manual_seed(self.job.seed)
        network = build(architecture.name, len(self.job.labels), architecture.input_px, self.job.task)
        self.network = network.to(device=self.job.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.part = part_of(self.job.task, self.network, self.job.labels, architecture.input_px)
        self.data = TrainingSet(self.job, self.part, self.job.train_samples())
        self.optimizer = torch.optim.AdamW(
            self.network.parameters(), lr=training.learning_rate, weight_decay=training.weight_decay, fused=True
        )
        self.steps_per_epoch = math.ceil(len(self.data) / training.batch_size)

    def _resume(self) -> int | None:
        checkpoint, notes = find_checkpoint(self.folder, self.job.digest)
        self._note(*notes)
        if checkpoint is None:
            return None
        if (checkpoint.threads, checkpoint.device) != (self.job.threads, self.job.device):
            self._note(
                f"epochs up to {checkpoint.epoch} ran on {checkpoint.device} with {checkpoint.threads} threads, "
                f"the others on {self.job.device} with {self.job.threads}: the weights are not bit-identical to one run"
            )
        self.network.load_state_dict(checkpoint.model)
        self.optimizer.load_state_dict(checkpoint.optimizer)
        torch.set_rng_state(checkpoint.rng["cpu"])
        if self.job.device == "cuda" and "cuda" in checkpoint.rng:
            torch.cuda.set_rng_state(checkpoint.rng["cuda"])
        self.history, self.train_s = list(checkpoint.history), checkpoint.train_s
        return checkpoint.epoch

    def _run_epoch(self, epoch: int) -> dict[str, float]:
        started = time.perf_counter()
        self.network.train()
        training = self.job.model.training
        sums = dict.fromkeys(self.part.losses, 0.0)
        for index, batch in enumerate(self.data.batches(self.job.seed, epoch, training.batch_size)):
            rate = self._set_learning_rate(epoch * self.steps_per_epoch + index)
            losses = self._losses(batch)
            values = {name: value.item() for name, value in losses.items()}
            if not all(math.isfinite(value) for value in values.values()):
                raise TrainingFailed(
                    f"the loss is not finite in epoch {epoch + 1}, batch {index + 1} ({values}); samples: "
                    f"{', '.join(batch.names)}; look at their labels, or lower [training] learning_rate (now {rate:.2g})"
                )
            self.optimizer.zero_grad()
            losses["loss"].backward()  # type: ignore[no-untyped-call]
            self.optimizer.step()
            sums = {name: total + values[name] for name, total in sums.items()}
        metrics = {name: total / self.steps_per_epoch for name, total in sums.items()}
        metrics |= {"learning_rate": rate, "epoch_s": time.perf_counter() - started}
        self.history.append(metrics)
        self.train_s += metrics["epoch_s"]
        self._save(epoch + 1)
        return metrics

    def _losses(self, batch: Batch) -> dict[str, Tensor]:
        device = self.job.device
        images = torch.from_numpy(batch.images).to(device).permute(0, 3, 1, 2).float()
        targets = tuple(torch.from_numpy(array).to(device) for array in batch.targets)
        with torch.autocast(device, dtype=torch.bfloat16, enabled=self.job.mixed_precision):
            return self.part.loss(self.network, images, targets, self.part.divisors(targets))

    def _set_learning_rate(self, step: int) -> float:
        training = self.job.model.training
        rate = one_cycle(step, self.steps_per_epoch * training.epochs, training.learning_rate)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        return rate

    def _save(self, epoch: int) -> None:
        rng: dict[str, Any] = {"cpu": torch.get_rng_state()}
        if self.job.device == "cuda":
            rng["cuda"] = torch.cuda.get_rng_state()
        checkpoint = Checkpoint(
            job_digest=self.job.digest,
            epoch=epoch,
            threads=self.job.threads,
            device=self.job.device,
            model=self.network.state_dict(),
            optimizer=self.optimizer.state_dict(),
            rng=rng,
            history=self.history,
            train_s=self.train_s,
        )
        save_checkpoint(checkpoint, self.folder)

    def _note(self, *notes: str) -> None:
        for note in notes:
            log.warning(note)
        self.notes.extend(notes)


def one_cycle(step: int, n_steps: int, peak: float) -> float:
    """Return the learning rate of ``step`` (from 0): up to ``peak`` over 30 % of the steps, then down, along cosines.

    Source: Smith and Topin, "Super-Convergence", 2018; the constants are those of torch's OneCycleLR.

    >>> [round(one_cycle(step, 11, 1.0), 3) for step in (0, 3, 10)]
    [0.04, 0.98, 0.0]
    """
    top = max(WARM_UP_SHARE * n_steps - 1, 1e-9)
    low, lowest = peak / START_DIVISOR, peak / START_DIVISOR / END_DIVISOR
    if step <= top:
        start, end, share = low, peak, step / top
    else:
        start, end, share = peak, lowest, (step - top) / max(n_steps - 1 - top, 1e-9)
    return end + (start - end) * (1 + math.cos(math.pi * min(share, 1.0))) / 2


@contextmanager
def reproducible(job: TrainingJob) -> Iterator[None]:
    """Set threads and deterministic algorithms for a job, and put torch's settings back afterwards."""
    deterministic: Any = torch.utils.deterministic
    threads, fill = torch.get_num_threads(), deterministic.fill_uninitialized_memory
    was_deterministic = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    rng_state = torch.get_rng_state()
    torch.set_num_threads(job.threads)
    torch.use_deterministic_algorithms(True, warn_only=job.device == "cuda")
    deterministic.fill_uninitialized_memory = False  # NaN in unused memory finds bugs, but costs time
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(was_deterministic, warn_only=warn_only)
        deterministic.fill_uninitialized_memory = fill
        torch.set_rng_state(rng_state)


def peak_memory_bytes() -> int:
    """Return the largest resident size of this process so far."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def gpu_facts() -> GpuFacts:
    """Return what torch knows of the current GPU; the driver is ``unknown`` where NVML does not answer."""
    import pynvml

    properties = torch.cuda.get_device_properties(torch.cuda.current_device())
    try:
        pynvml.nvmlInit()
        driver = str(pynvml.nvmlSystemGetDriverVersion())
        pynvml.nvmlShutdown()
    except pynvml.NVMLError:
        driver = "unknown"
    return GpuFacts(properties.name, f"{properties.major}.{properties.minor}", driver, properties.total_memory)
