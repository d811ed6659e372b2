"""What a model costs where it runs, as ratios of the candidate to the baseline."""

from dataclasses import dataclass

from lakegate.evaluation.matrix import Interval, Matrix
from lakegate.evaluation.tables import interval_words


@dataclass(frozen=True)
class Cost:
    """One cost of both models in a unit for people; ``ratio`` is candidate over baseline.

    ``interval``: of the ratio, over ``n_pairs`` pairs of measurements; None where it is not measured like that.
    """

    words: str
    candidate: str
    baseline: str
    ratio: float
    times: str  # what the ratio is called: "times as long"
    interval: Interval | None = None
    n_pairs: int = 0


def cost(matrix: Matrix, metric: str) -> Cost | None:
    """Return a cost by the name of its metric; None where it was not measured."""
    if metric == "size_ratio":
        return _size(matrix)
    if metric == "memory_ratio":
        return _memory(matrix)
    latency = matrix.measured.latency
    if latency is None or metric not in ("latency_p50_ratio", "latency_p99_ratio"):
        return None
    name = metric.removeprefix("latency_").removesuffix("_ratio")
    now, was = (
        (latency.candidate_p50_ms, latency.baseline_p50_ms)
        if name == "p50"
        else (latency.candidate_p99_ms, latency.baseline_p99_ms)
    )
    if not was:
        return None
    words = f"For one image the candidate's {name} latency is"
    told = latency.p50_ratio_interval if name == "p50" else latency.p99_ratio_interval
    return Cost(words, f"{now:.1f} ms", f"{was:.1f} ms", now / was, "times as long", told, latency.n_images)


@dataclass(frozen=True)
class CostTable:
    """What was measured, as texts: candidate, baseline, and candidate : baseline."""

    names: tuple[str, ...]
    rows: tuple[tuple[str, tuple[str, ...]], ...]


def cost_table(matrix: Matrix) -> CostTable | None:
    """Return latency, peak memory and size of both models; None where latency was not measured."""
    latency, memory, baseline = matrix.measured.latency, matrix.measured.memory, matrix.baseline
    if latency is None:
        return None
    told = [
        ("p50", latency.candidate_p50_ms, latency.baseline_p50_ms, "{:.1f} ms"),
        ("p99", latency.candidate_p99_ms, latency.baseline_p99_ms, "{:.1f} ms"),
        ("file", matrix.candidate.size_bytes / 2**20, baseline and baseline.size_bytes / 2**20, "{:.2f} MiB"),
    ]
    if memory is not None:
        was = None if memory.baseline_bytes is None else memory.baseline_bytes / 2**20
        told.insert(2, ("peak memory", memory.candidate_bytes / 2**20, was, "{:.1f} MiB"))
    rows = [("candidate", tuple(text.format(now) for _, now, _, text in told))]
    if baseline is not None:
        rows.append(("baseline", tuple("–" if was is None else text.format(was) for _, _, was, text in told)))
        between = {"p50": latency.p50_ratio_interval, "p99": latency.p99_ratio_interval}
        ratios = ((f"{now / was:.2f}" if was else "–", interval_words(between.get(name), 2)) for name, now, was, _ in told)
        rows.append(("candidate : baseline", tuple(f"{text} ({words})" if words else text for text, words in ratios)))
    return CostTable(tuple(name for name, *_ in told), tuple(rows))


def _size(matrix: Matrix) -> Cost | None:
    if matrix.baseline is None or not matrix.baseline.size_bytes:
        return None
    now, was = matrix.candidate.size_bytes, matrix.baseline.size_bytes
    words = "The candidate's model.onnx has"
    return Cost(words, f"{now / 2**20:.1f} MiB", f"{was / 2**20:.1f} MiB", now / was, "times as large")


def _memory(matrix: Matrix) -> Cost | None:
    memory = matrix.measured.memory
    if memory is None or memory.ratio is None or memory.baseline_bytes is None:
        return None
    now, was = f"{memory.candidate_bytes / 2**20:.1f} MiB", f"{memory.baseline_bytes / 2**20:.1f} MiB"
    words = "For a session and one image the candidate's peak memory is"
    return Cost(words, now, was, memory.ratio, "times as much")


NOT_MEASURED = {
    "latency_p50_ratio": "Latency was not measured, since there was no test image or it was switched off.",
    "latency_p99_ratio": "Latency was not measured, since there was no test image or it was switched off.",
    "memory_ratio": "Peak memory was not measured: no test image, switched off, or the system does not tell it.",
    "size_ratio": "The size of the baseline's file is not known.",
}
