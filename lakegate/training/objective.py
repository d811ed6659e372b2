"""What a training minimises and what it is validated by: the same losses, over all processes."""

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from lakegate.errors import TrainingFailed
from lakegate.training.data import Batch, TrainingSet
from lakegate.training.job import TrainingJob
from lakegate.training.parts import Arrays, TrainingPart
from lakegate.training.process_group import ProcessGroup


class Objective:
    """The losses of a task's part on this job's device; ``is_mixed`` computes in bfloat16 where that is safe."""

    def __init__(self, job: TrainingJob, part: TrainingPart, group: ProcessGroup, is_mixed: bool) -> None:
        self.device, self.part, self.group, self.is_mixed = job.device, part, group, is_mixed

    def losses(self, network: nn.Module, batch: Batch, divisors: Tensor | None = None) -> dict[str, Tensor]:
        """Return this process's share of each loss; without ``divisors``, those of the batch over all processes count."""
        images = torch.from_numpy(batch.images).to(self.device).permute(0, 3, 1, 2).float()
        targets = self._tensors(batch.targets)
        if divisors is None:
            divisors = self.group.sum(self.part.divisors(targets))
        with torch.autocast(self.device, dtype=torch.bfloat16, enabled=self.is_mixed):
            return self.part.loss(network, images, targets, divisors)

    def values(self, losses: Mapping[str, Tensor]) -> dict[str, float]:
        """Return the losses of all processes together."""
        totals = self.group.sum(torch.stack([losses[name].detach() for name in self.part.losses]))
        return dict(zip(self.part.losses, totals.tolist(), strict=True))

    def count(self, data: TrainingSet) -> Tensor:
        """Return the divisors of all images of ``data`` together, in all processes."""
        counts = [self.part.divisors(self._tensors(targets)) for targets in data.targets()]
        return torch.stack(counts).sum(dim=0)

    def _tensors(self, arrays: Arrays) -> tuple[Tensor, ...]:
        return tuple(torch.from_numpy(array).to(self.device) for array in arrays)


class Validation:
    """The losses over all validation samples at once, whatever the batch size; nothing where there are none."""

    def __init__(self, data: TrainingSet, objective: Objective, source: str, batch_size: int) -> None:
        self.data, self.objective, self.batch_size = data, objective, batch_size
        self.words = f"{len(data)} samples of {source}" if len(data) else ""
        self.divisors = objective.count(data) if len(data) else None

    def names(self) -> list[str]:
        """Return what ``measure`` measures."""
        return [f"val_{name}" for name in self.objective.part.losses] if self.words else []

    @torch.no_grad()
    def measure(self, network: nn.Module, epoch: int) -> dict[str, float]:
        """Return the losses of ``network`` in eval mode after ``epoch``; raises ``TrainingFailed`` where one is not finite."""
        if not self.words:
            return {}
        network.eval()
        sums = dict.fromkeys(self.objective.part.losses, 0.0)
        for batch in self.data.in_order(self.batch_size):
            values = self.objective.values(self.objective.losses(network, batch, self.divisors))
            require_finite(values, f"the validation after epoch {epoch}", batch)
            sums = {name: total + values[name] for name, total in sums.items()}
        return {f"val_{name}": total for name, total in sums.items()}


def require_finite(values: Mapping[str, float], where: str, batch: Batch, advice: str = "") -> None:
    """Raise ``TrainingFailed`` with the batch's samples where a loss is nan or infinite."""
    if not all(math.isfinite(value) for value in values.values()):
        raise TrainingFailed(
            f"the loss is not finite in {where} ({dict(values)}); samples: {', '.join(batch.names)}; "
            f"look at their labels, or lower [training] learning_rate{advice}"
        )
