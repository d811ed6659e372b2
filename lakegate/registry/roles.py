"""Who may decide on a release: ``deployments/roles.toml`` of the checkout."""

import tomllib
from pathlib import Path

from pydantic import Field, ValidationError, field_validator

from lakegate.canonical import sha256_bytes
from lakegate.catalog import describe_problem, read_text
from lakegate.declarations import ModelDeclaration, Strict
from lakegate.errors import BadDeclaration, nearest
from lakegate.settings import Settings

ROLES_FILE = Path("deployments/roles.toml")


def person_key(name: str) -> str:
    """Return what two spellings of one name share: capitals and spaces around it make no other person.

    >>> person_key(" Ada ") == person_key("ada")
    True
    """
    return name.strip().casefold()


class People(Strict):
    """A team, or the pool."""

    members: tuple[str, ...] = ()

    @field_validator("members")
    @classmethod
    def _names_differ(cls, members: tuple[str, ...]) -> tuple[str, ...]:
        keys = [person_key(name) for name in members]
        if not all(keys):
            raise ValueError("a name is empty; write each person's name")
        twice = sorted({name for name in members if keys.count(person_key(name)) > 1})
        if twice:
            raise ValueError(f"one person stands twice: {', '.join(twice)}")
        return members


class Roles(Strict):
    """All teams, and the pool of people who may decide on every model."""

    teams: dict[str, People] = Field(default_factory=dict)
    pool: People = People()

    def names(self, name: str) -> bool:
        """Return True where the person stands anywhere."""
        groups = (*self.teams.values(), self.pool)
        return any(person_key(name) == person_key(member) for group in groups for member in group.members)

    def places_of(self, name: str) -> list[str]:
        """Return the teams of a person, and ``"pool"`` where they stand in the pool."""
        groups = {**{f"team {team}": people for team, people in self.teams.items()}, "pool": self.pool}
        key = person_key(name)
        return [place for place, people in groups.items() if key in map(person_key, people.members)]


def load_roles(settings: Settings) -> Roles:
    """Read ``deployments/roles.toml``.

    Raises:
        BadDeclaration: the file is missing, or breaks the dialect.
    """
    path = settings.checkout / ROLES_FILE
    if not path.is_file():
        raise BadDeclaration(
            f'{path} does not exist; it says who may approve, as in:\n[pool]\nmembers = ["grace"]\nwrite it, then try again'
        )
    try:
        return Roles.model_validate(tomllib.loads(read_text(path)))
    except tomllib.TOMLDecodeError as error:
        raise BadDeclaration(f"{path}: not TOML: {error}") from error
    except ValidationError as error:
        problems = "; ".join(describe_problem(Roles, item) for item in error.errors(include_url=False))
        raise BadDeclaration(f"{path}: {problems}") from error


def team_members(roles: Roles, declaration: ModelDeclaration) -> tuple[str, ...]:
    """Return the members of the model's team; none where the model names no team.

    Raises:
        BadDeclaration: the model names a team that roles.toml does not know.
    """
    team = declaration.model.team
    if team and team not in roles.teams:
        raise BadDeclaration(
            f"models/{declaration.name}/model.toml: [model] team = '{team}' is no team of {ROLES_FILE}"
            f"{nearest(team, roles.teams)}"
        )
    return roles.teams[team].members if team else ()


def approvers(roles: Roles, declaration: ModelDeclaration) -> tuple[str, ...]:
    """Return everybody who may decide on this model: its team, then the pool; each person once."""
    people: dict[str, str] = {}
    for name in (*team_members(roles, declaration), *roles.pool.members):
        people.setdefault(person_key(name), name)
    return tuple(people.values())


def may_approve(roles: Roles, declaration: ModelDeclaration, name: str) -> bool:
    """Return True where this person is of the model's team or of the pool."""
    return person_key(name) in map(person_key, approvers(roles, declaration))


def propose_reviewers(roles: Roles, declaration: ModelDeclaration, author: str, request_digest: str) -> tuple[str, ...]:
    """Propose one of the model's team and one of the pool, two people and never the author.

    The same digest proposes the same people; over many digests every pair is asked about equally often. Where only one
    person is left, that one is proposed; where nobody is, nobody.
    """
    team, pool = (
        [name for name in group if person_key(name) != person_key(author)]
        for group in (team_members(roles, declaration), roles.pool.members)
    )
    pairs = [(one, other) for one in team for other in pool if person_key(one) != person_key(other)]
    choices: list[tuple[str, ...]] = [*pairs] or [(name,) for name in (team or pool)]
    ranked = sorted(choices, key=lambda names: sha256_bytes("\n".join((request_digest, *map(person_key, names))).encode()))
    return ranked[0] if ranked else ()
