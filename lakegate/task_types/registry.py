"""The task types by name; each is loaded when it is first asked for."""

import importlib

from lakegate.declarations import ModelTask
from lakegate.task_types.protocol import TaskType

_MODULES: dict[ModelTask, str] = {
    "detection": "lakegate.task_types.detection",
    "classification": "lakegate.task_types.classification",
    "segmentation": "lakegate.task_types.segmentation",
}


def task_type(name: ModelTask) -> TaskType:
    """Return the task type; a new one is one module with an object ``TASK_TYPE``, and one line here."""
    found: TaskType = importlib.import_module(_MODULES[name]).TASK_TYPE
    return found
