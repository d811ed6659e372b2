"""The data side for a person: versions listed, compared, shown, corrected in lakeFS, merged and blamed, on the real stack."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import requests

from lakegate.lake.client import LakeClient
from tests.flows.conftest import REPOSITORY, Person, artifacts_of, asked_by, publish_two, wait_for

pytestmark = pytest.mark.services


@pytest.fixture(scope="module")
def tiled(person: Person) -> Person:
    """``tiles``, on which no model trains, has v1 (with a sample without area, kept out) and v2."""
    publish_two(person, "tiles")
    return person


def test_versions_are_listed_logged_compared_and_fetched(tiled: Person) -> None:
    listed = {row["dataset"]: row for row in tiled.gets("data", "list")}
    assert (listed["tiles"]["versions"], listed["tiles"]["newest"]) == (2, "v2")
    assert [(row["version"], row["samples"], row["by"]) for row in tiled.gets("data", "log", "tiles")] == [
        ("v2", 30, "ada"),
        ("v1", 23, "ada"),
    ]
    difference = tiled.gets("data", "diff", "tiles", "v1", "v2")
    assert difference["samples"] == {"added": 7, "removed": 0, "relabelled": 2, "reimaged": 0}
    got = tiled.gets("data", "get", "tiles", "v2", "--into", str(tiled.folder / "got"))
    assert got["files"] == 61 and (tiled.folder / "got" / "images" / "square-7.jpg").is_file()


def test_what_changed_is_a_page_that_the_publishing_run_and_a_run_of_its_own_link_to(tiled: Person) -> None:
    api = tiled.settings.prefect_api_url
    reports = json.loads((tiled.home / "stack.json").read_text())["reports_url"]
    address = f"{reports}/tiles/diff-v1-v2.html"
    page = requests.get(address, timeout=30)
    assert page.status_code == 200 and "9 samples differ" in page.text

    with asked_by(tiled) as client:
        deployment = client.read_deployment_by_name("diff-dataset/cpu")
        parameters = {"dataset": "tiles", "old": "v2", "new": "v1"}
        run = client.create_flow_run_from_deployment(deployment.id, parameters=parameters)
        wait_for(client, run.id)
    links, texts = (artifacts_of(api, key) for key in ("diff-tiles", "diff-tiles-summary"))
    assert [f"]({address})" in link for link in links] == [True, False]
    assert "/tiles/diff-v2-v1.html)" in links[1]
    assert "| number | 7 | 0 | 2 | 0 |" in texts[0] and "| number | 0 | 7 | 2 | 0 |" in texts[1]

    told = tiled.types("data", "diff", "tiles", "v1", "v2", "--html")
    assert told.code == 0 and f"page: {address}" in told.out and "samples: 7 added" in told.out


def test_a_publishing_run_links_the_report_and_a_page_of_the_samples(tiled: Person) -> None:
    api = tiled.settings.prefect_api_url
    for kind, name in (("validation", "validation"), ("samples", "version")):
        asked = {"artifacts": {"key": {"any_": [f"{kind}-tiles"]}}, "sort": "CREATED_DESC"}
        shown = requests.post(f"{api}/artifacts/filter", json=asked, timeout=30).json()
        links = [re.search(r"\((http[^)]*)\)", item["data"])[1] for item in shown]
        assert [link.rsplit("/", 1)[1] for link in links] == [f"{name}-v2.html", f"{name}-v1.html"]
        assert "square-29" in requests.get(links[0], timeout=30).text
    shown = tiled.gets("data", "show", "tiles", "v1", "--where", 'count("dark") == 0')
    assert (shown["samples"], shown["of"], shown["unattested"]) == (2, 23, "")


def test_the_researchers_page_does_what_it_says(tiled: Person) -> None:
    """Its commands and its Python, as written, but for the names of the dataset and of the slice."""
    text = (REPOSITORY / "docs" / "for-researchers.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```(bash|python)\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)
    lines = [f"python - <<'END'\n{block}END" if kind == "python" else block for kind, block in blocks]
    make_branch = (
        "python -c 'from lakegate.settings import Settings; from lakegate.lake.client import LakeClient; "
        'LakeClient(Settings.load()).create_branch("tiles", "my-corrections", "main")\'\n'
    )
    script = make_branch + "\n".join(lines).replace("digits", "tiles").replace("crowded", "first").replace('"six"', '"dark"')
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-e", "-c", script],
        cwd=tiled.checkout,
        env=tiled.environment(PATH=path),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr + done.stdout
    assert "tiles@v1: 0 of 23 samples" in done.stdout and "61 files in my-tiles" in done.stdout
    assert "tiles@v3 is published: 30 samples" in done.stdout
    assert re.search(r"\(96, 96, 3\) uint8 square-\d+ \['bright', 'dark'\]", done.stdout)


def test_branches_of_lakefs_are_merged_published_and_blamed_from_the_command_line(tiled: Person) -> None:
    """Runs last: it makes further versions of ``tiles``."""
    client, path = LakeClient(tiled.settings), "annotations/square-3.json"
    for branch, key, value in (("shift-a", "label", "bright"), ("shift-b", "bbox", [1, 1, 28, 28])):
        content = json.loads(client.read("tiles", "v2", path))
        content["annotations"][1][key] = value
        client.create_branch("tiles", branch, "v2")
        client.upload("tiles", branch, path, json.dumps(content).encode())
        client.commit("tiles", branch, f"edit {branch}", {})
    assert tiled.gets("data", "publish", "tiles", "--ref", "shift-a", "--version", "v13")["version"] == "v13"
    refused = tiled.types("data", "merge", "tiles", "shift-b", "--version", "v14")
    assert refused.code == 1 and "square-3: object" in refused.err and "--resolve SAMPLE=ours" in refused.err
    words = ("data", "merge", "tiles", "shift-b", "--resolve", "square-3=theirs", "--version", "v14")
    assert tiled.gets(*words)["version"] == "v14"
    changes = {(row["change"], row["version"], row["by"]) for row in tiled.gets("data", "blame", "tiles", "square-3")}
    assert ("reclassified", "v14", "ada") in changes and len(changes) == 2
    neither = tiled.types("data", "publish", "tiles", "--version", "v15")
    assert neither.code == 2 and "--source" in neither.err and "--ref" in neither.err
