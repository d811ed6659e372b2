"""Lakegate: from a new annotation export to a released vision model, with evidence at every step."""

from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from lakegate.client import Client as Client
    from lakegate.registry.loading import Detector

__version__ = "0.1.0"


def load(model: str, stage: Literal["staging", "production"] = "production") -> "Detector":
    """Return the model of a stage with its pre- and post-processing; see :func:`lakegate.registry.loading.load`."""
    from lakegate.registry.loading import load as load_from_registry

    return load_from_registry(model, stage)


def __getattr__(name: str) -> Any:
    """Give :class:`lakegate.client.Client` when it is asked for, so that importing the package stays quick."""
    if name == "Client":
        from lakegate.client import Client

        return Client
    raise AttributeError(f"module 'lakegate' has no attribute '{name}'")
