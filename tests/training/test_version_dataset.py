"""A torch dataset over versions: the same sample at the same index everywhere."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from lakegate.errors import UnknownName
from lakegate.imaging import read_image
from lakegate.lake.client import LakeClient
from lakegate.settings import Settings
from lakegate.training.version_dataset import VersionDataset, VersionItem
from tests.lake.story import a_sample, publish_version
from tests.training.synthetic import make_version


def size_and_name(item: VersionItem) -> tuple[torch.Tensor, str]:
    return torch.from_numpy(item.image.copy()).permute(2, 0, 1), f"{item.dataset}/{item.sample.id}"


def test_the_order_is_by_dataset_and_id_whatever_order_the_versions_have(tmp_path: Path):
    first = make_version(tmp_path / "a", n=3, dataset="a-squares")
    second = make_version(tmp_path / "b", n=2, dataset="b-squares", split="test")
    both = VersionDataset([second, first])
    assert [(item.dataset, item.sample.id) for item in (both[n] for n in range(len(both)))] == [
        ("a-squares", "square-0"), ("a-squares", "square-1"), ("a-squares", "square-2"),
        ("b-squares", "square-0"), ("b-squares", "square-1"),
    ]  # fmt: skip
    assert np.array_equal(both[0].image, read_image(first.images["square-0"].path))
    assert [sample.id for sample in VersionDataset([second, first], split="test").samples] == ["square-0", "square-1"]


def test_a_slice_narrows_and_an_unknown_one_is_named(tmp_path: Path):
    version = make_version(tmp_path, n=6)
    assert [sample.id for sample in VersionDataset(version, "first").samples] == [f"square-{n}" for n in range(4)]
    with pytest.raises(UnknownName, match="did you mean 'first'"):
        VersionDataset(version, "frist")


def test_a_loader_with_workers_gives_the_same_batches_as_one_without(tmp_path: Path):
    chosen = VersionDataset(make_version(tmp_path, n=5), transform=size_and_name)
    batches = [
        [(images.sum().item(), names) for images, names in DataLoader(chosen, batch_size=2, num_workers=workers)]
        for workers in (0, 2)
    ]
    assert batches[0] == batches[1]
    assert [name for _, names in batches[0] for name in names] == [f"squares/square-{n}" for n in range(5)]


@pytest.mark.services
def test_a_published_version_is_opened_by_its_name(settings: Settings, tmp_path: Path):
    from PIL import Image

    samples = []
    for number, name in enumerate("ba"):
        path = tmp_path / f"{name}.png"
        Image.new("RGB", (64, 48), (number * 200, 0, 0)).save(path)
        samples.append(a_sample(name, path))
    publish_version(LakeClient(settings), settings, "torch-cells", "v1", samples)
    opened: VersionDataset[VersionItem] = VersionDataset.open("torch-cells@v1", settings=settings)
    assert [(item.sample.id, item.image[0, 0].tolist()) for item in opened] == [("a", [200, 0, 0]), ("b", [0, 0, 0])]
