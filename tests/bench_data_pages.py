"""Pages of data, opened in headless Chromium: rows of `make bench BENCH=data`.

Numbers for people; nothing here is a test. The diff page shows 5,000 changed samples, the validation page 20,000 samples.
"""

import http.client
import json
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import tests.environment  # noqa: F401  first: it sets variables that numpy reads when imported
from infra.doctor import find_chromium
from lakegate.canonical import sha256_bytes
from lakegate.catalog import parse_dataset
from lakegate.lake.diff import diff_versions
from lakegate.lake.local_version import DatasetVersion, LocalImage, LocalVersion
from lakegate.reports.diff_cards import make_cards
from lakegate.reports.diff_page import DiffHeading, compared_distributions, render_diff_html
from lakegate.samples import Annotation, Sample
from lakegate.thumbnails import Thumbnails

N_CHANGED = int(os.environ.get("LAKEGATE_BENCH_CHANGED") or 5_000)
N_SAMPLES = int(os.environ.get("LAKEGATE_BENCH_IMAGES") or 20_000)
LIMIT_S = 2.0
TIMES = 5
OBJECTS = 10
LABELS = ("car", "truck", "bus", "person")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--remote-allow-origins=*", "--remote-debugging-port=0",
)  # fmt: skip
DRAWN = """new Promise(done => {
  const paint = () => requestAnimationFrame(() => requestAnimationFrame(() => done(
    [performance.now(), document.querySelectorAll(".tile, .flip").length, location.href])));
  document.readyState === "complete" ? paint() : addEventListener("load", paint);
})"""


def bench_rows(folder: Path) -> list[dict[str, Any]]:
    """Return the rows of both pages, which are made in ``folder``; ``peer`` is the limit. Without Chromium there is none."""
    from tests.pages import make_validation_page

    return page_rows(
        {
            f"diff page, {N_CHANGED:,} changed samples": make_diff_page(folder / "diff", N_CHANGED),
            f"validation page, {N_SAMPLES:,} samples": make_validation_page(folder / "validation", N_SAMPLES),
        },
        folder,
    )


