"""Looking at what lies in the real lakeFS: versions, branches that nobody attested, raw frames, and a part of a version."""

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from lakegate.errors import BadDeclaration, BadInput, VersionNotFound
from lakegate.lake.local import cache_path
from lakegate.lifecycle.showing import UNLABELLED, show_version
from lakegate_cli.main import app
from tests.lifecycle.conftest import Workshop
from tests.squares import write_squares

pytestmark = pytest.mark.services
N = 12


@pytest.fixture
def published(workshop: Workshop) -> Workshop:
    workshop.publish(write_squares(workshop.folder / "export", range(N), unfinished=[2, 5]), "v1").save_page()
    return workshop


def table_of(page: Path) -> dict:
    return json.loads(re.search(r'id="gallery-table">(.*?)</script>', page.read_text(), re.DOTALL)[1])


def show(workshop: Workshop, ref: str, **words):
    return show_version(workshop.client, workshop.settings, f"{workshop.dataset}@{ref}", **words)


def test_a_version_can_be_browsed_beside_its_report(published: Workshop) -> None:
    shown = show(published, "v1")
    assert (shown.n_samples, shown.n_all, shown.n_pictures, shown.unattested) == (N, N, N, "")
    assert shown.page.path == published.settings.reports_dir / published.dataset / "version-v1.html"
    html, table = shown.page.path.read_text(), table_of(shown.page.path)
    assert table["id"] == sorted(f"square-{number}" for number in range(N)) and table["labels"] == ["bright", "dark"]
    assert '<a href="validation-v1.html">' in html and "NOT ATTESTED" not in html and "ada (unauthenticated)" in html


def test_a_predicate_chooses_and_its_page_stands_beside_the_whole(published: Workshop, tmp_path: Path) -> None:
    some = show(published, "v1", where='count("dark") == 0')
    assert (some.n_samples, some.n_all) == (2, N) and "2 of 12 samples" in some.page.path.read_text()
    assert table_of(some.page.path)["id"] == ["square-2", "square-5"]
    assert some.page.path.name.startswith("version-v1-") and some.page.path.parent.name == published.dataset
    alone = show(published, "v1", where='split == "test"', into=tmp_path / "made" / "here.html")
    assert alone.page.path == tmp_path / "made" / "here.html" and "href=" not in alone.page.path.read_text()
    assert {table_of(alone.page.path)["splits"][0]} == {"test"}
    assert show(published, "v1", where='"nothing" in tags').n_samples == 0


def test_a_second_page_fetches_no_image_again(published: Workshop) -> None:
    first = show(published, "v1").page.path.read_bytes()
    (published.settings.reports_dir / published.dataset / "version-v1.html").unlink()
    listed = published.client.list_objects(published.dataset, "v1")
    images = [cache_path(published.settings, str(entry.sha256)) for entry in listed if entry.path.startswith("images/")]
    for path in images:
        path.unlink()
    assert show(published, "v1").page.path.read_bytes() == first
    assert not any(path.exists() for path in images)


def test_a_branch_that_nobody_attested_is_shown_and_says_so(published: Workshop) -> None:
    client, dataset = published.client, published.dataset
    client.create_branch(dataset, "annotate-night", "main")
    client.upload(dataset, "annotate-night", "annotations/square-1.json", b'{"width": 96')
    picture = client.read(dataset, "v1", "images/square-3.jpg")
    client.upload(dataset, "annotate-night", "images/night/frame-1.jpg", picture)
    client.commit(dataset, "annotate-night", "Frames of the night", {})

    shown = show(published, "annotate-night")
    html, table = shown.page.path.read_text(), table_of(shown.page.path)
    assert shown.unattested == "nobody attested this content" and "NOT ATTESTED" in html
    assert len(shown.unreadable) == 1 and "annotations/square-1.json is not a sample" in shown.unreadable[0]
    assert "1 label file cannot be read:" in html and "2 images have no label file." in html
    without = [name for name, tags in zip(table["id"], table["tag"], strict=True) if table["tags"].index(UNLABELLED) in tags]
    assert without == ["night/frame-1", "square-1"] and shown.n_pictures == N + 1


def test_what_cannot_be_shown_is_refused_in_words(published: Workshop, tmp_path: Path) -> None:
    with pytest.raises(VersionNotFound, match="did you mean 'v1'"):
        show(published, "v11")
    with pytest.raises(BadDeclaration, match="no field is called"):
        show(published, "v1", where="object > 3")
    with pytest.raises(BadInput, match="name the file to write"):
        show(published, "v1", into=tmp_path)


def test_the_command_shows_the_newest_version(published: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAKEGATE_CHECKOUT", str(published.checkout))
    answer = CliRunner().invoke(app, ["data", "show", published.dataset, "--where", "objects == 1", "--json"])
    content = json.loads(answer.output)
    assert (content["reference"], content["samples"], content["of"]) == (f"{published.dataset}@v1", 2, N)
    told = CliRunner().invoke(app, ["data", "show", published.dataset, "v1"])
    assert "@v1: 12 of 12 samples, 12 with picture" in told.output and "version-v1.html" in told.output
