from dataclasses import replace

import pytest

from lakegate.engines.onnx_session import OnnxModel
from lakegate.evaluation import memory
from lakegate.evaluation.memory import measure_memory
from lakegate.evaluation.predictions import ModelUnderTest
from tests.evaluation.planted import World, found

HELD_BYTES = 64 * 2**20


def holding(model: ModelUnderTest, held: dict[int, bytearray]) -> ModelUnderTest:
    """The model, whose session holds 64 MiB more until the next one is opened."""

    def load(threads: int) -> OnnxModel:
        held[0] = bytearray(b"x") * HELD_BYTES
        opened = model.load(threads)
        held.clear()
        return opened

    return replace(model, load=load)


def test_a_model_that_needs_64_mib_more_shows_it(world: World) -> None:
    small = world.model("old", {1: [found(0)]})
    large = holding(world.model("new", {1: [found(0)]}), {})
    measured = measure_memory(large, small, [world.image(1)], threads=1)
    if measured is None:
        pytest.skip("this system does not tell a process its peak memory")
    assert measured.baseline_bytes is not None and measured.ratio is not None
    assert 0.95 * HELD_BYTES < measured.candidate_bytes < 2 * HELD_BYTES  # the kernel counts pages in batches
    assert measured.baseline_bytes < HELD_BYTES / 2
    assert measured.ratio == measured.candidate_bytes / measured.baseline_bytes


def test_memory_is_unknown_without_an_image_or_where_the_system_does_not_tell_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = world.model("new", {})
    assert measure_memory(model, None, [], threads=1) is None
    monkeypatch.setattr(memory, "_CLEAR_REFS", world.folder / "absent" / "clear_refs")
    assert measure_memory(model, None, [world.image(1)], threads=1) is None
