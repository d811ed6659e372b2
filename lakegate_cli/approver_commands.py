"""``lakegate approver …``: who can prove with one-time codes who they are."""

from typing import Annotated
from urllib.parse import parse_qs, urlsplit

import typer

from lakegate.registry import one_time_codes
from lakegate.registry.roles import ROLES_FILE, load_roles
from lakegate.settings import Settings
from lakegate_cli.output import JsonOption, console, print_json, print_rows

app = typer.Typer(no_args_is_help=True)
NameArgument = Annotated[str, typer.Argument(help="The person's name, as deployments/roles.toml has it.")]


@app.command("add")
def add(
    name: NameArgument,
    replace: Annotated[bool, typer.Option("--replace", help="Make a new secret; the old one stops counting.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Enrol a person: makes the secret of their authenticator app and prints it, this once."""
    settings = Settings.load()
    roles = load_roles(settings)
    uri = one_time_codes.enrol(settings, name, replace)
    warning = "" if roles.names(name) else f"{name} stands nowhere in {ROLES_FILE} and may not decide before that"
    if as_json:
        print_json({"approver": name, "uri": uri, "warning": warning})
        return
    secret = parse_qs(urlsplit(uri).query)["secret"][0]
    grouped = " ".join(secret[start : start + 4] for start in range(0, len(secret), 4))
    console().print(
        f"{name} is enrolled. Put this into {name}'s authenticator app now; it is shown this once:\n\n"
        f"  {uri}\n\n"
        f"or by hand, \"enter a setup key\": account {name}, key {grouped}, time-based, 6 digits\n\n"
        "Then clear this terminal. Whoever has this key can decide in that name.",
        markup=False,
    )
    if warning:
        console().print(f"warning: {warning}", markup=False)


@app.command("remove")
def remove(name: NameArgument, as_json: JsonOption = False) -> None:
    """Forget a person's secret: their codes stop counting. What they decided stays."""
    one_time_codes.remove(Settings.load(), name)
    if as_json:
        print_json({"removed": name})
    else:
        console().print(f"{name} is removed; delete the name in {ROLES_FILE}, too, where it stands there", markup=False)


@app.command("list")
def list_approvers(as_json: JsonOption = False) -> None:
    """List who is enrolled, and what they may decide on."""
    settings = Settings.load()
    roles = load_roles(settings)
    rows = [
        {
            "approver": item.name,
            "enrolled": item.enrolled_at,
            "decides for": ", ".join(roles.places_of(item.name)) or f"nothing ({ROLES_FILE} does not name them)",
        }
        for item in one_time_codes.enrolled(settings)
    ]
    if as_json:
        print_json(rows)
    else:
        print_rows(rows, "nobody is enrolled; `lakegate approver add NAME` enrols a person")
