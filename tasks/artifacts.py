"""Leave links, tables and text on the Prefect run; nothing here decides anything."""

import re
from collections.abc import Mapping, Sequence

from prefect.artifacts import create_link_artifact, create_markdown_artifact, create_table_artifact


def artifact_key(*words: str) -> str:
    """Return a key that Prefect accepts: small letters, digits and dashes.

    >>> artifact_key("matrix", "blood_cells")
    'matrix-blood-cells'
    """
    return re.sub(r"[^a-z0-9]+", "-", "-".join(words).lower()).strip("-")


def show_link(key: str, link: str, text: str) -> None:
    """Leave a link to a page on the run."""
    create_link_artifact(link=link, link_text=text, key=key, description=text)


def show_text(key: str, markdown: str) -> None:
    """Leave formatted text on the run."""
    create_markdown_artifact(markdown=markdown, key=key)


def show_table(key: str, rows: Sequence[Mapping[str, object]], description: str) -> None:
    """Leave a table on the run; ``rows`` share their keys."""
    create_table_artifact(table=[dict(row) for row in rows], key=key, description=description)
