"""The main job through the command line, on real workers: publish, train, judge, release, approve, go back."""

import json
from pathlib import Path
from uuid import UUID

import pytest

from tests.flows.conftest import Person
from tests.squares import write_squares

pytestmark = pytest.mark.services


@pytest.fixture(scope="module")
def published(person: Person) -> Person:
    """``squares`` has v1 (with a sample without area, kept out) and v2."""
    first = write_squares(person.folder / "one", range(24), unfinished=[2, 5])
    bad = first / "Annotations" / "square-3.xml"
    bad.write_text(bad.read_text().replace("<xmax>", "<xmax>-"))
    second = write_squares(person.folder / "two", range(30))
    for version, source in (("v1", first), ("v2", second)):
        row = person.gets("data", "publish", "squares", "--source", str(source), "--version", version)
        assert row["version"] == version
    return person


@pytest.fixture(scope="module")
def released(published: Person) -> Person:
    """Release 1 of ``finder`` is in production; the author could not approve it, somebody else could."""
    person = published
    waiting = person.gets("model", "release", "finder", "--version", "squares@v1")
    assert (waiting["production"], waiting["staging"], waiting["state"]) == (None, 1, "PAUSED")

    refused = person.types("model", "approve", "finder", "--by", "Ada", "--reason", "mine")
    assert refused.code == 1 and "author and approver must differ" in refused.err
    assert person.gets("model", "status", "finder")["production"] is None

    approved = person.gets("model", "approve", "finder", "--by", "grace", "--reason", "looked at every flip")
    assert approved["production"] == 1 and "unauthenticated" in approved["decision"]
    return person


def test_versions_are_listed_logged_compared_and_fetched(published: Person) -> None:
    listed = {row["dataset"]: row for row in published.gets("data", "list")}
    assert (listed["squares"]["versions"], listed["squares"]["newest"]) == (2, "v2")
    assert [(row["version"], row["samples"], row["by"]) for row in published.gets("data", "log", "squares")] == [
        ("v2", 30, "ada"),
        ("v1", 23, "ada"),
    ]
    difference = published.gets("data", "diff", "squares", "v1", "v2")
    assert difference["samples"] == {"added": 7, "removed": 0, "relabelled": 2, "reimaged": 0}
    got = published.gets("data", "get", "squares", "v2", "--into", str(published.folder / "got"))
    assert got["files"] == 61 and (published.folder / "got" / "images" / "square-7.jpg").is_file()


def test_a_release_is_trained_once_and_goes_through_both_stages(released: Person) -> None:
    rows = released.gets("model", "log", "finder")
    assert len(rows["runs"]) == 1
    assert [(row["release"], row["approved by"], row["in production"]) for row in rows["releases"]] == [
        (1, "grace (unauthenticated)", "yes")
    ]
    again = released.gets("model", "train", "finder", "--version", "squares@v1")
    assert again["new"] is False


def test_a_released_model_predicts_from_the_command_line(released: Person) -> None:
    image = released.folder / "one" / "JPEGImages" / "square-0.jpg"
    assert released.gets("predict", "finder", str(image))["release"] == 1
    missing = released.types("predict", "finder", str(image.with_name("absent.jpg")))
    assert missing.code == 2 and "absent.jpg" in missing.err


def test_a_form_that_is_filled_wrongly_is_asked_again_and_nothing_is_trained_twice(released: Person) -> None:
    from prefect.client.orchestration import get_client
    from prefect.settings import PREFECT_API_URL, temporary_settings

    from lakegate_cli.flow_runs import follow_run

    waiting = released.gets("model", "release", "finder", "--version", "squares@v2")
    assert waiting["staging"] == 2
    run_id = waiting["flow_run"].rsplit("/", 1)[1]
    api = released.settings.prefect_api_url
    with temporary_settings({PREFECT_API_URL: api}), get_client(sync_client=True) as client:
        for approver, state in (("ADA", "PAUSED"), ("grace", "COMPLETED")):
            form = {"decision": "approve", "approver": approver, "reason": "better on the diff"}
            client.resume_flow_run(UUID(run_id), run_input=form)
            assert _followed(released, follow_run, run_id) == state
    status = released.gets("model", "status", "finder")
    assert (status["production"], status["staging"]) == (2, None)
    assert len(released.gets("model", "log", "finder")["runs"]) == 2

    back = released.gets("model", "roll-back", "finder", "1")
    assert back["production"] == 1
    assert released.gets("model", "roll-back", "finder", "2")["production"] == 2


