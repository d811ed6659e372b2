"""Detectors on the convolutional networks of timm and torchvision, with random weights."""

import importlib
from typing import Any

import torch
from torch import Tensor, nn

from lakegate.errors import BadDeclaration
from lakegate.training.library_networks import SMALLEST_PX, Normalise, require_known
from lakegate.training.pyramid_detector import STRIDES_PX, PyramidDetector

WIDTH = 96


class BackboneDetector(PyramidDetector):
    """A detector on three stages of a network of a library."""

    def __init__(self, backbone: nn.Module, channels: tuple[int, int, int], n_classes: int) -> None:
        super().__init__()
        self.normalise, self.backbone = Normalise(), backbone
        self.add_head(channels, WIDTH, n_classes)

    def features(self, images_NCHW: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the backbone's last features at each of the three strides."""
        at8, at16, at32 = self.backbone(self.normalise(images_NCHW))
        return at8, at16, at32


class TorchvisionStages(nn.Module):
    """The stages of a torchvision network as a list."""

    def __init__(self, extractor: nn.Module) -> None:
        super().__init__()
        self.extractor = extractor

    def forward(self, images_NCHW: Tensor) -> list[Tensor]:
        """Return features at 8, 16 and 32 px per location."""
        found = self.extractor(images_NCHW)
        return [found[str(stride)] for stride in STRIDES_PX]


def build_library_detector(library: str, name: str, n_classes: int) -> nn.Module:
    """Build a detector on ``name`` of timm or torchvision.

    Raises:
        BadDeclaration: the library has no such network, or one without features at 8, 16 and 32 px per location.
    """
    full = f"{library}:{name}"
    backbone = _from_timm(full, name) if library == "timm" else _from_torchvision(full, name)
    backbone.eval()
    with torch.no_grad():
        found = backbone(torch.zeros(1, 3, SMALLEST_PX, SMALLEST_PX))
    sizes = [tuple(item.shape[2:]) for item in found]
    if sizes != [(SMALLEST_PX // stride,) * 2 for stride in STRIDES_PX]:
        raise BadDeclaration(f"[architecture] name = '{full}': {_unfit(f'its features are of the sizes {sizes}')}")
    channels = tuple(item.shape[1] for item in found)
    return BackboneDetector(backbone.train(), (channels[0], channels[1], channels[2]), n_classes)


def _from_timm(full: str, name: str) -> nn.Module:
    import timm

    require_known(full, name, timm.list_models(), "detection")
    try:
        probe: Any = timm.create_model(name, features_only=True, pretrained=False)
        reductions: list[int] = probe.feature_info.reduction()
        if not {*STRIDES_PX} <= {*reductions}:
            raise ValueError(f"it gives them at {reductions}")
        chosen = [max(index for index, item in enumerate(reductions) if item == stride) for stride in STRIDES_PX]
        network: nn.Module = timm.create_model(name, features_only=True, pretrained=False, out_indices=chosen)
    except (RuntimeError, ValueError, AttributeError, AssertionError) as error:
        raise BadDeclaration(f"[architecture] name = '{full}': {_unfit(str(error))}") from error
    return network


def _from_torchvision(full: str, name: str) -> nn.Module:
    models: Any = importlib.import_module("torchvision.models")  # it has no types
    extraction: Any = importlib.import_module("torchvision.models.feature_extraction")
    require_known(full, name, models.list_models(module=models), "detection")
    network = models.get_model(name, weights=None)
    try:
        nodes = {module: str(stride) for stride, module in _last_modules(network).items()}
        extractor = extraction.create_feature_extractor(network, return_nodes=nodes)
    except (RuntimeError, ValueError, KeyError, AssertionError) as error:
        raise BadDeclaration(f"[architecture] name = '{full}': {_unfit(str(error))}") from error
    return TorchvisionStages(extractor)


def _last_modules(network: nn.Module) -> dict[int, str]:
    """Return by stride the name of the module that is the last to answer with features of that stride."""
    last: dict[int, str] = {}

    def remember(name: str, found: object) -> None:
        if isinstance(found, Tensor) and found.ndim == 4 and found.shape[2] == found.shape[3]:
            last[SMALLEST_PX // found.shape[2]] = name

    hooks = [
        module.register_forward_hook(lambda _module, _input, found, name=name: remember(name, found))
        for name, module in network.named_modules()
        if name
    ]
    was_training = network.training
    network.eval()
    with torch.no_grad():
        network(torch.zeros(1, 3, SMALLEST_PX, SMALLEST_PX))
    network.train(was_training)
    for hook in hooks:
        hook.remove()
    if not {*STRIDES_PX} <= {*last}:
        raise ValueError(f"it gives them at {sorted(last)}")
    return {stride: last[stride] for stride in STRIDES_PX}


def _unfit(why: str) -> str:
    return (
        f"a detector needs features at 8, 16 and 32 px per location, which this network does not give ({why}); "
        "choose a convolutional one such as 'timm:resnet18' or 'torchvision:mobilenet_v3_small'"
    )
