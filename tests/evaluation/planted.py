"""A world with known answers: plain PNGs whose colour is their number, and ONNX models that look their predictions up by it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from lakegate.canonical import sha256_file
from lakegate.declarations import DatasetDeclaration, ModelDeclaration
from lakegate.engines.onnx_session import OnnxModel
from lakegate.evaluation.predictions import ModelUnderTest
from lakegate.lake.local_version import DatasetVersion, LocalImage, LocalVersion
from lakegate.samples import Annotation, Sample
from lakegate.settings import Settings

SIDE_PX = 64
LABELS = ("cell", "plate")
Found = tuple[tuple[float, float, float, float], float, int]  # box x1 y1 x2 y2 px, score, label index


def box_at(slot: int) -> tuple[float, float, float, float]:
    """One of 9 places that do not overlap, 16 px square."""
    x, y = 2 + 20 * (slot % 3), 2 + 20 * (slot // 3)
    return float(x), float(y), float(x + 16), float(y + 16)


def found(slot: int, score: float = 0.9, label: int = 0) -> Found:
    return box_at(slot), score, label


def object_at(slot: int, label: str = "cell") -> Annotation:
    x1, y1, x2, y2 = box_at(slot)
    return Annotation(label, (x1, y1, x2 - x1, y2 - y1))


@dataclass
class World:
    """Images, versions and models in one folder; ``loads`` keeps every session that was opened."""

    folder: Path
    loads: list[OnnxModel]

    @property
    def settings(self) -> Settings:
        return Settings(checkout=self.folder, home=self.folder / "home", threads=2)

    def image(self, number: int) -> LocalImage:
        """An image of one colour; its number stands in red and green."""
        path = self.folder / f"{number}.png"
        if not path.exists():
            pixels_bgr = np.zeros((SIDE_PX, SIDE_PX, 3), np.uint8)
            pixels_bgr[:, :, 2], pixels_bgr[:, :, 1] = number % 256, number // 256
            cv2.imwrite(str(path), pixels_bgr)
        return LocalImage(path, sha256_file(path))

    def version(
        self,
        objects: Mapping[int, Sequence[Annotation]],
        tag: str = "v2",
        dataset: str = "planted",
        images: Mapping[int, int] | None = None,
        slices: Mapping[str, str] | None = None,
        labels: tuple[str, ...] = LABELS,
        split: str = "test",
    ) -> LocalVersion:
        """A version whose sample ``s<number>`` shows image ``number``, or the one that ``images`` names."""
        declared = {name: {"where": where} for name, where in (slices or {}).items()}
        declaration = DatasetDeclaration.model_validate({"task": "detection", "labels": labels, "slices": declared})
        samples = [
            Sample(f"s{number:04d}", SIDE_PX, SIDE_PX, tuple(items), split=split, group=str(number))  # type: ignore[arg-type]
            for number, items in sorted(objects.items())
        ]
        shown = {sample.id: self.image((images or {}).get(int(sample.id[1:]), int(sample.id[1:]))) for sample in samples}
        return LocalVersion(DatasetVersion(dataset, tag, f"commit-{tag}", f"digest-{tag}"), declaration, tuple(samples), shown)

    def model(
        self,
        run_id: str,
        answers: Mapping[int, Sequence[Found]],
        labels: tuple[str, ...] = LABELS,
        trained_on: frozenset[str] = frozenset(),
        gate: Mapping[str, float] | None = None,
    ) -> ModelUnderTest:
        """A model that predicts ``answers[image number]``, and nothing on other images."""
        path = self.folder / f"{run_id}.onnx"
        write_lookup_model(path, answers, labels)
        declaration = ModelDeclaration.model_validate(
            {"data": {"train": ["planted"]}, "gate": dict(gate or {}), "architecture": {"input_px": [SIDE_PX, SIDE_PX]}}
        )

        def load(threads: int) -> OnnxModel:
            self.loads.append(OnnxModel(path, threads))
            return self.loads[-1]

        digest, size = sha256_file(path), path.stat().st_size
        return ModelUnderTest("counter", run_id, digest, declaration, labels, load, trained_on, size)


def with_threshold(model: ModelUnderTest, threshold: float) -> ModelUnderTest:
    operating = model.declaration.operating.model_copy(update={"score_threshold": threshold})
    return replace(model, declaration=model.declaration.model_copy(update={"operating": operating}))


def write_lookup_model(path: Path, answers: Mapping[int, Sequence[Found]], labels: tuple[str, ...]) -> None:
    """Write a network that reads an image's number from its mean colour and gathers its row from constant tables."""
    n_rows = max(answers, default=0) + 2  # the last row is empty: other images
    n_slots = max((len(row) for row in answers.values()), default=0) or 1
    boxes = np.zeros((n_rows, n_slots, 4), np.float32)
    scores = np.zeros((n_rows, n_slots, len(labels)), np.float32)
    for number, row in answers.items():
        for slot, (box, score, label) in enumerate(row):
            boxes[number, slot], scores[number, slot, label] = box, score
    constants = {
        "axes": np.array([2, 3]),
        "weights": np.array([[1.0], [256.0], [0.0]], np.float32),
        "last": np.array(n_rows - 1, np.int64),
        "box_table": boxes,
        "score_table": scores,
        "flat": np.array([-1]),
    }
    nodes = [
        helper.make_node("ReduceMean", ["images", "axes"], ["colour"], keepdims=0),
        helper.make_node("Round", ["colour"], ["whole"]),
        helper.make_node("MatMul", ["whole", "weights"], ["number"]),
        helper.make_node("Cast", ["number"], ["integer"], to=TensorProto.INT64),
        helper.make_node("Min", ["integer", "last"], ["known"]),
        helper.make_node("Reshape", ["known", "flat"], ["row"]),
        helper.make_node("Gather", ["box_table", "row"], ["boxes"]),
        helper.make_node("Gather", ["score_table", "row"], ["scores"]),
    ]
    graph = helper.make_graph(
        nodes,
        "lookup",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["batch", 3, "height", "width"])],
        [
            helper.make_tensor_value_info("boxes", TensorProto.FLOAT, ["batch", n_slots, 4]),
            helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["batch", n_slots, len(labels)]),
        ],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    helper.set_model_props(model, {"labels": json.dumps(labels), "input_px": json.dumps([SIDE_PX, SIDE_PX])})
    onnx.save(model, path)
