"""`make bench`: speed and memory beside the peer, in one run and as a ratio. Numbers for people; nothing here is a test."""

import os
import resource
import secrets
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import tests.environment  # noqa: F401  first: it sets variables that numpy and torch read when imported

N_OBJECTS = 1000
N_LISTED = 1000
REPEATS = 3


def timed(action: Callable[[], object]) -> float:
    """Return the best wall time of some repeats, in seconds."""
    best = float("inf")
    for _ in range(REPEATS):
        started = time.perf_counter()
        action()
        best = min(best, time.perf_counter() - started)
    return best


def row(what: str, ours: float, peer: float, unit: str, peer_name: str) -> None:
    """Print one comparison; a ratio above 1 says that we are faster."""
    print(f"{what:<44} {ours:>9.1f} {unit:<10} {peer:>9.1f} {peer_name:<34} {ours / peer:>6.2f}x")


def bench_lakefs(folder: Path) -> None:
    """Uploads and listings against the official SDK, on the same server."""
    from infra.lakefs_binary import find_or_build
    from infra.lakefs_server import start_lakefs, stop_lakefs
    from infra.publisher_key import ensure_publisher_key
    from infra.stack import write_stack_file
    from lakegate.lake.client import LakeClient
    from lakegate.settings import Settings

    os.environ["LAKEGATE_HOME"] = str(folder)
    settings = Settings.load()
    ensure_publisher_key(folder)
    endpoint = start_lakefs(folder, find_or_build(settings, lambda _: None).path)
    write_stack_file(folder, lakefs_endpoint=endpoint, prefect_api_url="", reports_url="")
    try:
        settings = Settings.load()
        client = LakeClient(settings)
        name = f"bench-{secrets.token_hex(4)}"
        client.ensure_repository(name)
        random = secrets.token_bytes(60_000)
        objects = {f"images/{i:05d}.jpg": random[: 20_000 + 40 * i] + i.to_bytes(4, "big") for i in range(N_OBJECTS)}
        _bench_upload(client, settings, name, objects)
        _bench_listing(client, settings, name)
    finally:
        stop_lakefs(folder)


def _sdk(settings: object) -> object:
    from lakefs.client import Client

    return Client(
        host=settings.lakefs_endpoint,
        username=settings.lakefs_access_key_id,
        password=settings.lakefs_secret_access_key.get_secret_value(),
    )


def _bench_upload(client: object, settings: object, name: str, objects: dict[str, bytes]) -> None:
    import lakefs

    branches = iter(range(100))

    def fresh(prefix: str) -> str:
        branch = f"{prefix}-{next(branches)}"
        client.create_branch(name, branch, "main")
        return branch

    ours = timed(lambda: client.upload_many(name, fresh("ours"), objects))
    sdk = _sdk(settings)

    def through_sdk() -> None:
        branch = lakefs.Repository(name, client=sdk).branch(fresh("sdk"))
        with ThreadPoolExecutor(32) as pool:
            list(pool.map(lambda item: branch.object(item[0]).upload(item[1]), objects.items()))

    peer = timed(through_sdk)
    row("upload, 20-60 KB objects", N_OBJECTS / ours, N_OBJECTS / peer, "objects/s", "lakefs SDK, 32 threads")


def _bench_listing(client: object, settings: object, name: str) -> None:
    import lakefs

    branch = "ours-0"
    ours = timed(lambda: client.list_objects(name, branch))
    repository = lakefs.Repository(name, client=_sdk(settings))
    peer = timed(lambda: list(repository.branch(branch).objects()))
    row("listing with checksums", N_LISTED / ours, N_LISTED / peer, "objects/s", "lakefs SDK models")


def print_memory() -> None:
    """Print the peak resident memory of all of the above."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"\npeak memory of this process: {peak:.0f} MiB")


def main() -> None:
    """Print the table."""
    print(f"{'what':<44} {'Lakegate':>9} {'':<10} {'peer':>9} {'':<34} {'ratio':>7}")
    with tempfile.TemporaryDirectory(prefix="lakegate-bench-") as temporary:
        folder = Path(temporary)
        bench_lakefs(folder / "home")
    print_memory()


if __name__ == "__main__":
    main()
