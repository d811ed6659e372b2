import pytest
import torch
from torch import nn

from lakegate.training.averaging import AveragedWeights


def a_network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))


def test_after_many_steps_the_average_is_the_exponential_one():
    network = a_network()
    averaged = AveragedWeights(network, decay=0.9)
    expected = network[0].weight.detach().clone()
    for step in range(1000, 1020):
        with torch.no_grad():
            network[0].weight.add_(1.0)
        averaged.update(network, step)
        expected = 0.9 * expected + 0.1 * network[0].weight.detach()
    assert torch.allclose(averaged.network[0].weight, expected, atol=1e-5)


def test_the_first_steps_are_followed_closely():
    network = a_network()
    averaged = AveragedWeights(network, decay=0.999)
    with torch.no_grad():
        network[0].bias.fill_(11.0)
        averaged.network[0].bias.fill_(0.0)
    averaged.update(network, 1)
    assert averaged.network[0].bias[0].item() == pytest.approx(9.0)


def test_batch_statistics_are_averaged_and_counts_are_copied():
    network = a_network().train()
    averaged = AveragedWeights(network, decay=0.5)
    network(torch.ones(2, 3, 8, 8))
    averaged.update(network, 1000)
    kept = averaged.network[1]
    assert kept.num_batches_tracked == 1
    assert torch.allclose(kept.running_var, (network[1].running_var + 1) / 2)
    assert not averaged.network.training
    assert not any(item.requires_grad for item in averaged.network.parameters())
