"""Predictions of a model as pre-annotations: objects that people correct instead of drawing them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from lakegate.canonical import sha256_file
from lakegate.declarations import ModelDeclaration
from lakegate.detections import FoundObject, iou_matrix
from lakegate.engines.onnx_session import OnnxModel
from lakegate.errors import BadInput, RegistryError
from lakegate.evaluation.predictions import ModelUnderTest, predict
from lakegate.formats.export_set import ExportItem
from lakegate.lake.client import LakeClient
from lakegate.lake.local_version import LocalImage
from lakegate.lifecycle.export_run import stored_declaration
from lakegate.lifecycle.publication import Say
from lakegate.registry import releases, runs
from lakegate.registry.documents import RunReference
from lakegate.samples import Annotation
from lakegate.settings import Settings

PRODUCTION = "production"
SAME_OBJECT_IOU = 0.5
AUTO = "auto"  # CVAT's word for what a program drew


@dataclass(frozen=True)
class Predictor:
    """A model as it is deployed (``production``), or a run at the thresholds of its own declaration."""

    model: str
    run: RunReference
    declaration: ModelDeclaration

    @property
    def title(self) -> str:
        """``model run id``."""
        return f"{self.model} {self.run.run_id}"


def find_predictor(client: LakeClient, words: str) -> Predictor:
    """Find what ``model``, ``model@production`` or ``model@run`` means.

    Raises:
        RegistryError: nothing is in production. UnknownName: there is no such run.
    """
    model, _, run = words.partition("@")
    if run not in ("", PRODUCTION):
        return Predictor(model, runs.reference(client, model, run), stored_declaration(client, model, run))
    release = releases.in_production(client, model)
    if release is None:
        raise RegistryError(f"{model} has no release in production; name a run as {model}@<run>, `lakegate model log {model}`")
    declaration = stored_declaration(client, model, release.request.candidate.run_id)
    operating = {"operating": release.request.operating}
    return Predictor(model, release.request.candidate, declaration.model_copy(update=operating))


def add_predictions(
    client: LakeClient,
    settings: Settings,
    predictor: Predictor,
    items: Sequence[ExportItem],
    labels: Sequence[str],
    say: Say,
) -> list[ExportItem]:
    """Return the items with what the model finds besides the objects that are labelled already.

    A found object that overlaps a labelled one of its label at an IoU of 0.5 or more is left out, and counted. The others
    have the origin ``auto`` and the attribute ``score``.

    Raises:
        BadInput: the model is no detector, or finds labels that the dataset does not declare.
    """
    path = runs.fetch_file(client, settings, predictor.run, runs.ONNX)
    onnx = OnnxModel(path, settings.threads)
    onnx.require_detector("pre-annotations")
    unknown = sorted(set(onnx.labels) - set(labels))
    if unknown:
        words = f"{predictor.title} finds {', '.join(unknown)}, which the dataset does not declare"
        raise BadInput(f"{words} ({', '.join(labels)}); take a model that was trained on these labels")
    under_test = ModelUnderTest(
        name=predictor.model,
        run_id=predictor.run.run_id,
        model_sha256=predictor.run.model_sha256,
        declaration=predictor.declaration,
        labels=onnx.labels,
        load=lambda _: onnx,
    )
    images = {item.sample.id: LocalImage(item.image, sha256_file(item.image)) for item in items}
    found = predict(under_test, images, settings).require_all()
    score = predictor.declaration.operating.score_threshold
    result, n_added, n_known = [], 0, 0
    for item in items:
        objects = found[item.sample.id].at_least(score).named(onnx.labels)
        new = not_labelled(objects, item.sample.annotations)
        n_added, n_known = n_added + len(new), n_known + len(objects) - len(new)
        added = (*item.sample.annotations, *map(_annotation, new))
        result.append(replace(item, sample=replace(item.sample, annotations=added)))
    say(
        f"{predictor.title} adds {n_added} objects on {len(items)} images at score {score:g} or more; "
        f"{n_known} that are labelled already were left out"
    )
    return result


def not_labelled(objects: Sequence[FoundObject], annotations: Sequence[Annotation]) -> list[FoundObject]:
    """Return the found objects that overlap no labelled box of their own label at an IoU of 0.5 or more."""
    left = []
    for found in objects:
        same = [item.box_xyxy_px for item in annotations if item.label == found.label and item.bbox_xywh_px is not None]
        known = np.array(same, np.float32).reshape(-1, 4)
        if not (iou_matrix(np.array([found.box_xyxy_px], np.float32), known) >= SAME_OBJECT_IOU).any():
            left.append(found)
    return left


def _annotation(found: FoundObject) -> Annotation:
    x1, y1, x2, y2 = found.box_xyxy_px
    box = (round(x1, 3), round(y1, 3), round(x2 - x1, 3), round(y2 - y1, 3))
    return Annotation(found.label, box, {"score": f"{found.score:.3f}"}, origin=AUTO)
