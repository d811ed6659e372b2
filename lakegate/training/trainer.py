"""The training loop: one-cycle AdamW, a checkpoint per epoch, the same weights for the same seed on a CPU."""

import logging
import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from lakegate.canonical import sha256_file
from lakegate.errors import BadDeclaration, SetupProblem
from lakegate.training.architectures import build
from lakegate.training.averaging import AveragedWeights
from lakegate.training.checkpoints import (
    LAST_FILE,
    MODEL_FILE,
    Checkpoint,
    find_checkpoint,
    save_checkpoint,
    save_tensors,
)
from lakegate.training.choice import best_epoch, choice_words, is_stopped
from lakegate.training.data import TrainingSet
from lakegate.training.held_out import split_samples
from lakegate.training.job import (
    BIT_IDENTICAL,
    FULL_PRECISION,
    MIXED_PRECISION,
    SEEDED_ONLY,
    Report,
    TrainingJob,
    TrainingResult,
)
from lakegate.training.machine import gpu_facts, peak_memory_bytes, reproducible
from lakegate.training.objective import Objective, Validation, require_finite
from lakegate.training.parts import part_of
from lakegate.training.process_group import ALONE, ProcessGroup
from lakegate.training.schedule import one_cycle
from lakegate.training.starting_weights import load_start
from lakegate.training.synced_norm import sync_batch_norms

log = logging.getLogger(__name__)


