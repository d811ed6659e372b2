"""The page of runs side by side: one self-contained HTML file with curves as SVG."""

from collections.abc import Sequence
from dataclasses import dataclass

from lakegate.html import render
from lakegate.reports.runs_side_by_side import CurvesOfRuns, RunsSideBySide

LEFT_PX, RIGHT_PX, TOP_PX, BOTTOM_PX = 58.0, 350.0, 12.0, 190.0
DASHES = ("none", "7 3", "2 3", "9 3 2 3", "4 4", "1 5")  # a curve is told by its dashes, too, not by its colour alone
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#b58900", "#56b4e9")  # Okabe and Ito; yellow is darkened


@dataclass(frozen=True)
class Line:
    """One run's curve: pieces of ``x,y x,y …`` in px of the chart, its colour and dashes."""

    run: str
    colour: str
    dashes: str
    pieces: tuple[str, ...]


@dataclass(frozen=True)
class LineChart:
    """One metric over the epochs; ``low`` and ``high`` are the ends of the axis in words."""

    name: str
    n_epochs: int
    low: str
    high: str
    lines: tuple[Line, ...]


def render_runs_html(found: RunsSideBySide) -> str:
    """Render the page; it needs no network, nor JavaScript."""
    charts = [chart for item in found.curves if (chart := line_chart(item, found.runs)) is not None]
    keys = [Line(run, COLOURS[index % 6], DASHES[index // 6 % 6], ()) for index, run in enumerate(found.runs)]
    groups = (("What they were made from", found.facts), ("Parameters", found.parameters), ("What came out", found.metrics))
    return render("runs.html.j2", found=found, charts=charts, keys=keys, groups=groups)


def line_chart(curves: CurvesOfRuns, runs: Sequence[str]) -> LineChart | None:
    """Return the curves in px; None where no run measured anything."""
    told = [value for row in curves.values for value in row if value is not None]
    if not told:
        return None
    low, high = min(0.0, *told), max(told)
    span = (high - low) or 1.0
    n_epochs = max(len(row) for row in curves.values)

    def at(epoch: int, value: float) -> str:
        x = LEFT_PX + (RIGHT_PX - LEFT_PX) * (epoch / max(n_epochs - 1, 1))
        return f"{x:.1f},{BOTTOM_PX - (BOTTOM_PX - TOP_PX) * (value - low) / span:.1f}"

    lines = []
    for index, (run, row) in enumerate(zip(runs, curves.values, strict=True)):
        pieces: list[list[str]] = [[]]
        for epoch, value in enumerate(row):
            if value is None:
                pieces.append([])
            else:
                pieces[-1].append(at(epoch, value))
        kept = tuple(" ".join(piece) for piece in pieces if piece)
        lines.append(Line(run, COLOURS[index % 6], DASHES[index // 6 % 6], kept))
    return LineChart(curves.name, n_epochs, f"{low:.3g}", f"{high:.3g}", tuple(lines))
