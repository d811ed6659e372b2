"""Write a first ``model.toml`` for a dataset: it trains as it is."""

from pathlib import Path

from lakegate.catalog import check_name, load_dataset, load_model
from lakegate.errors import BadInput
from lakegate.settings import Settings

TEMPLATE = """\
[model]
team = ""
description = "Finds {labels} in images of {dataset}."

[data]
train = ["{dataset}"]

[architecture]
name = "tiny-detector" # 0.6 M parameters, anchor-free; trains in minutes on two cores
input_px = [320, 320] # height, width; multiples of 32

[training]
epochs = 20
batch_size = 8
seed = 0
flips = ["horizontal"] # also "vertical", "diagonal" where a mirrored image could be a real one

[export]
batch = [1, 8, 8] # min, opt, max
parity_atol = 1e-3 # largest difference between ONNX and the trained network: boxes in pixels, scores 0..1

[operating]
score_threshold = 0.3 # a detection below this score is not shown
nms_iou = 0.5

[gate] # set these before the first training, with a reason each; `lakegate model compare` shows where a run stands
"map50.all.min" = 0.50
"map50.old_data.max_drop" = 0.05
"negative_flip_rate.old_data.max" = 0.15
"""


def write_model_toml(settings: Settings, model: str, dataset: str) -> Path:
    """Write ``models/<model>/model.toml`` and check that it loads.

    Raises:
        BadInput: the file exists, or the dataset's task is not detection.
    """
    path = settings.models_dir / check_name(model, "model") / "model.toml"
    if path.exists():
        raise BadInput(f"{path} exists already; edit it, or choose another name")
    declaration = load_dataset(settings, dataset)
    if declaration.task != "detection":
        raise BadInput(f"'{dataset}' is a {declaration.task} dataset; models of this version of Lakegate do detection")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(TEMPLATE.format(labels=", ".join(declaration.labels), dataset=dataset))
    load_model(settings, model)
    return path
