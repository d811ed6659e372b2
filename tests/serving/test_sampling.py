import json

import numpy as np
import pytest

from lakegate.detections import FoundObject
from lakegate.serving.sampling import Frame, FrameStore
from tests.serving.spots import encoded

FOUND = [FoundObject("red", 0.5, (1.0, 2.0, 3.0, 4.0))]


def images(n):
    return [np.random.default_rng(index).integers(0, 256, (4, 5, 3), np.uint8) for index in range(n)]


def offer_all(folder, ratio, frames, said, **limits):
    store = FrameStore(folder, ratio, 3, "run3", said.append, **limits)
    for image in frames:
        store.offer(Frame(image), FOUND)
    return sorted(path.stem.rpartition("-")[2] for path in folder.glob("*.json"))


def test_the_same_share_of_images_is_kept_each_time(tmp_path):
    kept = offer_all(tmp_path / "a", 0.3, images(200), [])
    assert 35 <= len(kept) <= 85
    assert offer_all(tmp_path / "b", 0.3, images(200), []) == kept
    assert offer_all(tmp_path / "none", 0.0, images(20), []) == []


def test_a_frame_is_kept_once_also_after_a_restart(tmp_path):
    kept = offer_all(tmp_path, 1.0, images(3), [])
    assert offer_all(tmp_path, 1.0, images(3) + images(4), []) == sorted({*kept, Frame(images(4)[3]).digest[:12]})


@pytest.mark.parametrize(("limits", "n_kept"), [({"max_frames": 5}, 5), ({"max_bytes": 1}, 1)])
def test_above_its_limit_nothing_more_is_kept_and_that_is_said_once(tmp_path, limits, n_kept):
    said = []
    assert len(offer_all(tmp_path, 1.0, images(20), said, **limits)) == n_kept
    assert len(said) == 1
    assert "no more are kept" in said[0]


def test_a_note_names_release_run_time_image_and_objects(tmp_path):
    photo = encoded(images(1)[0], "bmp")
    offer_all(tmp_path, 1.0, [photo], [])
    (path,) = tmp_path.glob("*.json")
    note = json.loads(path.read_text())
    assert set(note) == {"release", "run_id", "at", "image", "objects"}
    assert note["image"] == path.with_suffix(".png").name
    assert note["objects"] == [{"label": "red", "score": 0.5, "box_xyxy_px": [1.0, 2.0, 3.0, 4.0]}]
