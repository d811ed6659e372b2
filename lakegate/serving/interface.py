"""The interface that clients of a served model rely on: names, shapes and types of tensors, and the order of labels."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lakegate.errors import GateFailed, ServingError
from lakegate.serving.config import parse_config


@dataclass(frozen=True)
class ServedTensor:
    """One input or output; ``dims`` without the batch axis, -1 for any."""

    name: str
    data_type: str  # as in config.pbtxt: TYPE_FP32
    dims: tuple[int, ...]

    @property
    def words(self) -> str:
        """Type and shape in words."""
        return f"{self.data_type.removeprefix('TYPE_')} {list(self.dims)}"


@dataclass(frozen=True)
class ServedInterface:
    """Everything that a client's code can depend on."""

    inputs: tuple[ServedTensor, ...]
    outputs: tuple[ServedTensor, ...]
    labels: tuple[str, ...]  # position is the number in the output `labels`


def interface_of(config: Mapping[str, Any]) -> ServedInterface:
    """Read the interface from a configuration as Triton gives it in JSON.

    Raises:
        ServingError: it names no labels, so Lakegate did not write it.
    """
    try:
        labels = tuple(json.loads(config["parameters"]["labels"]["string_value"]))
    except (KeyError, TypeError, ValueError) as error:
        name = config.get("name", "the model")
        raise ServingError(f"the configuration of {name} names no labels; roll it out again") from error
    inputs, outputs = (
        tuple(ServedTensor(item["name"], item["data_type"], tuple(map(int, item["dims"]))) for item in config.get(kind, ()))
        for kind in ("input", "output")
    )
    return ServedInterface(inputs, outputs, labels)


def config_as_json(text: str, where: str) -> dict[str, Any]:
    """Return the content of a ``config.pbtxt`` as Triton's JSON; ``where`` names it in errors."""
    from google.protobuf import json_format

    content: dict[str, Any] = json_format.MessageToDict(parse_config(text, where), preserving_proto_field_name=True)
    return content


def interface_change(old: ServedInterface, new: ServedInterface) -> list[str]:
    """Return one sentence per difference; empty where a client of the old one meets nothing new.

    The order of tensors does not count (clients ask by name), the order of labels does (clients get numbers).
    """
    changes = [
        *_tensor_changes("input", old.inputs, new.inputs),
        *_tensor_changes("output", old.outputs, new.outputs),
    ]
    if old.labels != new.labels:
        changes.append(f"labels were {list(old.labels)}, now {list(new.labels)}")
    return changes


def _tensor_changes(kind: str, old: Sequence[ServedTensor], new: Sequence[ServedTensor]) -> list[str]:
    before, after = ({item.name: item for item in group} for group in (old, new))
    changes = [f"{kind} '{name}' is gone" for name in before if name not in after]
    changes += [f"{kind} '{name}' ({after[name].words}) is new" for name in after if name not in before]
    both = [(before[name], after[name]) for name in before if name in after]
    changes += [f"{kind} '{was.name}' was {was.words}, now {now.words}" for was, now in both if was != now]
    return changes


def require_interface(old: ServedInterface, new: ServedInterface, accepted: str) -> str:
    """Return what has to be said about the interface beside that of the release in production; "" where it is the same.

    Args:
        accepted: the reason of ``[serving] accept_interface_change``; "" accepts no change.

    Raises:
        GateFailed: it changed, and nobody accepted that.
    """
    changes = interface_change(old, new)
    if not changes:
        return ""
    said = "; ".join(changes)
    if not accepted.strip():
        raise GateFailed(
            f"clients of the release in production would break: {said}. Serve the same interface, or write why it may change "
            "into model.toml: [serving] accept_interface_change = \"REASON\""
        )
    return f"The interface changes: {said}. Accepted in model.toml: {accepted.strip()}"
