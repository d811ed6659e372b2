"""The page of runs side by side: one self-contained HTML file with curves as SVG."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from lakegate.html import render
from lakegate.reports.runs_side_by_side import Better, CurvesOfRuns, RunsSideBySide, direction

LEFT_PX, RIGHT_PX, TOP_PX, BOTTOM_PX = 58.0, 326.0, 12.0, 190.0
NUMBER_PX, NUMBERS_LEFT_PX = 9.5, 334.0  # height of a run's number beside its curve, and where these numbers stand
DASHES = ("none", "8 3", "2 3", "10 3 2 3", "5 5", "1 5")  # a curve is told by dashes and number, too, not by its colour alone
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#b58900", "#56b4e9")  # Okabe and Ito; yellow is darkened


@dataclass(frozen=True)
class Line:
    """One run's curve: its number from 1, pieces of ``x,y x,y …`` in px of the chart, colour and dashes.

    ``end``: where its last value is, ``number_y``: the height of its number; both None where nothing was measured.
    """

    number: int
    run: str
    colour: str
    dashes: str
    pieces: tuple[str, ...] = ()
    end: tuple[float, float] | None = None
    number_y: float | None = None


@dataclass(frozen=True)
class LineChart:
    """One metric over the epochs; ``low`` and ``high`` are the ends of the axis in words."""

    name: str
    better: Better
    n_epochs: int
    low: str
    high: str
    lines: tuple[Line, ...]


def render_runs_html(found: RunsSideBySide) -> str:
    """Render the page; it needs no network, nor JavaScript."""
    charts = [chart for item in found.curves if (chart := line_chart(item, found.runs)) is not None]
    keys = [_line(index, run) for index, run in enumerate(found.runs)]
    return render("runs.html.j2", found=found, charts=charts, keys=keys, numbers_left=NUMBERS_LEFT_PX)


def line_chart(curves: CurvesOfRuns, runs: Sequence[str]) -> LineChart | None:
    """Return the curves in px; None where no run measured anything."""
    told = [value for row in curves.values for value in row if value is not None]
    if not told:
        return None
    low, high = min(0.0, *told), max(told)
    span = (high - low) or 1.0
    n_epochs = max(len(row) for row in curves.values)

    def at(epoch: int, value: float) -> tuple[float, float]:
        x = LEFT_PX + (RIGHT_PX - LEFT_PX) * (epoch / max(n_epochs - 1, 1))
        return round(x, 1), round(BOTTOM_PX - (BOTTOM_PX - TOP_PX) * (value - low) / span, 1)

    lines = []
    for index, (run, row) in enumerate(zip(runs, curves.values, strict=True)):
        pieces: list[list[tuple[float, float]]] = [[]]
        for epoch, value in enumerate(row):
            if value is None:
                pieces.append([])
            else:
                pieces[-1].append(at(epoch, value))
        kept = [piece for piece in pieces if piece]
        drawn = tuple(" ".join(f"{x:.1f},{y:.1f}" for x, y in piece) for piece in kept)
        lines.append(replace(_line(index, run), pieces=drawn, end=kept[-1][-1] if kept else None))
    words = f"{low:.3g}", f"{high:.3g}"
    return LineChart(curves.name, direction(curves.name), n_epochs, *words, _numbered(lines))


def _line(index: int, run: str) -> Line:
    """Return a line of its own look for each of 36 runs; runs beside each other differ in colour and in dashes."""
    n_looks = len(COLOURS)
    return Line(index + 1, run, COLOURS[index % n_looks], DASHES[(index + index // n_looks) % n_looks])


def _numbered(lines: Sequence[Line]) -> tuple[Line, ...]:
    """Give each curve a height for its number: beside its end, and never over another number while there is room."""
    order = sorted((line for line in lines if line.end), key=lambda line: (line.end or (0, 0))[1])
    room_px = min(NUMBER_PX, (BOTTOM_PX - TOP_PX) / max(len(order) - 1, 1))
    heights: dict[int, float] = {}
    lowest = TOP_PX
    for place, line in enumerate(order):
        ceiling = BOTTOM_PX - room_px * (len(order) - 1 - place)
        heights[line.number] = min(max((line.end or (0, 0))[1], lowest), ceiling)
        lowest = heights[line.number] + room_px
    return tuple(replace(line, number_y=heights.get(line.number)) for line in lines)
