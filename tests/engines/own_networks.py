"""Networks of a user that the exporter gets wrong, or could."""

import torch

from lakegate.training.tiny_detector import TinyDetector


class BranchingDetector(TinyDetector):
    """Doubles the scores of large images only: the exporter follows the branch that its example takes."""

    def forward(self, images_NCHW):
        boxes, scores = super().forward(images_NCHW)
        return boxes, scores if images_NCHW.shape[2] > 64 else scores / 2


class CrossTalkDetector(TinyDetector):
    """Lets the images of a batch see each other, so the result of a slot depends on its neighbours."""

    def raw(self, images_NCHW):
        return super().raw(images_NCHW + images_NCHW.mean(dim=0, keepdim=True))


def make_branching(n_classes, input_px):
    assert len(input_px) == 2
    return BranchingDetector(n_classes, width=8)


def make_cross_talk(n_classes, input_px):
    assert len(input_px) == 2
    torch.manual_seed(1)
    return CrossTalkDetector(n_classes, width=8)
