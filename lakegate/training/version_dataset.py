"""A torch dataset over dataset versions: decoded images with their samples, in an order that depends on the content only."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

from torch.utils.data import Dataset

from lakegate.errors import UnknownName, nearest
from lakegate.imaging import ByteArray, read_image
from lakegate.lake.client import LakeClient
from lakegate.lake.local import open_version
from lakegate.lake.local_version import LocalVersion
from lakegate.lake.versions import pin
from lakegate.samples import Sample
from lakegate.settings import Settings

Item = TypeVar("Item")


class VersionItem(NamedTuple):
    """One sample: the image as uint8 RGB (height, width, 3), its labels, and the dataset that it is from."""

    image: ByteArray
    sample: Sample
    dataset: str


class VersionDataset(Dataset[Item], Generic[Item]):
    """The samples of one or more versions, ascending by dataset and sample id.

    Every process and every machine sees the same sample at the same index. ``transform`` turns a :class:`VersionItem` into what
    the loader collates; it runs in the loader's workers. Without one the items are ``VersionItem``, which torch's default
    collation does not know: give the loader a ``collate_fn``.
    """

    def __init__(
        self,
        versions: LocalVersion | Sequence[LocalVersion],
        slice_name: str = "",
        split: str = "",
        transform: Callable[[VersionItem], Item] | None = None,
    ) -> None:
        """Choose the samples.

        Args:
            slice_name: a slice that every version declares; empty: all samples.
            split: ``train``, ``val`` or ``test``; empty: all.

        Raises:
            UnknownName: a version does not declare the slice.
        """
        opened = [versions] if isinstance(versions, LocalVersion) else list(versions)
        self._transform = transform
        self._items: list[tuple[str, Path, Sample]] = []
        for version in sorted(opened, key=lambda item: item.version.dataset):
            declared = version.declaration.slices
            if slice_name and slice_name not in declared:
                raise UnknownName(f"{version.version.reference} has no slice '{slice_name}'{nearest(slice_name, declared)}")
            for sample in version.samples_in(slice_name, split):
                self._items.append((version.version.dataset, version.images[sample.id].path, sample))

    @classmethod
    def open(
        cls,
        *references: str,
        slice_name: str = "",
        split: str = "",
        transform: Callable[[VersionItem], Item] | None = None,
        settings: Settings | None = None,
    ) -> "VersionDataset[Item]":
        """Open attested versions (``dataset@tag``) from the local cache, fetching what is missing.

        Raises:
            VersionNotFound, Unattested, ChecksumMismatch: as :func:`lakegate.lake.local.open_version`.
        """
        known = settings or Settings.load()
        client = LakeClient(known)
        opened = [open_version(client, known, pin(client, reference)) for reference in references]
        return cls(opened, slice_name, split, transform)

    @property
    def samples(self) -> list[Sample]:
        """The labels in the order of the indices, without a look at the images."""
        return [sample for _, _, sample in self._items]

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, index: int) -> Any:
        dataset, path, sample = self._items[index]
        item = VersionItem(read_image(path), sample, dataset)
        return self._transform(item) if self._transform else item
