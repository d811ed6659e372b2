"""The door to training: torch is loaded only when a training starts."""

import os
from pathlib import Path

from lakegate.training.job import Report, TrainingJob, TrainingResult

__all__ = ["Report", "TrainingJob", "TrainingResult", "fit"]


def fit(job: TrainingJob, folder: Path, report: Report) -> TrainingResult:
    """Train, or go on from the checkpoint in ``folder``; run again after a kill, it ends with the same weights (CPU).

    Args:
        job: what to train on what.
        folder: for ``checkpoint.pt`` (after every epoch), ``model.pt`` (the state_dict of the epoch with the lowest
            validation loss, else of the last) and ``last.pt`` (of the last epoch where that is another one).
        report: called after each epoch with its number, from 1, and its metrics.

    Raises:
        TrainingFailed: no samples, a loss that is not finite, or a checkpoint of another job.
        UnsafeModelFile: the checkpoint holds code.
        BadDeclaration: the architecture is not known, or it starts from weights that the job does not name.
        SetupProblem: "cuda" is asked for and there is no GPU.
    """
    # OpenMP reads it when torch is loaded: spinning threads made an epoch 4 times slower beside one busy process.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    if job.processes > 1:
        from lakegate.training.processes import fit_in_processes

        return fit_in_processes(job, folder, report)
    from lakegate.training.trainer import Trainer

    return Trainer(job, folder).run(report)
