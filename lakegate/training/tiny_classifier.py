"""A small network for labels of whole images (0.9 M parameters) that trains in minutes on two CPU cores."""

from torch import Tensor, nn

from lakegate.training.pyramid_detector import conv_block
from lakegate.training.tiny_detector import Residual

DROPPED_SHARE = 0.2


class TinyClassifier(nn.Module):
    """A residual network of stride 32; the mean over all locations says a score per label.

    Source: He et al., "Deep Residual Learning for Image Recognition", CVPR 2016; one block per stage.
    """

    def __init__(self, n_classes: int, width: int = 24) -> None:
        super().__init__()
        # One convolution of stride 4, as in the tiny detector: two of stride 2 took half of the training time on a CPU.
        stages = [conv_block(3, width * 2, stride=4, kernel_px=7)]
        for n_in, n_out in ((width * 2, width * 3), (width * 3, width * 4), (width * 4, width * 6)):
            stages.append(nn.Sequential(conv_block(n_in, n_out, stride=2), Residual(n_out)))
        self.stages = nn.Sequential(*stages)
        self.dropout = nn.Dropout(DROPPED_SHARE)
        self.classes = nn.Linear(width * 6, n_classes)

    def raw(self, images_NCHW: Tensor) -> Tensor:
        """Return logits (N, C); ``images_NCHW`` is float32 RGB 0..255, H and W are multiples of 32."""
        features = self.stages((images_NCHW - 127.5) / 63.75)
        logits: Tensor = self.classes(self.dropout(features.mean(dim=(2, 3))))
        return logits

    def forward(self, images_NCHW: Tensor) -> Tensor:
        """Return probabilities (N, C), 0..1, whose sum is 1."""
        return self.raw(images_NCHW).softmax(dim=1)
