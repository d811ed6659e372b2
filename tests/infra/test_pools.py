from pathlib import Path

import pytest

from infra.pools import POOLS_FILE, read_pools
from lakegate.errors import BadDeclaration
from lakegate.settings import Settings


def written(folder: Path, text: str) -> Settings:
    path = folder / POOLS_FILE
    path.parent.mkdir()
    path.write_text(text)
    return Settings(checkout=folder)


def test_a_checkout_without_the_file_has_the_pools_of_this_code(tmp_path: Path) -> None:
    pools = read_pools(Settings(checkout=tmp_path))
    assert (pools.pool("control").limit, pools.pool("cpu").limit, pools.pool("gpu-cc86").limit) == (10, 2, None)
    assert pools.pool("gpu-cc120").words.endswith("12.0")


def test_a_checkout_may_set_other_limits(tmp_path: Path) -> None:
    text = "pools: {control: {description: a}, cpu: {description: b, concurrency_limit: 7}}\ngpu_pools: {description: c}\n"
    assert read_pools(written(tmp_path, text)).pool("cpu").limit == 7


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("pools: {control: {description: a, limit: 3}}\ngpu_pools: {description: c}", "limit"),
        ("pools: {control: {description: a}}\ngpu_pools: {description: c}", "lacks cpu"),
        ("pools: [", "expected the tables"),
    ],
)
def test_a_slip_in_the_file_is_told_with_its_place(tmp_path: Path, text: str, reason: str) -> None:
    with pytest.raises(BadDeclaration, match=rf"(?s)pools\.yaml.*{reason}"):
        read_pools(written(tmp_path, text))


def test_a_pool_that_nobody_declares_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadDeclaration, match="no pool 'gpu-a10'"):
        read_pools(Settings(checkout=tmp_path)).pool("gpu-a10")