def page_rows(pages: dict[str, Path], folder: Path) -> list[dict[str, Any]]:
    """Return one row per page: the median of 5 openings, until its first pictures are painted."""
    chromium = find_chromium()
    if chromium is None:
        print("chromium is absent: no page was opened")
        return []
    rows = []
    for name, page in pages.items():
        found = sorted(opened_s(chromium, page, folder / "profile") for _ in range(TIMES))
        print(f"{name}: {page.stat().st_size / 1e6:.1f} MB, opened in {', '.join(f'{seconds:.2f}' for seconds in found)} s")
        rows.append({"name": name, "ours": round(found[TIMES // 2], 2), "peer": LIMIT_S, "peer_name": "limit", "unit": "s"})
    return rows


def make_diff_page(folder: Path, n: int) -> Path:
    """Write the page of a diff with ``n`` relabelled samples of 10 boxes each, one of them moved and one reclassified."""
    import numpy as np

    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(0)
    files = [_write_photo(folder / f"{number}.jpg", random) for number in range(n)]
    images = {f"camera-{number % 20}/{number:06}": _local(path) for number, path in enumerate(files)}
    declaration = parse_dataset("cars", f'task = "detection"\nlabels = {list(LABELS)}\n')
    sides: list[LocalVersion] = []
    for tag in ("v1", "v2"):
        samples = tuple(_sample(name, number, tag) for number, name in enumerate(sorted(images)))
        sides.append(LocalVersion(DatasetVersion("cars", tag, tag * 20, ""), declaration, samples, images))
    difference = diff_versions(*sides)
    assert len(difference.relabelled) == n
    cards = make_cards(*sides, difference, Thumbnails(folder / "thumbnails"))
    brightness = {image.sha256: float(number % 256) for number, image in enumerate(images.values())}
    charts = compared_distributions(*sides, brightness)
    page = folder / "diff.html"
    page.write_text(render_diff_html(DiffHeading("cars", "v1", "v2"), difference, cards, charts))
    return page


def _local(path: Path) -> LocalImage:
    return LocalImage(path, sha256_bytes(path.read_bytes()))


def _write_photo(path: Path, random: Any) -> Path:
    """Write 160 × 120 px of coarse colours and noise: the thumbnail is at least as large as that of a photograph."""
    import numpy as np
    import simplejpeg

    coarse_HWC = random.integers(20, 230, (12, 16, 3), dtype=np.int16).repeat(10, axis=0).repeat(10, axis=1)
    noisy_HWC = (coarse_HWC + random.integers(-20, 20, coarse_HWC.shape, dtype=np.int16)).astype(np.uint8)
    path.write_bytes(simplejpeg.encode_jpeg(np.ascontiguousarray(noisy_HWC), quality=85))
    return path


def _sample(name: str, number: int, tag: str) -> Sample:
    shift = 3.0 if tag == "v2" else 0.0
    boxes = [(float(37 * place % 500), float((53 * place + number) % 400), 60.0, 40.0) for place in range(OBJECTS)]
    made = [Annotation(LABELS[place % len(LABELS)], box) for place, box in enumerate(boxes)]
    x, *rest = boxes[0]
    made[0] = Annotation(LABELS[0], (x + shift, rest[0], rest[1], rest[2]))
    made[1] = Annotation("bus" if shift else "truck", boxes[1])
    return Sample(name, 640, 480, tuple(made), "test" if number % 5 == 0 else "train", name.split("/")[0])


def opened_s(chromium: Path, page: Path, profile: Path) -> float:
    """Open a page in a Chromium that runs already; return seconds from the click to the first pictures on the screen."""
    with _browser(chromium, profile) as port, _page_socket(port) as ask:
        ask("Page.enable")
        started = time.perf_counter()
        ask("Page.navigate", url=page.as_uri())
        answer = ask("Runtime.evaluate", expression=DRAWN, awaitPromise=True, returnByValue=True)
        seconds = time.perf_counter() - started
        _, n_tiles, where = answer["result"]["value"]
    if where != page.as_uri() or not n_tiles:
        raise RuntimeError(f"{page} did not open in Chromium: {where} shows {n_tiles} pictures")
    return seconds


@contextmanager
def _browser(chromium: Path, profile: Path) -> Iterator[int]:
    """Run Chromium with a profile of its own; yields the port that it listens on."""
    port_file = profile / "DevToolsActivePort"
    port_file.unlink(missing_ok=True)
    command = [str(chromium), *FLAGS, f"--user-data-dir={profile}", "about:blank"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until = time.monotonic() + 60
        while not port_file.is_file() or not port_file.read_text().strip():
            if process.poll() is not None or time.monotonic() > until:
                raise RuntimeError("Chromium did not start; try `chromium --headless about:blank`")
            time.sleep(0.05)
        yield int(port_file.read_text().split()[0])
    finally:
        process.terminate()
        process.wait(timeout=30)


@contextmanager
def _page_socket(port: int) -> Iterator[Any]:
    """Yield a function that sends one command of the DevTools protocol to the open tab and returns its result."""
    from websockets.sync.client import connect

    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("GET", "/json")
    tabs = json.loads(connection.getresponse().read())
    address = next(tab["webSocketDebuggerUrl"] for tab in tabs if tab["type"] == "page")
    with connect(address, max_size=None, compression=None) as socket:
        number = 0

        def ask(method: str, **parameters: Any) -> Any:
            nonlocal number
            number += 1
            socket.send(json.dumps({"id": number, "method": method, "params": parameters}))
            while True:
                answer = json.loads(socket.recv(timeout=120))
                if answer.get("id") == number:
                    if "error" in answer:
                        raise RuntimeError(f"{method}: {answer['error']}")
                    return answer["result"]

        yield ask


if __name__ == "__main__":
    import sys
    import tempfile

    with tempfile.TemporaryDirectory() as made_in:
        for row in bench_rows(Path(made_in)):
            print(json.dumps(row))
    sys.exit(0)
