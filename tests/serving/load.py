"""Load on one Triton server from a process of its own: ``python -m tests.serving.load ADDRESS MODEL RATE SECONDS``.

Requests are sent at a fixed rate, whether earlier ones are answered or not. Prints what came back as JSON.
"""

import json
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

from lakegate.detections import FoundObject
from lakegate.errors import LakegateError, ServerBusy
from lakegate.serving.server import TritonServer
from tests.serving.spots import LABELS, encoded, picture

CELLS = [(row, column, channel) for row in range(4) for column in (0, 2, 5) for channel in range(3)]
SENDERS = 160


def known_images() -> list[tuple[bytes, list[FoundObject]]]:
    """Images of one bright cell each, and the one object in it at the score that the network gives."""
    found = []
    for row, column, channel in CELLS:
        box = (column * 32.0, row * 32.0, column * 32.0 + 32, row * 32.0 + 32)
        expected = [FoundObject(LABELS[channel], 250 / 255, box)]
        found.append((encoded(picture((row, column, channel))), expected))
    return found


def is_right(objects: list[FoundObject], expected: list[FoundObject]) -> bool:
    """Same labels and boxes, scores to rounding."""
    if len(objects) != len(expected):
        return False
    pairs = list(zip(objects, expected, strict=True))
    same = all((one.label, one.box_xyxy_px) == (two.label, two.box_xyxy_px) for one, two in pairs)
    return same and all(abs(one.score - two.score) < 1e-6 for one, two in pairs)


class Load:
    """Counts answers: right, wrong, refused (queue full), and errors by their words."""

    def __init__(self, address: str, model: str) -> None:
        self.server, self.model, self.images = TritonServer(address, "", "staging"), model, known_images()
        self.counts: Counter[str] = Counter()
        self.latencies_s: list[float] = []
        self.lock = threading.Lock()
        self.server.labels(model, 1)

    def send(self, number: int) -> None:
        """Send one image and count what came back."""
        image, expected = self.images[number % len(self.images)]
        started = time.perf_counter()
        try:
            what = "right" if is_right(self.server.predict(self.model, image), expected) else "wrong"
        except ServerBusy:
            what = "refused"
        except LakegateError as error:
            what = f"error: {error}"
        with self.lock:
            self.counts[what] += 1
            if what == "right":
                self.latencies_s.append(time.perf_counter() - started)

    def at_capacity(self, duration_s: float, senders: int = 4) -> float:
        """Return the answers per second when each of a few senders waits for its answer."""
        deadline = time.monotonic() + duration_s
        before = self.counts["right"]

        def send_on(first: int) -> None:
            while time.monotonic() < deadline:
                self.send(first)

        with ThreadPoolExecutor(senders) as pool:
            list(pool.map(send_on, range(senders)))
        return (self.counts["right"] - before) / duration_s

    def at_rate(self, per_s: float, duration_s: float) -> None:
        """Send at a fixed rate."""
        started = time.monotonic()
        with ThreadPoolExecutor(SENDERS) as pool:
            for number in range(int(per_s * duration_s)):
                time.sleep(max(0.0, started + number / per_s - time.monotonic()))
                pool.submit(self.send, number)


def main(address: str, model: str, factor: str, duration_s: str) -> None:
    """Measure the capacity, then send ``factor`` times as much."""
    load = Load(address, model)
    load.at_capacity(0.3)
    capacity = load.at_capacity(1.0)
    load.counts.clear()
    load.latencies_s.clear()
    load.at_rate(capacity * float(factor), float(duration_s))
    latencies = sorted(load.latencies_s)
    p99_s = latencies[int(len(latencies) * 0.99)] if latencies else 0.0
    print(json.dumps({"capacity_per_s": capacity, "p99_s": p99_s, "counts": load.counts}))


if __name__ == "__main__":
    main(*sys.argv[1:])
