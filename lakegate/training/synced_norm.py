"""Batch normalisation over the images of all processes, as if one process saw the whole batch."""

import torch
from torch import Tensor, distributed, nn
from torch.autograd import Function


class SyncedBatchNorm2d(nn.BatchNorm2d):
    """``BatchNorm2d`` with the mean and variance of all processes; torch's own SyncBatchNorm knows GPUs only.

    The default process group must be open. Parameters and buffers have the names and the meaning of BatchNorm2d.
    """

    def forward(self, input: Tensor) -> Tensor:
        """Normalise features (N, C, H, W); N may be 0 in some processes."""
        if not self.training:
            return super().forward(input)
        features = input.float()
        count = features.new_tensor([features.numel() / self.num_features])
        sums = torch.cat([features.sum(dim=(0, 2, 3)), count])
        totals = _sum_over_processes(sums)
        mean, n_values = totals[:-1] / totals[-1], totals[-1]
        centred = features - mean.view(1, -1, 1, 1)
        variance = _sum_over_processes(centred.square().sum(dim=(0, 2, 3))) / n_values
        self._remember(mean.detach(), variance.detach() * n_values / (n_values - 1).clamp(1))
        normalised = centred * torch.rsqrt(variance + self.eps).view(1, -1, 1, 1)
        if self.affine:
            normalised = normalised * self.weight.view(1, -1, 1, 1) + self.bias.view(1, -1, 1, 1)
        result: Tensor = normalised.to(input.dtype)
        return result

    @torch.no_grad()
    def _remember(self, mean: Tensor, variance: Tensor) -> None:
        if self.running_mean is None or self.running_var is None or self.num_batches_tracked is None:
            return
        self.num_batches_tracked += 1
        share = 1 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean, share)
        self.running_var.lerp_(variance, share)


class _SumOverProcesses(Function):
    """Add up in the forward pass; in the backward pass each summand's gradient is the sum of all processes' gradients."""

    @staticmethod
    def forward(_context: object, tensor: Tensor) -> Tensor:
        total = tensor.clone()
        distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(_context: object, gradient: Tensor) -> Tensor:
        total = gradient.clone()
        distributed.all_reduce(total)
        return total


def sync_batch_norms(network: nn.Module) -> list[str]:
    """Let every BatchNorm2d of ``network`` use the statistics of all processes; return a note on those it cannot change."""
    others = []
    for name, module in network.named_modules():
        if type(module) is nn.BatchNorm2d:
            module.__class__ = SyncedBatchNorm2d
        elif isinstance(module, nn.modules.batchnorm._BatchNorm):
            others.append(name)
    if not others:
        return []
    return [f"{len(others)} batch normalisations see the images of their own process only: {', '.join(others[:5])}"]


def _sum_over_processes(tensor: Tensor) -> Tensor:
    total: Tensor = _SumOverProcesses.apply(tensor)
    return total
