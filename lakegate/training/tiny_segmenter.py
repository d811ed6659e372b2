"""A small network that says of every second pixel what it belongs to (0.7 M parameters); minutes on two CPU cores."""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from lakegate.training.pyramid_detector import conv_block
from lakegate.training.tiny_detector import Residual


class TinySegmenter(nn.Module):
    """Four stages down, four up; on the way up each joins the features of its size.

    Source: Ronneberger et al., "U-Net", MICCAI 2015; sums in place of concatenations, and half the resolution.
    """

    stride_px = 2

    def __init__(self, n_classes: int, width: int = 16) -> None:
        super().__init__()
        widths = (width, width * 2, width * 4, width * 6, width * 6)
        self.stem = conv_block(3, widths[0], stride=2, kernel_px=5)
        pairs = list(pairwise(widths))
        self.down = nn.ModuleList(nn.Sequential(conv_block(n_in, n_out, 2), Residual(n_out)) for n_in, n_out in pairs)
        self.narrow = nn.ModuleList(nn.Conv2d(n_out, n_in, 1) for n_in, n_out in pairs)
        self.join = nn.ModuleList(conv_block(n_in, n_in) for n_in, _ in pairs)
        self.classes = nn.Conv2d(widths[0], n_classes + 1, 1)

    def raw(self, images_NCHW: Tensor) -> Tensor:
        """Return logits (N, 1 + C, H/2, W/2), the background first.

        ``images_NCHW`` is float32 RGB 0..255; H and W are multiples of 32.
        """
        levels = [self.stem((images_NCHW - 127.5) / 63.75)]
        for stage in self.down:
            levels.append(stage(levels[-1]))
        features = levels.pop()
        for narrow, join in zip(reversed(self.narrow), reversed(self.join), strict=True):
            features = join(levels.pop() + functional.interpolate(narrow(features), scale_factor=2.0))
        logits: Tensor = self.classes(features)
        return logits

    def forward(self, images_NCHW: Tensor) -> Tensor:
        """Return probabilities (N, 1 + C, H/2, W/2), 0..1, whose sum over the classes is 1."""
        return torch.softmax(self.raw(images_NCHW), dim=1)
