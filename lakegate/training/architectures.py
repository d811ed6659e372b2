"""Networks by name, as ``[architecture] name`` declares them."""

import importlib
from typing import TYPE_CHECKING

from lakegate.declarations import ModelTask
from lakegate.errors import BadDeclaration

if TYPE_CHECKING:
    from torch import nn

TINY: dict[ModelTask, str] = {
    "detection": "tiny-detector",
    "classification": "tiny-classifier",
    "segmentation": "tiny-segmenter",
}
TINY_DETECTOR = TINY["detection"]
LIBRARIES: dict[ModelTask, tuple[str, ...]] = {
    "detection": ("timm", "torchvision"),
    "classification": ("timm", "torchvision"),
    "segmentation": ("torchvision",),
}
_REQUIRED: dict[ModelTask, tuple[str, ...]] = {
    "detection": ("raw", "forward", "stride_px"),
    "classification": ("raw", "forward"),
    "segmentation": ("raw", "forward", "stride_px"),
}


def build(name: str, n_classes: int, input_px: tuple[int, int], task: ModelTask = "detection") -> "nn.Module":
    """Build a network with random weights (seed torch before).

    ``images`` are float32 (N, 3, H, W), RGB 0..255; h = H / ``stride_px``. In eval mode ``forward(images)`` returns what the
    ONNX file returns; for training, ``raw(images)`` returns what the loss is made of:

    ==============  =====================================================  ====================================================
    task            forward                                                raw
    ==============  =====================================================  ====================================================
    detection       boxes (N, A, 4) x1, y1, x2, y2 in input px, scores     class logits (N, C, h, w), distances (N, 4, h, w) in
                    (N, A, C) 0..1                                         px
    classification  probabilities (N, C)                                   logits (N, C)
    segmentation    probabilities (N, 1 + C, h, w), the background first   logits of the same shape
    ==============  =====================================================  ====================================================

    Args:
        name: "tiny-detector", "tiny-classifier" or "tiny-segmenter"; "timm:<name>" or "torchvision:<name>" where
            ``LIBRARIES`` has them for the task; or "package.module:factory", called as ``factory(n_classes, input_px)``.

    Raises:
        BadDeclaration: no such network for the task, or what the factory returns does not hold to the above.
    """
    if name in TINY.values():
        return _tiny(name, n_classes, task)
    module_name, _, rest = name.partition(":")
    if not rest or module_name in {"timm", "torchvision"} - {*LIBRARIES[task]}:
        raise BadDeclaration(f"[architecture] name = '{name}': {_known(task)}")
    if module_name in LIBRARIES[task] and task == "detection":
        from lakegate.training.library_detectors import build_library_detector

        return build_library_detector(module_name, rest, n_classes)
    if module_name in LIBRARIES[task]:
        from lakegate.training.library_networks import build_library_network

        return build_library_network(module_name, rest, n_classes, task)
    return _from_factory(name, module_name, rest, n_classes, input_px, task)


def _tiny(name: str, n_classes: int, task: ModelTask) -> "nn.Module":
    if name != TINY[task]:
        raise BadDeclaration(f"[architecture] name = '{name}' is no network for task '{task}': {_known(task)}")
    if task == "detection":
        from lakegate.training.tiny_detector import TinyDetector

        return TinyDetector(n_classes)
    if task == "classification":
        from lakegate.training.tiny_classifier import TinyClassifier

        return TinyClassifier(n_classes)
    from lakegate.training.tiny_segmenter import TinySegmenter

    return TinySegmenter(n_classes)


def _known(task: ModelTask) -> str:
    names = [TINY[task], *(f"{library}:<name>" for library in LIBRARIES[task])]
    return f"known for {task}: {', '.join(map(repr, names))}, and your own 'package.module:factory'"


def _from_factory(
    name: str, module_name: str, factory_name: str, n_classes: int, input_px: tuple[int, int], task: ModelTask
) -> "nn.Module":
    from torch import nn

    try:
        factory = getattr(importlib.import_module(module_name), factory_name)
    except (ImportError, AttributeError) as error:
        raise BadDeclaration(
            f"[architecture] name = '{name}': {error}; the module must be installed where the training runs"
        ) from error
    network = factory(n_classes, input_px)
    missing = [item for item in _REQUIRED[task] if not hasattr(network, item)]
    if not isinstance(network, nn.Module) or missing:
        raise BadDeclaration(
            f"[architecture] name = '{name}': expected a torch Module with {', '.join(_REQUIRED[task])} for {task}, came a "
            f"{type(network).__name__} without {', '.join(missing) or 'being a Module'}; see lakegate/training/"
            f"{TINY[task].replace('-', '_')}.py"
        )
    return network
