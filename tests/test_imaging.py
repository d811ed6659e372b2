import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from lakegate.errors import BadImage, BadInput
from lakegate.imaging import PREPROCESSING_DIGEST, Scale, read_image, resize, to_input


def noise(height, width):
    return np.random.default_rng(0).integers(0, 255, (height, width, 3), dtype=np.uint8)


def test_a_png_is_read_as_the_rgb_pixels_that_it_holds(tmp_path):
    pixels = noise(20, 30)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    assert np.array_equal(read_image(tmp_path / "a.png"), pixels)


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "1", "CMYK"])
def test_images_of_other_8_bit_modes_become_rgb(tmp_path, mode):
    Image.fromarray(noise(20, 30)).convert(mode).save(tmp_path / "a.tif")
    assert read_image(tmp_path / "a.tif").shape == (20, 30, 3)


def test_a_jpeg_with_an_exif_orientation_keeps_its_stored_pixels(tmp_path):
    image = Image.fromarray(noise(20, 30))
    exif = image.getexif()
    exif[0x0112] = 6
    image.save(tmp_path / "a.jpg", exif=exif)
    assert read_image(tmp_path / "a.jpg").shape == (20, 30, 3)


def test_a_truncated_jpeg_is_refused_by_name(tmp_path):
    path = tmp_path / "a.jpg"
    Image.fromarray(noise(200, 300)).save(path)
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(BadImage, match=r"a\.jpg: not a whole JPEG"):
        read_image(path)


def test_a_web_page_named_jpg_and_an_absent_file_are_refused_by_name(tmp_path):
    (tmp_path / "page.jpg").write_text("<html>not found</html>")
    with pytest.raises(BadImage, match=r"page\.jpg: not a whole image"):
        read_image(tmp_path / "page.jpg")
    with pytest.raises(BadImage, match=r"absent\.jpg: cannot be read"):
        read_image(tmp_path / "absent.jpg")


def test_an_image_with_16_bits_per_channel_is_refused_instead_of_clipped(tmp_path):
    Image.fromarray(np.full((4, 4), 40000, np.uint16)).save(tmp_path / "deep.png")
    with pytest.raises(BadImage, match="8 bits per channel"):
        read_image(tmp_path / "deep.png")


def test_the_network_input_is_float_chw_with_the_range_of_the_image():
    pixels, scale = to_input(np.full((48, 64, 3), (10, 20, 30), np.uint8), (32, 32))
    assert pixels.dtype == np.float32
    assert pixels.shape == (3, 32, 32)
    assert pixels[:, 0, 0].tolist() == [10, 20, 30]
    assert scale == Scale((48, 64), (32, 32))


@pytest.mark.parametrize("size", [(32, 32), (32, 256), (256, 256), (96, 64)])
def test_boxes_survive_the_way_to_the_input_and_back(size):
    _, scale = to_input(noise(100, 150), size)
    boxes = np.array([[0, 0, 150, 100], [10, 20, 50, 80]], np.float32)
    assert np.allclose(scale.to_original(scale.to_input(boxes)), boxes, atol=1e-4)


def test_a_square_lands_where_its_box_lands():
    image = np.zeros((100, 200, 3), np.uint8)
    image[20:60, 40:120] = 255
    pixels, scale = to_input(image, (64, 64))
    x1, y1, x2, y2 = scale.to_input(np.array([[40, 20, 120, 60]], np.float32))[0]
    rows, columns = np.nonzero(pixels[0] > 127)
    assert np.allclose([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1], [x1, y1, x2, y2], atol=1)


def test_what_is_no_uint8_rgb_image_is_refused():
    with pytest.raises(BadInput, match="uint8 image of shape"):
        resize(np.zeros((4, 4), np.uint8), (32, 32))
    with pytest.raises(BadInput, match="float64"):
        resize(np.zeros((4, 4, 3)), (32, 32))


def test_shrinking_averages_and_enlarging_interpolates():
    image = noise(64, 64)
    halved = image.reshape(32, 2, 32, 2, 3).mean(axis=(1, 3))
    assert np.abs(to_input(image, (32, 32)).pixels.transpose(1, 2, 0) - halved).max() <= 1
    ramp = np.repeat(np.arange(0, 160, 5, dtype=np.uint8)[None, :, None], 32, axis=0).repeat(3, axis=2)
    assert np.all(np.diff(to_input(ramp, (32, 64)).pixels[0, 0]) <= 3)


def test_the_digest_of_the_preprocessing_is_the_one_that_stored_models_carry():
    assert PREPROCESSING_DIGEST.startswith("05ceb3bfe880")


def test_importing_the_preprocessing_does_not_load_torch():
    code = "import lakegate.imaging, lakegate.detections, lakegate.training.record, lakegate.training.loop, sys; "
    code += "import lakegate.training.tracking, lakegate.engines.onnx_export; "
    code += "print({'torch', 'wandb', 'onnxruntime', 'onnx'} & set(sys.modules))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "set()"