def _followed(person: Person, follow_run: object, run_id: str) -> str:
    import os

    before = dict(os.environ)
    try:
        return str(follow_run(person.settings, run_id, lambda _line: None).state)  # type: ignore[operator]
    finally:
        os.environ.clear()
        os.environ.update(before)


def test_a_gate_that_fails_ends_the_release_with_its_sentence_and_moves_nothing(published: Person) -> None:
    answer = published.types("model", "release", "strict-finder", "--version", "squares@v1", "--local")
    assert answer.code == 1 and "Nothing was staged" in answer.err
    status = published.gets("model", "status", "strict-finder")
    assert (status["production"], status["staging"]) == (None, None)

    (run,) = [row["run"] for row in published.gets("model", "log", "strict-finder")["runs"]]
    words = ("model", "compare", "strict-finder", run, "none", "--version", "squares@v1", "--local", "--json")
    compared = published.types(*words)
    assert compared.code == 1 and compared.json["verdict"] in ("fail", "not enough data")


def test_a_bad_export_is_refused_with_the_file_and_the_reason(person: Person) -> None:
    source = write_squares(person.folder / "bad", range(12))
    broken = source / "JPEGImages" / "square-4.jpg"
    broken.write_bytes(broken.read_bytes()[:500])
    answer = person.types("data", "publish", "refusing", "--source", str(source), "--version", "v1")
    assert answer.code == 1
    assert "square-4.jpg" in answer.err and "main was not touched" in answer.err


def test_a_publisher_killed_at_every_step_leaves_one_whole_version(person: Person) -> None:
    source = write_squares(person.folder / "killed", range(12))
    words = ("data", "publish", "killed", "--source", str(source), "--version", "v1", "--local")
    for failpoint in ("uploading", "committed", "attested", "merged", "tagged"):
        killed = person.types(*words, LAKEGATE_FAILPOINT=failpoint)
        assert killed.code == -9, (failpoint, killed.err)
        rows = person.gets("data", "log", "killed")
        assert [row["samples"] for row in rows] == ([12] if failpoint == "tagged" else [])
    assert person.types(*words).code == 0
    assert [(row["version"], row["samples"]) for row in person.gets("data", "log", "killed")] == [("v1", 12)]


def test_first_declarations_can_be_used_unedited(person: Person) -> None:
    source = write_squares(person.folder / "new", range(20))
    person.gets("data", "init", "newcomers", "--source", str(source))
    person.gets("data", "publish", "newcomers", "--source", str(source), "--version", "v1", "--local")
    person.gets("model", "init", "newcomers-model", "--dataset", "newcomers")
    trained = person.gets("model", "train", "newcomers-model", "--epochs", "1", "--local")
    assert trained["new"] is True
    twice = person.types("data", "init", "newcomers", "--source", str(source))
    assert twice.code == 2 and "exists already" in twice.err


def test_every_form_can_be_filled_without_reading_the_source(person: Person) -> None:
    import requests

    deployments = requests.post(f"{person.settings.prefect_api_url}/deployments/filter", json={}, timeout=30).json()
    assert len(deployments) == 6
    for deployment in deployments:
        schema = deployment["parameter_openapi_schema"]
        for name, field in schema["properties"].items():
            assert field.get("description") or "$ref" in json.dumps(field), (deployment["name"], name)
            assert "null" not in json.dumps(field), (deployment["name"], name)
    publish = next(item for item in deployments if "source_format" in item["parameter_openapi_schema"]["properties"])
    assert publish["parameter_openapi_schema"]["properties"]["source_format"]["enum"] == ["auto", "voc", "coco", "yolo"]


def test_pages_of_a_run_open_by_the_address_that_is_printed(published: Person) -> None:
    import requests

    stack = json.loads((published.home / "stack.json").read_text())
    page = requests.get(f"{stack['reports_url']}/squares/validation-v1.html", timeout=30)
    assert page.status_code == 200 and "square-3" in page.text
    assert Path(published.home / "reports" / "squares" / "validation-v1.html").is_file()
