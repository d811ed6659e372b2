"""Write a first ``model.toml`` for a dataset: it trains as it is."""

import json
from pathlib import Path
from typing import NamedTuple

from lakegate.catalog import check_name, load_dataset, load_model
from lakegate.declarations import ModelTask
from lakegate.errors import BadInput
from lakegate.settings import Settings
from lakegate.training.architectures import LIBRARIES, TINY


class _Words(NamedTuple):
    """What differs between the first declarations of the tasks."""

    does: str
    network: str
    input_px: str
    batch_size: int
    atol: str
    operating: str
    gate: str


_DETECTION = _Words(
    does="Finds {labels} in images of {dataset}.",
    network="0.6 M parameters, anchor-free; trains in minutes on two cores",
    input_px="[320, 320]",
    batch_size=8,
    atol="1e-3 # largest difference between ONNX and the trained network: boxes in pixels, scores 0..1",
    operating="score_threshold = 0.3 # a detection below this score is not shown\nnms_iou = 0.5",
    gate='"map50.all.min" = 0.50\n"map.old_data.max_drop" = 0.10\n"negative_flip_rate.old_data.max" = 0.15',
)
_CLASSIFICATION = _Words(
    does="Says which of {labels} an image of {dataset} shows.",
    network="0.9 M parameters; trains in minutes on two cores",
    input_px="[128, 128]",
    batch_size=16,
    atol="1e-4 # largest difference between ONNX and the trained network, of a probability",
    operating="# the most probable label counts, however probable it is: no threshold applies",
    gate='"accuracy.all.min" = 0.50\n"accuracy.old_data.max_drop" = 0.10\n"negative_flip_rate.old_data.max" = 0.15',
)
_SEGMENTATION = _Words(
    does="Says which pixels of images of {dataset} show {labels}.",
    network="0.7 M parameters; trains in minutes on two cores",
    input_px="[256, 256]",
    batch_size=8,
    atol="1e-4 # largest difference between ONNX and the trained network, of a probability",
    operating="score_threshold = 0.5 # a pixel whose label is less probable is background",
    gate='"miou.all.min" = 0.50\n"miou.old_data.max_drop" = 0.10\n"negative_flip_rate.old_data.max" = 0.15',
)
_OF_TASK: dict[ModelTask, _Words] = {
    "detection": _DETECTION,
    "classification": _CLASSIFICATION,
    "segmentation": _SEGMENTATION,
}
TEMPLATE = """\
[model]
team = ""
description = {does}

[data]
train = ["{dataset}"]

[architecture]
task = "{task}"
name = "{name}" # {network}; or {others}
input_px = {input_px} # height, width; multiples of 32

[training]
epochs = 20
batch_size = {batch_size}
seed = 0
flips = ["horizontal"] # also "vertical", "diagonal" where a mirrored image could be a real one; [] where none could

[export]
batch = [1, 8, 8] # min, opt, max
parity_atol = {atol}

[operating]
{operating}

[gate] # with a reason each; smaller limits need more test samples; `lakegate model suggest-gates` proposes some from a run
{gate}
"""


def write_model_toml(settings: Settings, model: str, dataset: str) -> Path:
    """Write ``models/<model>/model.toml`` and check that it loads.

    Raises:
        BadInput: the file exists.
    """
    path = settings.models_dir / check_name(model, "model") / "model.toml"
    if path.exists():
        raise BadInput(f"{path} exists already; edit it, or choose another name")
    declaration = load_dataset(settings, dataset)
    task: ModelTask = "detection" if declaration.task == "keypoints" else declaration.task
    words = _OF_TASK[task]
    does = json.dumps(words.does.format(labels=", ".join(declaration.labels), dataset=dataset), ensure_ascii=False)
    others = ", ".join([*(f'"{library}:<name>"' for library in LIBRARIES[task]), '"package.module:factory"'])
    names = {**words._asdict(), "does": does, "others": others, "task": task, "name": TINY[task], "dataset": dataset}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(TEMPLATE.format(**names))
    load_model(settings, model)
    return path
