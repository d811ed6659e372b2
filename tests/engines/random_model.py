"""A detector with random weights, exported: quick to make, and no output is trivial."""

import torch

from lakegate.training.architectures import build
from lakegate.training.checkpoints import save_tensors
from tests.training.synthetic import make_model

LABELS = ("bright", "dark")
EXPORT = "[export]\nbatch = [1, 2, 3]\nparity_atol = 1e-3"


def write_weights(path, declaration, n_classes=2):
    """Random weights with statistics of random batches, so that no output is trivial."""
    torch.manual_seed(0)
    network = build(declaration.architecture.name, n_classes, declaration.architecture.input_px).train()
    with torch.no_grad():
        for _ in range(3):
            network.raw(torch.rand(4, 3, 64, 64) * 255)
    save_tensors(network.state_dict(), path)
    return path


def declare(factory="", side_px=96):
    model = make_model(extra=EXPORT, side_px=side_px)
    if not factory:
        return model
    name = f"tests.engines.own_networks:{factory}"
    return model.model_copy(update={"architecture": model.architecture.model_copy(update={"name": name})})
