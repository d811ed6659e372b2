import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lakegate import imaging
from lakegate.engines.onnx_session import OnnxModel
from lakegate.errors import BadImage, ChecksumMismatch
from lakegate.evaluation import predictions
from lakegate.evaluation.prediction_cache import PredictionCache, PredictionKey
from lakegate.evaluation.predictions import LazyModel, ModelUnderTest, predict, prediction_key
from tests.evaluation.planted import World, found, with_threshold


def test_predictions_are_the_networks_in_pixels_of_the_image(world: World) -> None:
    model = world.model("run", {3: [found(4, 0.8, 1), found(0, 0.6)]})
    detections = predict(model, {"a": world.image(3), "b": world.image(9)}, world.settings).predictions
    np.testing.assert_allclose(detections["a"].boxes_xyxy_px, [found(4)[0], found(0)[0]], atol=1e-3)
    np.testing.assert_allclose(detections["a"].scores, [0.8, 0.6], atol=1e-6)
    assert detections["a"].labels.tolist() == [1, 0]
    assert len(detections["b"]) == 0


def test_a_second_evaluation_infers_nothing_and_opens_no_session(world: World) -> None:
    model = world.model("run", {number: [found(number % 9)] for number in range(20)})
    images = {f"s{number}": world.image(number) for number in range(20)}
    first = predict(model, images, world.settings)
    assert (first.n_inferred, first.n_cached, world.loads[0].n_inferences) == (20, 0, 20)
    second = predict(model, images, world.settings)
    assert (second.n_inferred, second.n_cached, len(world.loads)) == (0, 20, 1)
    for sample_id in images:
        assert second.predictions[sample_id].scores.tobytes() == first.predictions[sample_id].scores.tobytes()
        assert second.predictions[sample_id].boxes_xyxy_px.tobytes() == first.predictions[sample_id].boxes_xyxy_px.tobytes()


def test_one_new_image_infers_exactly_one(world: World) -> None:
    model = world.model("run", {0: [found(0)]})
    predict(model, {f"s{number}": world.image(number) for number in range(10)}, world.settings)
    again = predict(model, {f"s{number}": world.image(number) for number in range(11)}, world.settings)
    assert (again.n_inferred, again.n_cached, world.loads[-1].n_inferences) == (1, 10, 1)


def test_equal_images_of_two_samples_are_computed_once(world: World) -> None:
    found_twice = predict(world.model("run", {}), {"a": world.image(1), "b": world.image(1)}, world.settings)
    assert (found_twice.n_inferred, set(found_twice.predictions)) == (1, {"a", "b"})