class Trainer:
    """One job's network, optimizer and history, in one process of ``group``."""

    def __init__(self, job: TrainingJob, folder: Path, group: ProcessGroup = ALONE) -> None:
        init = job.model.architecture.init
        if init != "random" and job.start is None:
            raise BadDeclaration(f"[architecture] init = '{init}', but the job names no weights to start from")
        if job.device == "cuda" and not torch.cuda.is_available():
            raise SetupProblem("device 'cuda' needs an NVIDIA GPU and its driver, torch sees none; train with device 'cpu'")
        self.job, self.folder, self.group = job, folder, group
        self.is_mixed = (
            job.model.training.mixed_precision == "auto" and job.device == "cuda" and torch.cuda.is_bf16_supported()
        )
        self.history: list[dict[str, float]] = []
        self.notes: list[str] = []
        self.best: dict[str, Tensor] = {}
        self.averaged: AveragedWeights | None = None
        self.train_s = 0.0

    def run(self, report: Report) -> TrainingResult:
        """Train until the last epoch, or until the validation loss no longer falls, and write ``model.pt``."""
        started = time.perf_counter()
        self.folder.mkdir(parents=True, exist_ok=True)
        training = self.job.model.training
        with reproducible(self.job):
            self._prepare()
            prepared = time.perf_counter()
            resumed_from = self._resume()
            for epoch in range(resumed_from or 0, training.epochs):
                if is_stopped(self.history, training.patience):
                    break
                report(epoch + 1, self._run_epoch(epoch))
        self._write_models()
        durations = {"prepare": prepared - started, "training": self.train_s, "total": time.perf_counter() - started}
        return self._result(resumed_from, durations)

    def _prepare(self) -> None:
        architecture, training = self.job.model.architecture, self.job.model.training
        torch.manual_seed(self.job.seed)
        network = build(architecture.name, len(self.job.labels), architecture.input_px, self.job.task)
        if self.job.start is not None:
            self._note(*load_start(network, self.job.start, self.job.labels))
        if self.group.size > 1:
            self._note(*sync_batch_norms(network))
        self.network = network.to(device=self.job.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.averaged = AveragedWeights(self.network, training.ema) if training.ema else None
        self._read_data()
        self.optimizer = torch.optim.AdamW(
            self.network.parameters(), lr=training.learning_rate, weight_decay=training.weight_decay, fused=True
        )
        self.steps_per_epoch = math.ceil(len(self.data) / training.batch_size)

    def _read_data(self) -> None:
        model, split = self.job.model, split_samples(self.job)
        part = part_of(self.job.task, self.network, self.job.labels, model.architecture.input_px)
        self.data, held_out = (TrainingSet(self.job, part, chosen, self.group) for chosen in (split.learnt, split.validated))
        self.objective = Objective(self.job, part, self.group, self.is_mixed)
        self.validation = Validation(held_out, self.objective, split.source, model.training.batch_size)

    def _resume(self) -> int | None:
        if not self.group.is_first:
            self.group.wait()  # the first process sets damaged files aside
        checkpoint, notes = find_checkpoint(self.folder, self.job.digest)
        if self.group.is_first:
            self.group.wait()
        self._note(*notes)
        if checkpoint is None:
            return None
        made_by, here = (checkpoint.threads, checkpoint.device), (self.job.threads, self.job.device)
        if made_by != here:
            self._note(
                f"epochs up to {checkpoint.epoch} ran on {checkpoint.device} with {checkpoint.threads} threads, "
                f"the others on {self.job.device} with {self.job.threads}: the weights are not bit-identical to one run"
            )
        self.network.load_state_dict(checkpoint.model)
        if self.averaged:
            self.averaged.network.load_state_dict(checkpoint.averaged)
        self.optimizer.load_state_dict(checkpoint.optimizer)
        torch.set_rng_state(checkpoint.rng["cpu"])
        if self.job.device == "cuda" and "cuda" in checkpoint.rng:
            torch.cuda.set_rng_state(checkpoint.rng["cuda"])
        self.history, self.train_s, self.best = list(checkpoint.history), checkpoint.train_s, checkpoint.best
        return checkpoint.epoch

    def _run_epoch(self, epoch: int) -> dict[str, float]:
        started = time.perf_counter()
        metrics = self._learn(epoch)
        metrics |= self.validation.measure(self._kept_network(), epoch + 1)
        metrics["epoch_s"] = time.perf_counter() - started
        self.history.append(metrics)
        self.train_s += metrics["epoch_s"]
        if self.validation.words and best_epoch(self.history) == epoch + 1:
            self.best = {name: tensor.cpu().clone() for name, tensor in self._kept_network().state_dict().items()}
        if self.group.is_first:
            self._save(epoch + 1)
        return metrics

    def _learn(self, epoch: int) -> dict[str, float]:
        self.network.train()
        self._seed_process(epoch)
        sums = dict.fromkeys(self.objective.part.losses, 0.0)
        for index, batch in enumerate(self.data.batches(self.job.seed, epoch, self.job.model.training.batch_size)):
            step = epoch * self.steps_per_epoch + index
            rate = self._set_learning_rate(step)
            losses = self.objective.losses(self.network, batch)
            values = self.objective.values(losses)
            require_finite(values, f"epoch {epoch + 1}, batch {index + 1}", batch, f" (now {rate:.2g})")
            self._step(losses["loss"], step)
            sums = {name: total + values[name] for name, total in sums.items()}
        return {name: total / self.steps_per_epoch for name, total in sums.items()} | {"learning_rate": rate}

    def _step(self, loss: Tensor, step: int) -> None:
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self.group.sum_gradients(self.network.parameters())
        self.optimizer.step()
        if self.averaged:
            self.averaged.update(self.network, step + 1)

    def _seed_process(self, epoch: int) -> None:
        """Let each of several processes draw numbers of its own, the same after a kill; one alone goes on with its own."""
        if self.group.size > 1:
            words = np.random.SeedSequence([self.job.seed, epoch, self.group.rank]).generate_state(1)
            torch.manual_seed(int(words[0]))

    def _set_learning_rate(self, step: int) -> float:
        training = self.job.model.training
        rate = one_cycle(step, self.steps_per_epoch * training.epochs, training.learning_rate)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        return rate

    def _kept_network(self) -> nn.Module:
        """Return the network that is validated and kept: the averaged one where there is one."""
        return self.averaged.network if self.averaged else self.network

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
            averaged=self.averaged.network.state_dict() if self.averaged else {},
            best=self.best,
        )
        save_checkpoint(checkpoint, self.folder)

    def _write_models(self) -> None:
        """Write the best weights as ``model.pt``, and the last ones as ``last.pt`` where they are others."""
        if not self.group.is_first:
            self.group.wait()
            return
        last = {name: tensor.cpu() for name, tensor in self._kept_network().state_dict().items()}
        if best_epoch(self.history) == len(self.history):
            (self.folder / LAST_FILE).unlink(missing_ok=True)
            save_tensors(last, self.folder / MODEL_FILE)
        else:
            save_tensors(last, self.folder / LAST_FILE)
            save_tensors(self.best, self.folder / MODEL_FILE)
        self.group.wait()

    def _result(self, resumed_from: int | None, durations_s: dict[str, float]) -> TrainingResult:
        training, model_path, last_path = self.job.model.training, self.folder / MODEL_FILE, self.folder / LAST_FILE
        chosen = best_epoch(self.history)
        names = [*self.objective.part.losses, *self.validation.names()]
        is_repeatable = self.job.device == "cpu" and self.group.size == 1
        return TrainingResult(
            model_path=model_path,
            model_sha256=sha256_file(model_path),
            metrics={name: self.history[chosen - 1][name] for name in names},
            durations_s=durations_s,
            peak_memory_bytes=peak_memory_bytes(),
            epochs_run=len(self.history) - (resumed_from or 0),
            resumed_from_epoch=resumed_from,
            determinism=BIT_IDENTICAL if is_repeatable else SEEDED_ONLY,
            threads=self.job.threads,
            n_samples=self.data.n_samples,
            history=tuple(self.history),
            notes=tuple(self.notes),
            gpu=gpu_facts() if self.job.device == "cuda" else None,
            chosen_epoch=chosen,
            chosen_because=choice_words(self.history, training.epochs, training.patience, self.validation.words),
            last_path=last_path if last_path.exists() else None,
            precision=MIXED_PRECISION if self.is_mixed else FULL_PRECISION,
            processes=self.group.size,
            start=self.job.start,
        )

    def _note(self, *notes: str) -> None:
        for note in notes:
            log.warning(note)
        self.notes.extend(notes)
