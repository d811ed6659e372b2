"""``lakegate approver`` and the codes of ``model approve``: what a person types and reads; no service is needed."""

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from lakegate.errors import BadInput
from lakegate.registry.one_time_codes import enrolled, use_code
from lakegate.settings import Settings
from lakegate_cli.approvals import DEMO_APPROVER, demo_code
from lakegate_cli.main import app
from tests.squares import declare_model, declare_roles, make_checkout


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A checkout whose pool is grace and ada, without any service."""
    checkout = make_checkout(tmp_path / "checkout")
    declare_roles(checkout)
    declare_model(checkout, "finder", ["squares"])
    monkeypatch.setenv("LAKEGATE_CHECKOUT", str(checkout))
    monkeypatch.setenv("LAKEGATE_HOME", str(tmp_path / "home"))
    return Settings.load()


def types(*words: str) -> Result:
    return CliRunner().invoke(app, ["approver", *words])


def test_a_person_is_enrolled_and_reads_how_to_put_the_key_into_an_app(settings: Settings) -> None:
    answer = types("add", "grace")
    (enrolment,) = enrolled(settings)
    assert answer.exit_code == 0 and f"secret={enrolment.secret}" in answer.output
    (key,) = re.findall(r"key ((?:[A-Z2-7]{4} ?)+),", answer.output)
    assert key.replace(" ", "") == enrolment.secret
    assert "shown this once" in answer.output and "warning" not in answer.output


def test_somebody_whom_the_roles_do_not_name_is_enrolled_with_a_warning(settings: Settings) -> None:
    assert "mallory stands nowhere in deployments/roles.toml" in types("add", "mallory").output
    rows = json.loads(types("list", "--json").output)
    assert [row["decides for"] for row in rows] == ["nothing (deployments/roles.toml does not name them)"]
    assert enrolled(settings)[0].secret not in types("list").output


def test_adding_twice_needs_a_word_and_removing_ends_it(settings: Settings) -> None:
    types("add", "grace")
    before = enrolled(settings)
    assert isinstance(types("add", "Grace").exception, BadInput)
    assert enrolled(settings) == before
    assert types("add", "grace", "--replace").exit_code == 0
    assert enrolled(settings)[0].secret != before[0].secret
    assert "delete the name in deployments/roles.toml" in types("remove", "grace").output
    assert "nobody is enrolled" in types("list").output


def test_roles_that_cannot_be_read_are_told_before_a_secret_is_made(settings: Settings) -> None:
    (settings.checkout / "deployments" / "roles.toml").write_text("[pol]")
    assert "did you mean 'pool'" in str(types("add", "grace").exception)
    assert enrolled(settings) == []


def test_the_demo_enrols_its_approver_only_where_the_roles_allow_it(settings: Settings) -> None:
    with pytest.raises(BadInput, match="the demo plays 'demo-approver', who may not decide on finder"):
        demo_code(settings, "finder")
    assert enrolled(settings) == []
    declare_roles(settings.checkout, [DEMO_APPROVER])
    for _ in range(2):
        use_code(settings, DEMO_APPROVER, demo_code(settings, "finder"))