def test_a_changed_pre_processing_constant_invalidates_every_prediction(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    model, images = world.model("run", {}), {"a": world.image(1), "b": world.image(2)}
    predict(model, images, world.settings)
    monkeypatch.setattr(imaging, "PREPROCESSING_DIGEST", "another")
    assert predict(model, images, world.settings).n_inferred == 2


def test_another_suppression_limit_invalidates_and_another_threshold_does_not(world: World) -> None:
    model, images = world.model("run", {}), {"a": world.image(1)}
    predict(model, images, world.settings)
    assert predict(with_threshold(model, 0.7), images, world.settings).n_inferred == 0
    operating = model.declaration.operating.model_copy(update={"nms_iou": 0.7})
    model.__dict__["declaration"] = model.declaration.model_copy(update={"operating": operating})
    assert predict(model, images, world.settings).n_inferred == 1


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty"])
def test_a_damaged_entry_is_computed_again(world: World, damage: str) -> None:
    model, images = world.model("run", {1: [found(2)]}), {"a": world.image(1)}
    predict(model, images, world.settings)
    path = PredictionCache(world.settings.cache_dir, prediction_key(model)).path
    with closing(sqlite3.connect(path)) as connection, connection:
        ((row,),) = connection.execute("SELECT content FROM predictions").fetchall()
        data = bytearray(row)
        data[-3] ^= 1
        damaged = {"cut": row[:-5], "flipped": bytes(data), "empty": b""}[damage]
        connection.execute("UPDATE predictions SET content = ?", (damaged,))
    again = predict(model, images, world.settings)
    assert (again.n_inferred, again.predictions["a"].labels.tolist()) == (1, [0])
    assert predict(model, images, world.settings).n_cached == 1


def test_a_damaged_cache_is_thrown_away_and_filled_again(world: World) -> None:
    model, images = world.model("run", {1: [found(2)]}), {"a": world.image(1), "b": world.image(2)}
    predict(model, images, world.settings)
    PredictionCache(world.settings.cache_dir, prediction_key(model)).path.write_bytes(b"no database " * 100)
    assert predict(model, images, world.settings).n_inferred == 2
    assert predict(model, images, world.settings).n_cached == 2


def test_arrays_of_any_type_and_shape_come_back_from_the_cache(tmp_path: Path) -> None:
    cache = PredictionCache(tmp_path, PredictionKey("model", "processing", "runtime"))
    arrays = {
        "map": np.arange(12, dtype=np.int64).reshape(3, 4),
        "none": np.zeros((0, 6), np.float32),
        "one": np.array(0.5, np.float64),
        "turned": np.arange(6, dtype=np.uint8).reshape(2, 3).T,
    }
    cache.write({"a": arrays})
    back = cache.read(["a", "b"])
    assert set(back) == {"a"}
    for name, value in arrays.items():
        assert (back["a"][name].dtype, back["a"][name].shape) == (value.dtype, value.shape)
        np.testing.assert_array_equal(back["a"][name], value)


def test_an_image_that_cannot_be_read_is_named_and_the_others_are_computed(world: World) -> None:
    model = world.model("run", {number: [found(0)] for number in range(9)})
    images = {f"s{number}": world.image(number) for number in range(9)}
    images["s4"].path.write_bytes(images["s4"].path.read_bytes()[:40])
    result = predict(model, images, world.settings)
    assert (result.n_inferred, set(result.predictions)) == (8, set(images) - {"s4"})
    assert list(result.failed) == ["s4"]
    assert "not a whole image" in result.failed["s4"]
    with pytest.raises(BadImage, match="the first is 's4'"):
        result.require_all()
    assert predict(model, images, world.settings).n_cached == 8


def test_what_was_computed_before_an_end_is_kept(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(predictions, "WRITTEN_AT_ONCE", 16)
    model, images = world.model("run", {}), {f"s{number}": world.image(number) for number in range(80)}

    def stop_after_forty(done: int, _: int) -> None:
        if done == 40:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        predict(model, images, world.settings, progress=stop_after_forty)
    again = predict(model, images, world.settings)
    assert (again.n_cached, again.n_inferred) == (40, 40)


class CountedSession:
    """ONNX Runtime's session of a model, with a counter of the images that go through ``run``."""

    def __init__(self, session: Any, seen: list[int]) -> None:
        self._session, self._seen = session, seen

    def run(self, names: list[str], feeds: dict[str, np.ndarray]) -> Any:
        self._seen.append(len(feeds["images"]))
        return self._session.run(names, feeds)


def test_the_cost_follows_the_diff_at_the_session_of_onnx_runtime(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 5,000 images with 100 new ones exactly 100 are computed, then none; a changed constant computes all."""
    model, seen = counted(world.model("run", {7: [found(0)]}), [])
    old = {f"s{number:04d}": world.image(number) for number in range(4900)}
    new = old | {f"s{number:04d}": world.image(number) for number in range(4900, 5000)}
    for images, expected in ((old, 4900), (new, 100), (new, 0)):
        seen.clear()
        result = predict(model, images, world.settings)
        assert (sum(seen), result.n_inferred, len(result.predictions)) == (expected, expected, len(images))
    monkeypatch.setattr(imaging, "PREPROCESSING_DIGEST", "another")
    seen.clear()
    predict(model, new, world.settings)
    assert sum(seen) == 5000


def counted(model: ModelUnderTest, seen: list[int]) -> tuple[ModelUnderTest, list[int]]:
    """Return the model with counted sessions, and where each call's images are noted."""

    def load(threads: int) -> OnnxModel:
        opened = model.load(threads)
        opened._session = CountedSession(opened._session, seen)
        return opened

    return replace(model, load=load), seen


def test_a_model_file_that_is_not_the_recorded_one_is_refused(world: World) -> None:
    model = world.model("run", {1: [found(2)]})
    world.model("run", {1: [found(3)]})  # overwrites the file
    with pytest.raises(ChecksumMismatch, match="its run recorded"):
        _ = LazyModel(model).onnx
