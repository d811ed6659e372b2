"""A user's own network, and one that its process does not survive."""

import os
import signal

from lakegate.training.tiny_detector import TinyDetector

DIE_AT_BATCH = "TEST_DIE_AT_BATCH"


class MortalDetector(TinyDetector):
    """Kills its process in the forward pass of the batch that the environment names."""

    n_batches = 0

    def raw(self, images_NCHW):
        self.n_batches += 1
        if self.n_batches == int(os.environ.get(DIE_AT_BATCH, 0)):
            os.kill(os.getpid(), signal.SIGKILL)
        return super().raw(images_NCHW)


def make_mortal(n_classes, input_px):
    """A narrow network; ``input_px`` is not needed."""
    assert input_px == (64, 64)
    return MortalDetector(n_classes, width=8)


def make_nothing(n_classes, input_px):
    """What is no network."""
    return [n_classes, input_px]
