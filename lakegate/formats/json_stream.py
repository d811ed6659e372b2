"""Read a large JSON file piece by piece: the items of its outermost lists one at a time, so memory does not grow with it."""

import json
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, TextIO

PIECE_CHARS = 1 << 18
LONGEST_ITEM_CHARS = 1 << 28
NUMBER_GOES_ON = 3  # signs that may follow what is a number by itself, as in "1" and "1e+5"
BLANKS = " \t\n\r"
_DECODER = json.JSONDecoder()


class ListBegins:
    """Stands for the beginning of an outermost list, so that an empty one is seen, too."""


def iterate_members(path: Path) -> Iterator[tuple[str, Any]]:
    """Yield ``(key, value)`` of the outermost object in the file's order.

    A value that is a list comes as ``(key, ListBegins)`` and then once per item. Where the outermost value is a list, its key
    is the empty string.

    Raises:
        ValueError: the file is not JSON, or not text, or one item is larger than 2^28 characters.
    """
    with path.open("rb") as raw:
        encoding = json.detect_encoding(raw.read(4))
    with path.open(encoding="utf-8-sig" if encoding == "utf-8" else encoding) as file:
        text = _Text(file)
        try:
            yield from _members(text)
        except RecursionError as error:
            raise ValueError("it is nested too deeply to be read") from error


def has_members(path: Path, wanted: Mapping[str, Callable[[Any], bool]], foreign: Collection[str]) -> bool:
    """Tell whether a JSON file is an object with all ``wanted`` fields, each of which its function accepts.

    The file is read until that is known: up to the last wanted field, or a ``foreign`` one, which another format has.
    """
    found: set[str] = set()
    try:
        for key, value in iterate_members(path):
            if key in foreign or not key:
                return False
            if key in wanted and wanted[key](value):
                found.add(key)
            if len(found) == len(wanted):
                return True
    except ValueError:
        return False
    return False


def _members(text: "_Text") -> Iterator[tuple[str, Any]]:
    if text.peek() == "[":
        yield from _values("", text)
    else:
        text.expect("{")
        while text.peek() != "}":
            key = text.value()
            if not isinstance(key, str):
                raise ValueError(f"expected the name of a field at character {text.position}")
            text.expect(":")
            yield from _values(key, text)
            if text.peek() != "}":
                text.expect(",", before="}")
        text.expect("}")
    if text.peek():
        raise ValueError(f"something follows the end, at character {text.position}")


def _values(key: str, text: "_Text") -> Iterator[tuple[str, Any]]:
    if text.peek() != "[":
        yield key, text.value()
        return
    text.expect("[")
    yield key, ListBegins
    while text.peek() != "]":
        yield key, text.value()
        if text.peek() != "]":
            text.expect(",", before="]")
    text.expect("]")


class _Text:
    """A window that moves over the file's text."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._window, self._at, self._passed = "", 0, 0

    @property
    def position(self) -> int:
        """Characters before the next one."""
        return self._passed + self._at

    def peek(self) -> str:
        """Return the next sign that is not blank; empty at the end of the file."""
        while True:
            while self._at < len(self._window):
                if self._window[self._at] not in BLANKS:
                    return self._window[self._at]
                self._at += 1
            if not self._grow():
                return ""

    def expect(self, sign: str, before: str = "") -> None:
        """Step over one sign; ``before`` may not follow it."""
        came = self.peek()
        if came != sign:
            raise ValueError(f"expected '{sign}' at character {self.position}, found '{came or 'the end'}'")
        self._at += 1
        if before and self.peek() == before:
            raise ValueError(f"expected a value at character {self.position}, found '{before}'")

    def value(self) -> Any:
        """Read one whole value, with more of the file where the window does not hold all of it."""
        self.peek()
        while True:
            try:
                value, end = _DECODER.raw_decode(self._window, self._at)
            except json.JSONDecodeError as error:
                if not self._grow():
                    raise ValueError(f"{error.msg} at character {self._passed + error.pos}") from error
                continue
            left = len(self._window) - end
            if left < NUMBER_GOES_ON and isinstance(value, int | float) and self._grow():
                continue
            self._at = end
            return value

    def _grow(self) -> bool:
        """Take the next piece, at least as long as what is kept, so that a long item is not read over and over."""
        kept = len(self._window) - self._at
        if kept > LONGEST_ITEM_CHARS:
            raise ValueError(f"one item is longer than {LONGEST_ITEM_CHARS} characters, at character {self.position}")
        more = self._file.read(max(PIECE_CHARS, kept))
        if more:
            self._passed += self._at
            self._window, self._at = self._window[self._at :] + more, 0
        return bool(more)
