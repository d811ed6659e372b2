"""Rows of a bench: two numbers, what was wanted of them, and why where it was missed."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Row:
    """One comparison. ``wanted`` is the least ``peer / ours`` where less is better, else the least ``ours / peer``.

    Without a peer ``peer`` is the limit. ``reason`` says what the time went into; it is printed where the row missed.
    """

    name: str
    ours: float
    peer: float
    peer_name: str
    unit: str
    wanted: float = 1.0
    less_is_better: bool = True
    reason: str = ""

    @property
    def ratio(self) -> float:
        """How many times better than the peer."""
        first, second = (self.peer, self.ours) if self.less_is_better else (self.ours, self.peer)
        return first / second if second else float("inf")

    @property
    def is_met(self) -> bool:
        """Tell whether the row reached what was wanted."""
        return self.ratio >= self.wanted

    def to_json(self) -> dict[str, str | float]:
        """Return the row as the bench's JSON file holds it."""
        return {"name": self.name, "ours": self.ours, "peer": self.peer, "peer_name": self.peer_name, "unit": self.unit}

    def words(self) -> str:
        """Return the row as a line of the table."""
        numbers = f"{self.ours:>10.2f} {self.peer:>10.2f}  {self.unit:<9} {self.peer_name:<34}"
        verdict = "ok" if self.is_met else f"MISSED: {self.reason or 'no reason was found'}"
        return f"{self.name:<44} {numbers} {self.ratio:>7.2f}x, wanted {self.wanted:.2f}x  {verdict}"


def print_table(rows: Sequence[Row]) -> None:
    """Print all rows; a ratio of 1 is as good as the peer, more is better."""
    print(f"\n{'what':<44} {'ours':>10} {'peer':>10}  {'unit':<9} {'peer':<34} {'ratio':>8}")
    for row in rows:
        print(row.words())


def save_rows(home: Path, rows: Sequence[Row], name: str) -> Path:
    """Write ``bench/<name>`` in the state folder; returns its path."""
    path = home / "bench" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".part-{name}")
    aside.write_text(json.dumps([row.to_json() for row in rows], indent=1) + "\n", encoding="utf-8")
    aside.replace(path)
    return path
