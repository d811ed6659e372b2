"""The pages of docs/ for people: commands and options that they name exist, and so do the pictures, which are small."""

import re
import shlex
from pathlib import Path

import click
import pytest
import typer

from lakegate_cli.main import app

DOCS = Path(__file__).resolve().parents[1] / "docs"
PAGES = ("for-annotation-leads.md", "for-researchers.md")
MAX_PICTURE_BYTES = 150_000


def commands_in(page: str) -> list[list[str]]:
    """Return the words of each ``lakegate`` command in the page's shell blocks."""
    text = (DOCS / page).read_text(encoding="utf-8")
    blocks = re.findall(r"^```bash\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)
    return [shlex.split(line) for block in blocks for line in block.splitlines() if line.startswith("lakegate ")]


def test_every_command_of_the_researchers_page_exists_with_its_options():
    commands = commands_in("for-researchers.md")
    assert len(commands) >= 8
    for words in commands:
        command: click.Command = typer.main.get_command(app)
        rest = words[1:]
        while isinstance(command, click.Group):
            command, rest = command.commands[rest[0]], rest[1:]
        command.make_context(words[-1], list(rest), resilient_parsing=False)


@pytest.mark.parametrize("page", PAGES)
def test_pictures_of_a_page_are_there_and_small(page):
    text = (DOCS / page).read_text(encoding="utf-8")
    for name in set(re.findall(r"pictures/[\w-]+\.\w+", text)):
        assert 0 < (DOCS / name).stat().st_size < MAX_PICTURE_BYTES, name
    assert "CC BY 2.0" in text or "pictures/" not in text, "the photographs ask for their authors' names"


def test_the_form_that_annotation_leads_fill_in_has_the_fields_that_they_read_about():
    import inspect

    from flows.publish_dataset import publish_dataset

    text = (DOCS / "for-annotation-leads.md").read_text(encoding="utf-8")
    table = text[text.index("| field |") : text.index("## 2.")]
    named = set(re.findall(r"^\| `(\w+)` \|", table, flags=re.MULTILINE))
    assert named == set(inspect.signature(publish_dataset.fn).parameters)
