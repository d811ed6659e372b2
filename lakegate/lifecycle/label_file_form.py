"""What an annotation file must look like that a person may have written by hand."""

import json
from collections.abc import Mapping
from typing import Any, get_args

from lakegate.errors import BadInput, nearest
from lakegate.samples import Sample, Split

TEXT, NUMBER = "text", "a number"
SAMPLE_KEYS = ("width", "height", "split", "group", "tags", "source", "captured_at", "frame", "annotations")
OBJECT_KEYS = ("id", "label", "bbox", "polygon", "rle", "keypoints", "attributes", "author", "origin", "track_id")
KINDS = {  # key → what its value is; objects and samples share no key with two meanings
    "width": "a whole number", "height": "a whole number", "frame": "a whole number", "split": TEXT, "group": TEXT,
    "captured_at": TEXT, "tags": "a list of texts", "source": "texts by name", "annotations": "a list of objects",
    "id": TEXT, "label": TEXT, "author": TEXT, "origin": TEXT, "track_id": TEXT, "attributes": "texts by name",
    "bbox": "4 numbers", "polygon": "lists of at least 6 numbers", "rle": "an object with size and counts",
    "keypoints": "a list of objects",
}  # fmt: skip
NEEDED = {"sample": ("width", "height", "split", "group", "annotations"), "object": ("label",)}


def find_fault(data: bytes) -> str:
    """Return in words why a file is not ``annotations/<sample>.json``; "" where it is one.

    >>> find_fault(b'{"width": 4, "height": 4, "group": "", "annotations": [], "split": "tset"}')
    "split is 'tset'; did you mean 'test'?"
    """
    try:
        content = json.loads(data)
    except RecursionError:
        return "it is nested too deeply to be read"
    except ValueError as error:
        return f"it is not JSON ({error})"
    fault = _fault_of(content, "sample", SAMPLE_KEYS)
    if fault:
        return fault
    for number, item in enumerate(content["annotations"], start=1):
        fault = _fault_of(item, "object", OBJECT_KEYS)
        if fault:
            return f"object {number}: {fault}"
    if content["split"] not in get_args(Split):
        return f"split is '{content['split']}'{nearest(content['split'], get_args(Split))}"
    try:
        Sample.from_json("", data).to_json()
    except BadInput as error:
        return str(error.__cause__)
    except ValueError as error:  # NaN and infinity, which JSON as a standard does not know
        return f"it holds a number that is none ({error})"
    return ""


def unknown_keys(data: bytes) -> list[str]:
    """Return the keys of a readable annotation file that mean nothing to Lakegate, ascending."""
    content = json.loads(data)
    found = set(content) - set(SAMPLE_KEYS)
    for item in content["annotations"]:
        found |= set(item) - set(OBJECT_KEYS)
    return sorted(found)


def _fault_of(content: Any, what: str, keys: tuple[str, ...]) -> str:
    if not isinstance(content, Mapping):
        return f"the {what} is {_shown(content)}, expected a JSON object"
    for key in NEEDED[what]:
        if key not in content:
            return f"'{key}' is missing{nearest(key, set(content) - set(keys)) if set(content) - set(keys) else ''}"
    for key in keys:
        if key in content and not _is_kind(content[key], KINDS[key]):
            return f"{key} is {_shown(content[key])}, expected {KINDS[key]}"
    return ""


def _is_kind(value: Any, kind: str) -> bool:
    match kind:
        case "text":
            return isinstance(value, str)
        case "a whole number":
            return isinstance(value, int) and not isinstance(value, bool)
        case "4 numbers":
            return _is_numbers(value) and len(value) == 4
        case "lists of at least 6 numbers":
            return isinstance(value, list) and all(_is_numbers(item) and len(item) >= 6 for item in value)
        case "a list of texts":
            return isinstance(value, list) and all(isinstance(item, str) for item in value)
        case "texts by name":
            return isinstance(value, dict) and all(isinstance(item, str) for item in value.values())
        case "a list of objects":
            return isinstance(value, list) and all(isinstance(item, dict) for item in value)
        case _:
            return isinstance(value, dict)


def _is_numbers(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, int | float) and not isinstance(item, bool) for item in value)


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:57]}…"
