"""Networks of timm and torchvision, with random weights: nothing is fetched from the internet."""

import importlib
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from lakegate.declarations import ModelTask
from lakegate.errors import BadDeclaration, nearest

if TYPE_CHECKING:
    from collections.abc import Sequence

MEAN_RGB, DEVIATION_RGB = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)  # of ImageNet, in the range 0..255
SMALLEST_PX = 64


class LibraryClassifier(nn.Module):
    """A classifier of a library behind Lakegate's input and outputs."""

    def __init__(self, name: str, network: nn.Module) -> None:
        super().__init__()
        self.name, self.network = name, network
        self.normalise = Normalise()

    def raw(self, images_NCHW: Tensor) -> Tensor:
        """Return logits (N, C)."""
        return _one_tensor(self.name, self.network(self.normalise(images_NCHW)))

    def forward(self, images_NCHW: Tensor) -> Tensor:
        """Return probabilities (N, C)."""
        return self.raw(images_NCHW).softmax(dim=1)


class LibrarySegmenter(nn.Module):
    """A segmentation network of torchvision, which answers at the size of its input."""

    stride_px = 1

    def __init__(self, name: str, network: nn.Module) -> None:
        super().__init__()
        self.name, self.network = name, network
        self.normalise = Normalise()

    def raw(self, images_NCHW: Tensor) -> Tensor:
        """Return logits (N, 1 + C, H, W), the background first."""
        return _one_tensor(self.name, self.network(self.normalise(images_NCHW))["out"])

    def forward(self, images_NCHW: Tensor) -> Tensor:
        """Return probabilities (N, 1 + C, H, W)."""
        return self.raw(images_NCHW).softmax(dim=1)


class Normalise(nn.Module):
    """From RGB 0..255 to the mean and deviation that networks of both libraries are made for."""

    mean: Tensor
    deviation: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(MEAN_RGB).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("deviation", torch.tensor(DEVIATION_RGB).view(1, 3, 1, 1), persistent=False)

    def forward(self, images_NCHW: Tensor) -> Tensor:
        """Return an array of the same shape."""
        normalised: Tensor = (images_NCHW - self.mean) / self.deviation
        return normalised


def build_library_network(library: str, name: str, n_classes: int, task: ModelTask) -> nn.Module:
    """Build ``name`` of timm or torchvision for a task.

    Raises:
        BadDeclaration: the library has no such network for the task, or one that takes images of one size only.
    """
    network = _make(library, name, n_classes, task)
    _require_any_size(f"{library}:{name}", network)
    return network


def _make(library: str, name: str, n_classes: int, task: ModelTask) -> nn.Module:
    full = f"{library}:{name}"
    if (library, task) == ("timm", "classification"):
        import timm

        require_known(full, name, timm.list_models(), task)
        return LibraryClassifier(full, timm.create_model(name, pretrained=False, num_classes=n_classes))
    if library == "torchvision" and task in ("classification", "segmentation"):
        models: Any = importlib.import_module("torchvision.models")  # it has no types
        known = models.list_models(module=models if task == "classification" else models.segmentation)
        require_known(full, name, known, task)
        if task == "classification":
            return LibraryClassifier(full, models.get_model(name, weights=None, num_classes=n_classes))
        made = models.get_model(name, weights=None, weights_backbone=None, num_classes=n_classes + 1)
        return LibrarySegmenter(full, made)
    raise BadDeclaration(f"[architecture] name = '{full}': no network of {library} is supported for {task}")


def require_known(full: str, name: str, known: "Sequence[str]", task: ModelTask) -> None:
    """Raise ``BadDeclaration`` where ``name`` is not among the ``known`` ones; ``full`` is what was declared."""
    if name not in known:
        library = full.partition(":")[0]
        raise BadDeclaration(
            f"[architecture] name = '{full}': the installed {library} has no network '{name}' for {task}{nearest(name, known)}"
        )


def _require_any_size(full: str, network: nn.Module) -> None:
    """Run the network once at the smallest size that an export is compared at."""
    network.eval()
    try:
        with torch.no_grad():
            network(torch.zeros(1, 3, SMALLEST_PX, SMALLEST_PX))
    except (AssertionError, RuntimeError, ValueError) as error:
        raise BadDeclaration(
            f"[architecture] name = '{full}' does not take images of {SMALLEST_PX} × {SMALLEST_PX} px ({error}); choose a "
            "network that takes any multiple of 32, such as a convolutional one"
        ) from error
    network.train()


def _one_tensor(name: str, found: Any) -> Tensor:
    if not isinstance(found, Tensor):
        raise BadDeclaration(
            f"[architecture] name = '{name}': expected one array of logits, came a {type(found).__name__}; networks with "
            "auxiliary outputs are not supported, choose another one"
        )
    return found
