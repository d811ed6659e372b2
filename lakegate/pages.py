"""Put a self-contained page where a person can open it; the evidence itself is kept in lakeFS by its digest."""

import os
from dataclasses import dataclass
from pathlib import Path

from lakegate.settings import Settings


@dataclass(frozen=True)
class Page:
    """Where a page lies and which address opens it."""

    path: Path
    url: str


def save_page(settings: Settings, name: str, html: str) -> Page:
    """Write ``<home>/reports/<name>`` aside and rename it, so nobody ever opens half a page."""
    path = settings.reports_dir / name
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    aside.write_text(html)
    aside.replace(path)
    return page_of(settings, name)


def page_of(settings: Settings, name: str) -> Page:
    """Return where the page ``<home>/reports/<name>`` lies and opens; it need not be there."""
    path = settings.reports_dir / name
    url = f"{settings.reports_url.rstrip('/')}/{name}" if settings.reports_url else path.as_uri()
    return Page(path, url)
