import numpy as np
import pytest

from lakegate import imaging
from lakegate.errors import ChecksumMismatch
from lakegate.evaluation.predictions import LazyModel, predict
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
    entry = next((world.settings.cache_dir / "predictions").glob("*/*/" + images["a"].sha256))
    data = bytearray(entry.read_bytes())
    data[-3] ^= 1
    entry.write_bytes({"cut": data[:-5], "flipped": bytes(data), "empty": b""}[damage])
    again = predict(model, images, world.settings)
    assert (again.n_inferred, again.predictions["a"].labels.tolist()) == (1, [0])
    assert predict(model, images, world.settings).n_cached == 1


def test_a_model_file_that_is_not_the_recorded_one_is_refused(world: World) -> None:
    model = world.model("run", {1: [found(2)]})
    world.model("run", {1: [found(3)]})  # overwrites the file
    with pytest.raises(ChecksumMismatch, match="its run recorded"):
        _ = LazyModel(model).onnx
