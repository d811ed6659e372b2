"""What detectors share: features at three strides, fused top down, and one location per 8 × 8 px that answers."""

from abc import abstractmethod

import torch
from torch import Tensor, nn
from torch.nn import functional

PRIOR_LOGIT = -3.5  # a location holds an object in about 3 of 100 cases before training (focal loss paper, section 4.1)
DISTANCE_UNIT_PX = 16.0
STRIDES_PX = (8, 16, 32)


def conv_block(n_in: int, n_out: int, stride: int = 1, kernel_px: int = 3) -> nn.Sequential:
    """Convolution, batch norm, ReLU."""
    conv = nn.Conv2d(n_in, n_out, kernel_px, stride, kernel_px // 2, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(n_out), nn.ReLU(inplace=True))


class PyramidDetector(nn.Module):
    """One location per 8 × 8 px says a score per label and the distances to the four sides of its object.

    Source: Tian et al., "FCOS: Fully Convolutional One-Stage Object Detection", ICCV 2019; one level, fused top down.
    """

    stride_px = 8

    def add_head(self, channels: tuple[int, int, int], width: int, n_classes: int) -> None:
        """Add the layers behind ``features``, which has so many channels at 8, 16 and 32 px per location."""
        self.lateral8 = nn.Conv2d(channels[0], width, 1)
        self.lateral16 = nn.Conv2d(channels[1], width, 1)
        self.lateral32 = nn.Conv2d(channels[2], width, 1)
        self.head = nn.Sequential(conv_block(width, width), conv_block(width, width))
        self.classes = nn.Conv2d(width, n_classes, 1)
        self.distances = nn.Conv2d(width, 4, 1)
        nn.init.constant_(self.classes.bias, PRIOR_LOGIT)  # type: ignore[arg-type]

    @abstractmethod
    def features(self, images_NCHW: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return features at 8, 16 and 32 px per location of float32 RGB 0..255; H and W are multiples of 32."""

    def raw(self, images_NCHW: Tensor) -> tuple[Tensor, Tensor]:
        """Return class logits (N, C, H/8, W/8) and distances left, top, right, bottom in px (N, 4, H/8, W/8)."""
        at8, at16, at32 = self.features(images_NCHW)
        fused16 = self.lateral16(at16) + functional.interpolate(self.lateral32(at32), scale_factor=2.0)
        fused8 = self.head(self.lateral8(at8) + functional.interpolate(fused16, scale_factor=2.0))
        return self.classes(fused8), functional.softplus(self.distances(fused8)) * DISTANCE_UNIT_PX

    def forward(self, images_NCHW: Tensor) -> tuple[Tensor, Tensor]:
        """Return boxes (N, A, 4) x1, y1, x2, y2 in input px and scores (N, A, C) 0..1, A = H/8 · W/8 row by row."""
        logits, distances = self.raw(images_NCHW)
        return boxes_of(distances, self.stride_px), logits.sigmoid().flatten(2).transpose(1, 2)


def boxes_of(distances_N4HW: Tensor, stride_px: int) -> Tensor:
    """Turn distances from the centre of each location into boxes (N, H·W, 4), x1, y1, x2, y2 in px."""
    height, width = distances_N4HW.shape[2], distances_N4HW.shape[3]
    dtype, device = distances_N4HW.dtype, distances_N4HW.device
    x = ((torch.arange(width, dtype=dtype, device=device) + 0.5) * stride_px).view(1, 1, width)
    y = ((torch.arange(height, dtype=dtype, device=device) + 0.5) * stride_px).view(1, height, 1)
    left, top, right, bottom = distances_N4HW.unbind(dim=1)
    return torch.stack((x - left, y - top, x + right, y + bottom), dim=-1).flatten(1, 2)
