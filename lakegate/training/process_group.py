"""The processes that share every batch of one training, and what they add up."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, distributed, nn


@dataclass(frozen=True)
class ProcessGroup:
    """This process's ``rank`` among ``size``. With more than one, torch's default process group is open."""

    rank: int = 0
    size: int = 1

    @property
    def is_first(self) -> bool:
        return self.rank == 0

    def sum(self, tensor: Tensor) -> Tensor:
        """Return the sum over all processes; the tensor itself where there is one process."""
        if self.size == 1:
            return tensor
        total = tensor.detach().clone()
        distributed.all_reduce(total)
        return total

    def sum_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Add up the gradients of all processes in place, in one transfer: each holds the gradient of the whole batch."""
        gradients = [item.grad for item in parameters if item.grad is not None]
        if self.size == 1 or not gradients:
            return
        flat = self.sum(torch.cat([item.reshape(-1) for item in gradients]))
        totals = torch.split(flat, [item.numel() for item in gradients])
        for gradient, total in zip(gradients, totals, strict=True):
            gradient.copy_(total.view_as(gradient))

    def wait(self) -> None:
        """Wait until all processes are here."""
        if self.size > 1:
            distributed.barrier()


ALONE = ProcessGroup()
