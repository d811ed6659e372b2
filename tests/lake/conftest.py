"""Small datasets with real image files, published through the real steps on the real server."""

import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lakegate.lake.client import LakeClient
from lakegate.settings import Settings
from tests.lake.proxy import Proxy


@pytest.fixture
def client(settings: Settings) -> LakeClient:
    return LakeClient(settings)


@pytest.fixture
def fresh(settings: Settings, tmp_path: Path) -> Settings:
    """The same publisher with an empty cache."""
    home = tmp_path / "fresh"
    home.mkdir()
    for name in ("keys", "secrets"):
        (home / name).symlink_to(settings.home / name)
    return settings.model_copy(update={"home": home})


@pytest.fixture
def dataset() -> str:
    """A name that no other test uses."""
    return f"cells-{secrets.token_hex(4)}"


@pytest.fixture
def proxy(settings: Settings) -> Iterator[Proxy]:
    """A real HTTP proxy before the real lakeFS: it counts, and can be told to damage uploads."""
    running = Proxy(settings.lakefs_endpoint)
    try:
        yield running
    finally:
        running.stop()


@pytest.fixture
def proxied(settings: Settings, proxy: Proxy) -> LakeClient:
    """A client that reaches lakeFS through the proxy."""
    return LakeClient(settings.model_copy(update={"lakefs_endpoint": proxy.endpoint}))


@pytest.fixture
def colour(tmp_path: Path) -> Callable[[str, tuple[int, int, int]], Path]:
    """Write a small real PNG of one colour."""
    from PIL import Image

    def write(name: str, rgb: tuple[int, int, int]) -> Path:
        path = tmp_path / "export" / f"{name}.png"
        path.parent.mkdir(exist_ok=True)
        Image.new("RGB", (64, 48), rgb).save(path)
        return path

    return write
