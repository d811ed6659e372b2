"""A sequence that lies on disk: what an import holds in memory per sample is a name and an offset."""

import pickle
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from tempfile import SpooledTemporaryFile
from typing import Any, Generic, TypeVar, overload

IN_MEMORY_BYTES = 1 << 20
Item = TypeVar("Item")


class Spool(Sequence[Item], Generic[Item]):
    """Append-only; items are kept in an unnamed temporary file of this process alone, which vanishes with it.

    ``key_of`` gives the name by which an item is known; ``keys`` holds them in memory, in the items' order.
    """

    def __init__(self, key_of: Callable[[Item], str], items: Iterable[Item] = ()) -> None:
        self.keys: list[str] = []
        self._key_of = key_of
        self._offsets = array("Q")
        self._end = 0
        self._file: SpooledTemporaryFile[bytes] = SpooledTemporaryFile(max_size=IN_MEMORY_BYTES)  # noqa: SIM115
        self.extend(items)

    def append(self, item: Item) -> None:
        """Add one item at the end."""
        data = pickle.dumps(item, protocol=pickle.HIGHEST_PROTOCOL)
        self._file.seek(self._end)
        self._file.write(data)
        self._offsets.append(self._end)
        self.keys.append(self._key_of(item))
        self._end += len(data)

    def extend(self, items: Iterable[Item]) -> None:
        """Add items at the end."""
        for item in items:
            self.append(item)

    def __len__(self) -> int:
        """Return the number of items."""
        return len(self._offsets)

    @overload
    def __getitem__(self, index: int) -> Item: ...

    @overload
    def __getitem__(self, index: slice) -> list[Item]: ...

    def __getitem__(self, index: int | slice) -> Item | list[Item]:
        """Read one item, or a list of some."""
        if isinstance(index, slice):
            return [self._read(number) for number in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(f"item {index} of {len(self)}")
        return self._read(index % len(self))

    def __iter__(self) -> Iterator[Item]:
        """Read item after item; what is appended meanwhile is read, too."""
        number = 0
        while number < len(self):
            yield self._read(number)
            number += 1

    def __eq__(self, other: object) -> bool:
        """Compare the items with those of another sequence."""
        return isinstance(other, Sequence) and len(self) == len(other) and all(a == b for a, b in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]

    def _read(self, number: int) -> Item:
        self._file.seek(self._offsets[number])
        item: Any = pickle.load(self._file)  # written by this process into a file that has no name
        return item  # type: ignore[no-any-return]
