"""What the detector learns by: focal loss for the labels, generalised IoU for the boxes."""

import torch
from torch import Tensor
from torch.nn import functional

FOCAL_ALPHA = 0.25
FOCAL_GAMMA = 2


def focal_loss(logits: Tensor, classes: Tensor, n_foreground: Tensor) -> Tensor:
    """Sum of the focal loss over locations and labels, per foreground location.

    Args:
        logits: (N, C, h, w).
        classes: the same shape, 0 or 1.
        n_foreground: scalar, at least 1.

    Source: Lin et al., "Focal Loss for Dense Object Detection", ICCV 2017.
    """
    probability = logits.sigmoid()
    miss = torch.where(classes > 0, 1 - probability, probability)
    weight = torch.where(classes > 0, FOCAL_ALPHA, 1 - FOCAL_ALPHA) * miss**FOCAL_GAMMA
    entropy = functional.binary_cross_entropy_with_logits(logits, classes, reduction="none")
    return (weight * entropy).sum() / n_foreground


def giou_loss(distances: Tensor, targets: Tensor, foreground: Tensor, n_foreground: Tensor) -> Tensor:
    """Mean of 1 − GIoU over foreground locations.

    Args:
        distances, targets: (N, 4, h, w), left, top, right, bottom in px, not negative.
        foreground: (N, h, w), 0 or 1.
        n_foreground: scalar, at least 1.

    Source: Rezatofighi et al., "Generalized Intersection over Union", CVPR 2019.
    """
    inner, outer = torch.minimum(distances, targets), torch.maximum(distances, targets)
    common = (inner[:, 0] + inner[:, 2]) * (inner[:, 1] + inner[:, 3])
    hull = ((outer[:, 0] + outer[:, 2]) * (outer[:, 1] + outer[:, 3])).clamp(1e-6)
    union = (_area(distances) + _area(targets) - common).clamp(1e-6)
    giou = common / union - (hull - union) / hull
    return ((1 - giou) * foreground).sum() / n_foreground


def _area(distances: Tensor) -> Tensor:
    return (distances[:, 0] + distances[:, 2]) * (distances[:, 1] + distances[:, 3])
