"""The first model.toml of a dataset loads, and names a network and rules of its task."""

from pathlib import Path

import pytest

from lakegate.catalog import load_model
from lakegate.errors import BadDeclaration, BadInput
from lakegate.gate_rules import metrics_of_task
from lakegate.lifecycle.model_proposal import write_model_toml
from lakegate.settings import Settings
from lakegate.training.architectures import build


def declare(checkout: Path, name: str, task: str) -> Settings:
    path = checkout / "datasets" / name / "dataset.toml"
    path.parent.mkdir(parents=True)
    path.write_text(f"task = '{task}'\nlabels = ['a \"quoted\" one', 'b']\n")
    return Settings(checkout=checkout)


@pytest.mark.parametrize(
    ("of_dataset", "task", "network"),
    [
        ("detection", "detection", "TinyDetector"),
        ("keypoints", "detection", "TinyDetector"),
        ("classification", "classification", "TinyClassifier"),
        ("segmentation", "segmentation", "TinySegmenter"),
    ],
)
def test_the_first_declaration_of_each_task_loads_with_a_network_and_rules_of_the_task(
    tmp_path: Path, of_dataset: str, task: str, network: str
) -> None:
    settings = declare(tmp_path, "things", of_dataset)
    path = write_model_toml(settings, "first", "things")
    model = load_model(settings, "first")
    assert model.architecture.task == task
    assert "a \"quoted\" one, b" in model.model.description
    assert {rule.metric for rule in model.rules} <= metrics_of_task(task).keys() and len(model.rules) == 3
    assert type(build(model.architecture.name, 2, model.architecture.input_px, task)).__name__ == network
    with pytest.raises(BadInput, match="exists already"):
        write_model_toml(settings, "first", "things")
    path.write_text(path.read_text().replace(f'task = "{task}"', 'task = "classification"'))
    if of_dataset != "classification":
        with pytest.raises(BadDeclaration, match=f"datasets of task classification, 'things' is one of {of_dataset}"):
            load_model(settings, "first")


def test_a_model_of_datasets_for_two_tasks_has_to_name_its_task(tmp_path: Path) -> None:
    settings = declare(tmp_path, "boxes", "detection")
    declare(tmp_path, "masks", "segmentation")
    path = tmp_path / "models" / "both" / "model.toml"
    path.parent.mkdir(parents=True)
    path.write_text('[data]\ntrain = ["boxes", "masks"]\n')
    with pytest.raises(BadDeclaration, match="one model does one task, but boxes is for detection, masks is for segmentation"):
        load_model(settings, "both")
    path.write_text('[data]\ntrain = ["boxes", "masks"]\n[architecture]\ntask = "detection"\n')
    assert load_model(settings, "both").architecture.task == "detection"
