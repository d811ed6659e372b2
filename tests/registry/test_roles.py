"""Who may decide, from roles.toml: every slip is named, and proposals are fair."""

from collections import Counter
from pathlib import Path

import pytest

from lakegate.catalog import load_model, model_names, parse_model
from lakegate.declarations import ModelDeclaration
from lakegate.errors import BadDeclaration
from lakegate.registry.roles import approvers, load_roles, may_approve, propose_reviewers
from lakegate.settings import Settings
from tests.conftest import CHECKOUT

TWO_TEAMS = """
[teams.platform]
members = ["Ada", "grace", "edsger"]
[teams.vision]
members = ["barbara"]
[pool]
members = ["grace", "katherine", "dorothy"]
"""


def in_checkout(folder: Path, text: str) -> Settings:
    (folder / "deployments").mkdir(exist_ok=True)
    (folder / "deployments" / "roles.toml").write_text(text)
    return Settings(checkout=folder)


def of_team(team: str) -> ModelDeclaration:
    return parse_model("finder", f'[model]\nteam = "{team}"\n[data]\ntrain = ["squares"]')


def test_a_model_is_decided_on_by_its_team_and_by_the_pool(tmp_path: Path) -> None:
    roles = load_roles(in_checkout(tmp_path, TWO_TEAMS))
    assert approvers(roles, of_team("platform")) == ("Ada", "grace", "edsger", "katherine", "dorothy")
    assert may_approve(roles, of_team("platform"), " ADA ") and may_approve(roles, of_team("vision"), "dorothy")
    assert not may_approve(roles, of_team("vision"), "ada") and not may_approve(roles, of_team("platform"), "mallory")
    assert approvers(roles, of_team("")) == ("grace", "katherine", "dorothy")


def test_a_team_that_does_not_exist_is_told_with_the_nearest_one(tmp_path: Path) -> None:
    roles = load_roles(in_checkout(tmp_path, TWO_TEAMS))
    with pytest.raises(BadDeclaration, match=r"team = 'platfrom' is no team.*did you mean 'platform'"):
        may_approve(roles, of_team("platfrom"), "ada")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[teams.platform]\nmember = ['ada']", "unknown key 'member'.*did you mean 'members'"),
        ("[pol]\nmembers = []", "unknown key 'pol'; did you mean 'pool'"),
        ("[pool]\nmembers = ['ada', 'Ada ']", "one person stands twice: Ada , ada"),
        ("[pool]\nmembers = ['']", "a name is empty"),
        ("[pool", "not TOML"),
    ],
)
def test_a_slip_in_the_roles_is_named(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(BadDeclaration, match=says):
        load_roles(in_checkout(tmp_path, text))


def test_without_the_file_nobody_may_approve_and_the_error_shows_how_to_write_it(tmp_path: Path) -> None:
    with pytest.raises(BadDeclaration, match=r"(?s)roles\.toml does not exist.*\[pool\]"):
        load_roles(Settings(checkout=tmp_path))


def test_reviewers_are_one_of_the_team_and_another_of_the_pool_and_never_the_author(tmp_path: Path) -> None:
    roles, model = load_roles(in_checkout(tmp_path, TWO_TEAMS)), of_team("platform")
    proposed = [propose_reviewers(roles, model, "ADA", f"{number:064x}") for number in range(300)]
    assert all(team in ("grace", "edsger") and pool in roles.pool.members and team != pool for team, pool in proposed)
    assert propose_reviewers(roles, model, "ADA", f"{7:064x}") == proposed[7]
    counted = Counter(proposed)
    assert len(counted) == 5 and min(counted.values()) > 30  # 60 each on average


def test_where_few_are_left_fewer_are_proposed(tmp_path: Path) -> None:
    small = load_roles(in_checkout(tmp_path, '[teams.platform]\nmembers = ["ada", "grace"]\n[pool]\nmembers = ["grace"]'))
    assert propose_reviewers(small, of_team("platform"), "ada", "0") == ("grace",)
    assert propose_reviewers(small, of_team("platform"), "grace", "0") == ("ada",)
    assert propose_reviewers(small, of_team("platform"), "mallory", "0") == ("ada", "grace")
    alone = load_roles(in_checkout(tmp_path, '[pool]\nmembers = ["ada"]'))
    assert propose_reviewers(alone, of_team(""), "ada", "0") == ()


def test_the_committed_roles_name_the_teams_of_the_committed_models() -> None:
    settings = Settings(checkout=CHECKOUT)
    roles = load_roles(settings)
    for name in model_names(settings):
        assert may_approve(roles, load_model(settings, name), "demo-approver"), name
    everybody = {member for team in roles.teams.values() for member in team.members} | set(roles.pool.members)
    assert everybody == {"demo-approver"}  # no invented people
