"""Networks by name, as ``[architecture] name`` declares them."""

import importlib
from typing import TYPE_CHECKING

from lakegate.errors import BadDeclaration

if TYPE_CHECKING:
    from torch import nn

TINY_DETECTOR = "tiny-detector"
_REQUIRED = ("raw", "forward", "stride_px")


def build(name: str, n_classes: int, input_px: tuple[int, int]) -> "nn.Module":
    """Build a network with random weights (seed torch before).

    In eval mode ``forward(images)`` takes float32 (N, 3, H, W), RGB 0..255, and returns boxes (N, A, 4) x1, y1, x2, y2 in
    input px and scores (N, A, C) 0..1. For training, ``raw(images)`` returns class logits (N, C, h, w) and distances in px
    (N, 4, h, w), with h = H / ``stride_px``.

    Args:
        name: "tiny-detector", or "package.module:factory", called as ``factory(n_classes, input_px)``.

    Raises:
        BadDeclaration: no such network, or what the factory returns does not hold to the above.
    """
    if name == TINY_DETECTOR:
        from lakegate.training.tiny_detector import TinyDetector

        return TinyDetector(n_classes)
    module_name, _, factory_name = name.partition(":")
    if not factory_name or module_name in ("torchvision", "timm"):
        raise BadDeclaration(
            f"[architecture] name = '{name}': networks of torchvision and timm are not supported yet; "
            f"known: '{TINY_DETECTOR}' and your own 'package.module:factory'"
        )
    return _from_factory(name, module_name, factory_name, n_classes, input_px)


def _from_factory(
    name: str, module_name: str, factory_name: str, n_classes: int, input_px: tuple[int, int]
) -> "nn.Module":
    from torch import nn

    try:
        factory = getattr(importlib.import_module(module_name), factory_name)
    except (ImportError, AttributeError) as error:
        raise BadDeclaration(
            f"[architecture] name = '{name}': {error}; the module must be installed where the training runs"
        ) from error
    network = factory(n_classes, input_px)
    missing = [item for item in _REQUIRED if not hasattr(network, item)]
    if not isinstance(network, nn.Module) or missing:
        raise BadDeclaration(
            f"[architecture] name = '{name}': expected a torch Module with {', '.join(_REQUIRED)}, came a "
            f"{type(network).__name__} without {', '.join(missing) or 'being a Module'}; see lakegate/training/tiny_detector.py"
        )
    return network
