"""Weights averaged over the steps of a training: smoother than the last ones, and what is validated and kept."""

from copy import deepcopy

import torch
from torch import Tensor, nn

WARM_UP_STEPS = 10  # early on the average follows the weights closely, so that random ones are soon forgotten


class AveragedWeights:
    """An exponential moving average of a network's parameters and batch statistics, in a copy of it in eval mode.

    Source: Polyak and Juditsky, "Acceleration of Stochastic Approximation by Averaging", 1992; warm-up as in TensorFlow's
    ExponentialMovingAverage.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.network = deepcopy(network).eval().requires_grad_(False)
        self.decay = decay

    @torch.no_grad()
    def update(self, network: nn.Module, n_steps: int) -> None:
        """Take in the weights after ``n_steps`` steps, counted from 1; whole numbers are copied."""
        decay = min(self.decay, (1 + n_steps) / (WARM_UP_STEPS + n_steps))
        for mine, theirs in zip(_tensors(self.network), _tensors(network), strict=True):
            if mine.is_floating_point():
                mine.lerp_(theirs, 1 - decay)
            else:
                mine.copy_(theirs)


def _tensors(network: nn.Module) -> list[Tensor]:
    return [*network.parameters(), *network.buffers()]
