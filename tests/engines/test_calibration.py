from dataclasses import replace

import pytest

from lakegate.engines.calibration import choose_images, read_inputs
from lakegate.errors import EngineNotBuilt
from lakegate.samples import Annotation
from tests.training.synthetic import make_version


def test_the_draw_is_written_down_and_the_same_again(tmp_path):
    version = make_version(tmp_path, n=8)
    chosen, paths = choose_images([version], 5)
    assert (chosen, paths) == choose_images([version], 5)
    assert len(paths) == len(chosen.images) == 5
    assert chosen.commits == {"squares@v1": "c" * 64}
    for image, path in zip(chosen.images, paths, strict=True):
        assert image.sample == f"squares@v1/{path.stem}"
        assert image.sha256 == version.images[path.stem].sha256


def test_another_image_is_another_digest(tmp_path):
    version = make_version(tmp_path, n=8)
    assert choose_images([version], 5)[0].digest != choose_images([version], 6)[0].digest


def test_versions_and_combinations_of_labels_take_turns(tmp_path):
    first, second = make_version(tmp_path / "a", n=8), make_version(tmp_path / "b", n=8, dataset="others")
    rare = replace(first.samples[0], annotations=(Annotation("bright", (1.0, 1.0, 9.0, 9.0)),))
    first = replace(first, samples=(rare, *first.samples[1:]))
    drawn = [image.sample for image in choose_images([first, second], 4)[0].images]
    assert [name.split("@")[0] for name in drawn] == ["squares", "others", "squares", "others"]
    assert f"squares@v1/{rare.id}" in drawn


def test_only_training_images_calibrate(tmp_path):
    with pytest.raises(EngineNotBuilt, match="no training image"):
        choose_images([make_version(tmp_path, split="test")])


def test_images_come_as_the_network_gets_them(tmp_path):
    version = make_version(tmp_path, n=2)
    batches = list(read_inputs(choose_images([version])[1], (64, 96)))
    assert [batch.shape for batch in batches] == [(1, 3, 64, 96)] * 2
    assert max(float(batch.max()) for batch in batches) > 200
