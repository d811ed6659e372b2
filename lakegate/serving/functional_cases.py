"""Functional cases: ``models/<name>/functional/*.json``, each a request and what people labelled there.

An expectation comes from labels, never from what a candidate answered: a test that a model wrote itself always passes.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from pydantic import Field, ValidationError, field_validator, model_validator

from lakegate.canonical import exact_json, sha256_bytes
from lakegate.catalog import describe_problem
from lakegate.declarations import Strict
from lakegate.errors import BadDeclaration, BadInput, UnknownLabel, nearest
from lakegate.samples import Box, Sample
from lakegate.settings import Settings

FOLDER = "functional"
MIN_IOU = 0.5


class ExpectedObject(Strict):
    """A labelled object that must be found; ``bbox`` is x, y, width, height in pixels of the image, as in COCO."""

    label: str
    bbox: Box
    min_iou: float = Field(default=MIN_IOU, gt=0, le=1)

    @field_validator("bbox")
    @classmethod
    def _has_area(cls, bbox: Box) -> Box:
        if bbox[2] <= 0 or bbox[3] <= 0:
            raise ValueError(f"bbox = {list(bbox)}: expected x, y, width, height with width and height above 0")
        return bbox

    @property
    def box_xyxy_px(self) -> Box:
        """Corners x1, y1, x2, y2 in pixels."""
        x, y, width, height = self.bbox
        return x, y, x + width, y + height


class CountLimits(Strict):
    """How many objects of a label may be found; ``max`` is open where it is not given."""

    min: int = Field(default=0, ge=0)
    max: int | None = Field(default=None, ge=0)

    @model_validator(mode="after")
    def _ascends(self) -> "CountLimits":
        if self.max is not None and self.max < self.min:
            raise ValueError(f"min = {self.min} is above max = {self.max}")
        return self


class Expectation(Strict):
    """What the answer must hold: objects at places, and numbers of objects by label."""

    objects: tuple[ExpectedObject, ...] = ()
    counts: dict[str, CountLimits] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _says_something(self) -> "Expectation":
        if not self.objects and not self.counts:
            raise ValueError("nothing is expected; give objects, counts, or both")
        return self


class FunctionalCase(Strict):
    """One request: a sample of an attested version, or an image file beside the case."""

    name: str = ""  # default: the file's name
    sample: str = ""  # dataset@version/sample id
    image: str = ""  # a file in the same folder
    expect: Expectation
    why: str = Field(min_length=1)  # why a model that answers otherwise must not be served

    @model_validator(mode="after")
    def _has_one_image(self) -> "FunctionalCase":
        if bool(self.sample) == bool(self.image):
            raise ValueError('give exactly one of "sample" (dataset@version/sample id) and "image" (a file in this folder)')
        if self.sample:
            split_sample(self.sample)
        elif PurePosixPath(self.image).name != self.image:
            raise ValueError(f'"image": \'{self.image}\' is not a file in this folder')
        return self


@dataclass(frozen=True)
class ReadyCase:
    """A case with the bytes of its image."""

    case: FunctionalCase
    image: bytes


def split_sample(sample: str) -> tuple[str, str]:
    """Split ``dataset@version/sample id`` into reference and id; raises ``ValueError`` on another shape.

    >>> split_sample("blood-cells@v1/north/0001")
    ('blood-cells@v1', 'north/0001')
    """
    reference, _, sample_id = sample.partition("/")
    dataset, at, version = reference.partition("@")
    if not (dataset and at and version and sample_id):
        raise ValueError(f"\"sample\": '{sample}' names no sample; expected dataset@version/sample id")
    return reference, sample_id


def cases_folder(settings: Settings, model: str) -> Path:
    """Return where the functional cases of a model lie."""
    return settings.models_dir / model / FOLDER


def load_cases(settings: Settings, model: str, labels: Sequence[str]) -> tuple[FunctionalCase, ...]:
    """Read all cases of a model, by file name; none where there is no such folder.

    Raises:
        BadDeclaration: a file is no case; names file and key. UnknownLabel: a label is not one of ``labels``.
    """
    cases = tuple(_load_case(path, labels) for path in sorted(cases_folder(settings, model).glob("*.json")))
    names = [case.name for case in cases]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise BadDeclaration(f"{cases_folder(settings, model)}: two cases are named '{twice[0]}'; name one otherwise")
    return cases


def _load_case(path: Path, labels: Sequence[str]) -> FunctionalCase:
    try:
        content: Any = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise BadDeclaration(f"{path}: not JSON ({error})") from error
    try:
        case = FunctionalCase.model_validate(content)
    except ValidationError as error:
        problems = "; ".join(describe_problem(FunctionalCase, item) for item in error.errors(include_url=False))
        raise BadDeclaration(f"{path}: {problems}") from error
    used = [(f"expect.objects.{number}.label", item.label) for number, item in enumerate(case.expect.objects)]
    for key, label in (*used, *((f"expect.counts.{label}", label) for label in case.expect.counts)):
        if label not in labels:
            raise UnknownLabel(f"{path}: '{key}': label '{label}' is not declared{nearest(label, labels)}")
    return case.model_copy(update={"name": case.name or path.stem})


def read_case_image(settings: Settings, model: str, case: FunctionalCase) -> bytes:
    """Return the bytes of the image file beside the case.

    Raises:
        BadInput: there is no such file.
    """
    path = cases_folder(settings, model) / case.image
    try:
        return path.read_bytes()
    except OSError as error:
        raise BadInput(f"case '{case.name}': {path} cannot be read ({error.strerror}); put it there") from error


def cases_digest(cases: Sequence[ReadyCase]) -> str:
    """Return the SHA-256 over all cases and the bytes of their images."""
    content = [[item.case.model_dump(mode="json"), sha256_bytes(item.image)] for item in cases]
    return sha256_bytes(exact_json(content))


def case_from_labels(reference: str, sample: Sample, label: str, slack: float = 0.5) -> FunctionalCase:
    """Draft a case from a sample's labels: its largest object of ``label``, and a range for how many of each label.

    Args:
        reference: the version, as ``dataset@tag``.
        slack: share of the labelled number by which a count may differ, 0..1.

    Raises:
        BadInput: the sample has no box of that label.
    """
    boxes = [item.bbox_xywh_px for item in sample.annotations if item.label == label and item.bbox_xywh_px is not None]
    if not boxes:
        raise BadInput(f"sample '{sample.id}' of {reference} has no box of '{label}'; choose another sample or label")
    names = sorted({item.label for item in sample.annotations})
    numbers = {name: sum(item.label == name for item in sample.annotations) for name in names}
    counts = {name: CountLimits(min=int(n * (1 - slack)), max=-int(-n * (1 + slack) // 1)) for name, n in numbers.items()}
    largest = max(boxes, key=lambda box: box[2] * box[3])
    return FunctionalCase(
        name=sample.id.replace("/", "-"),
        sample=f"{reference}/{sample.id}",
        expect=Expectation(objects=(ExpectedObject(label=label, bbox=largest),), counts=counts),
        why=f"the largest {label} of a labelled sample has to be found",
    )
