import numpy as np

from lakegate.training.flipping import draw_flips, flip_boxes, flip_pixels

FLIPS = ("horizontal", "vertical", "diagonal")


def drawn(allowed=FLIPS, input_px=(64, 64), n=60):
    return [draw_flips(np.random.default_rng(seed), allowed, input_px) for seed in range(n)]


def test_flipped_boxes_and_masks_stay_on_their_pixels():
    image, mask = np.zeros((64, 64, 3), np.uint8), np.zeros((64, 64), np.int64)
    image[8:24, 30:50] = 255
    mask[8:24, 30:50] = 7
    box = np.array([[30, 8, 50, 24]], np.float32)
    for flips in drawn():
        flipped = flip_pixels(image, flips)
        rows, columns = np.nonzero(flipped[..., 0])
        assert flip_boxes(box, flips, (64, 64))[0].tolist() == [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        assert np.array_equal(flip_pixels(mask, flips) > 0, flipped[..., 0] > 0)
    assert box.tolist() == [[30, 8, 50, 24]]
    assert len(set(drawn())) == 8


def test_only_the_flips_that_are_declared_happen():
    assert set(drawn(("horizontal",))) == {(), ("horizontal",)}
    assert set(drawn(())) == {()}


def test_images_that_are_not_square_keep_their_shape():
    assert {flip for flips in drawn(input_px=(32, 64)) for flip in flips} == {"horizontal", "vertical"}
