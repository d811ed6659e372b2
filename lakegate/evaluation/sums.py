"""Metrics that are formulas of sums over samples: precision, recall, rates. Under weights they are one product of matrices."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from lakegate.errors import BadInput

if TYPE_CHECKING:
    from lakegate.task_types.protocol import SampleStatistics

FloatArray64 = npt.NDArray[np.float64]
Formula = Callable[..., FloatArray64]


@dataclass(frozen=True)
class SumMetric:
    """One metric: which sums it needs, and how its values follow from them.

    ``slots`` names what is measured: ``""`` for all labels, a label, ``"@small"`` …; ``formula`` gets the weighted sums named
    in ``needs``, each (R, n), in that order, and returns (R, len(slots)), nan where the metric cannot be said.
    """

    slots: tuple[str, ...]
    needs: tuple[str, ...]
    formula: Formula


class SumStatistics:
    """The metrics of one model on S samples from what is summed over them."""

    def __init__(self, sums: Mapping[str, FloatArray64], formulas: Mapping[str, SumMetric]) -> None:
        """Take ``sums`` by name, each (S, n), one row per sample, and the metrics' formulas.

        Raises:
            BadInput: the sums are not all of the same samples, or a formula needs one that is not there.
        """
        if len({len(rows) for rows in sums.values()}) > 1:
            shapes = {name: rows.shape for name, rows in sums.items()}
            raise BadInput(f"expected sums of the same samples, one row each, came {shapes}")
        for name, metric in formulas.items():
            if not sums.keys() >= set(metric.needs):
                raise BadInput(f"the metric '{name}' needs the sums {', '.join(metric.needs)}; there are {', '.join(sums)}")
        self.sums = dict(sums)
        self.formulas = dict(formulas)

    @property
    def metrics(self) -> tuple[str, ...]:
        """The names of what is measured."""
        return tuple(self.formulas)

    def values(self, weights_RS: FloatArray64, only: Collection[str] | None = None) -> dict[str, dict[str, FloatArray64]]:
        """Return metric -> slot -> (R,) under R rows of weights of the S samples; ``only`` names the metrics that are asked."""
        asked = [name for name in self.formulas if only is None or name in only]
        needed = dict.fromkeys(need for name in asked for need in self.formulas[name].needs)
        totals = {name: weights_RS @ self.sums[name] for name in needed}
        result = {}
        for name in asked:
            metric = self.formulas[name]
            values_RL = metric.formula(*(totals[need] for need in metric.needs))
            result[name] = {slot: values_RL[:, index] for index, slot in enumerate(metric.slots)}
        return result


class JoinedStatistics:
    """Several kinds of statistics of the same samples as one."""

    def __init__(self, *parts: "SampleStatistics") -> None:
        self.parts = parts

    @property
    def metrics(self) -> tuple[str, ...]:
        """The names of what any part measures."""
        return tuple(name for part in self.parts for name in part.metrics)

    def values(self, weights_RS: FloatArray64, only: Collection[str] | None = None) -> dict[str, dict[str, FloatArray64]]:
        """Return metric -> slot -> (R,) of all parts that measure something that is asked."""
        asked = [part for part in self.parts if only is None or set(part.metrics) & set(only)]
        return {name: dict(values) for part in asked for name, values in part.values(weights_RS, only).items()}


def ratio(above: FloatArray64, below: FloatArray64) -> FloatArray64:
    """Return above / below, nan where below is 0; (R, 1) goes with (R, n).

    >>> ratio(np.array([[1.0, 0.0]]), np.array([[4.0, 0.0]])).tolist()
    [[0.25, nan]]
    """
    above, below = np.broadcast_arrays(above, below)
    result: FloatArray64 = np.divide(above, below, out=np.full(above.shape, np.nan), where=below != 0)
    return result
