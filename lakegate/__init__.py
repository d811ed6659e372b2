"""Lakegate: from a new annotation export to a released vision model, with evidence at every step."""

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from lakegate.registry.loading import Detector

__version__ = "0.1.0"


def load(model: str, stage: Literal["staging", "production"] = "production") -> "Detector":
    """Return the model of a stage with its pre- and post-processing; see :func:`lakegate.registry.loading.load`."""
    from lakegate.registry.loading import load as load_from_registry

    return load_from_registry(model, stage)
