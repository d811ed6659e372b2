"""Metrics of the team's own: functions that ``[metrics]`` of ``model.toml`` names.

A function takes the judged samples of one column of the matrix for one model, and returns one number; nan where it cannot be
said. It is called once for the measured value and once for each replicate, which holds a sample as often as it was drawn.
"""

import importlib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lakegate.canonical import sha256_file
from lakegate.errors import BadDeclaration
from lakegate.model_tables import OwnMetricTable
from lakegate.samples import Sample
from lakegate.task_types.protocol import ALL_LABELS, Replicates


@dataclass(frozen=True, eq=False)
class EvaluatedSample:
    """One test sample and what one model made of it.

    ``labels``: the names behind the label indices in ``judgement``. ``judgement``: what ``judge`` of the task type returns;
    for detection a ``lakegate.evaluation.scoring.ScoredDetections``.
    """

    dataset: str
    sample: Sample
    image: Path
    labels: tuple[str, ...]
    judgement: Any


OwnFunction = Callable[[Sequence[EvaluatedSample]], float]


def load_functions(metrics: Mapping[str, OwnMetricTable]) -> dict[str, OwnFunction]:
    """Import the functions; raises ``BadDeclaration`` naming the line whose function cannot be had."""
    return {name: _load(name, table.function)[0] for name, table in metrics.items()}


def code_digests(metrics: Mapping[str, OwnMetricTable]) -> tuple[str, ...]:
    """Return the SHA-256 of each function's module, so that changed code is judged anew; raises ``BadDeclaration``."""
    return tuple(sha256_file(_load(name, table.function)[1]) for name, table in metrics.items())


def _load(name: str, function: str) -> tuple[OwnFunction, Path]:
    module_name, _, function_name = function.partition(":")
    try:
        module = importlib.import_module(module_name)
        found: OwnFunction = getattr(module, function_name)
    except (ImportError, AttributeError) as error:
        raise BadDeclaration(
            f"[metrics.{name}] function = '{function}': {error}; the module must be installed where the comparison runs"
        ) from error
    if not callable(found) or not module.__file__:
        raise BadDeclaration(f"[metrics.{name}] function = '{function}': expected a function in a Python file")
    return found, Path(module.__file__)


class OwnStatistics:
    """The own metrics of one model on S samples; the members are those of ``SampleStatistics``."""

    def __init__(self, functions: Mapping[str, OwnFunction], samples: Sequence[EvaluatedSample]) -> None:
        self._functions, self._samples = functions, samples

    @property
    def metrics(self) -> tuple[str, ...]:
        """Their names in ``[metrics]``."""
        return tuple(self._functions)

    def values(self, weights_RS: Replicates, only: Collection[str] | None = None) -> dict[str, dict[str, Replicates]]:
        """Return metric -> ``""`` -> (R,): the function on each replicate; weights are rounded to whole samples.

        Raises:
            BadDeclaration: a function returns something else than a number.
        """
        wanted = [name for name in self._functions if only is None or name in only]
        drawn = [np.repeat(np.arange(len(self._samples)), row) for row in np.rint(weights_RS).astype(np.int64)]
        return {name: {ALL_LABELS: np.array([self._measure(name, indices.tolist()) for indices in drawn])} for name in wanted}

    def _measure(self, name: str, indices: Sequence[int]) -> float:
        if not indices:
            return float("nan")
        value = self._functions[name]([self._samples[index] for index in indices])
        if isinstance(value, bool) or not isinstance(value, (int, float, np.number)):
            raise BadDeclaration(f"[metrics.{name}]: expected a number, the function returned {value!r}")
        return float(value)
