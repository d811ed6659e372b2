"""The commands for the services of this machine: ``up``, ``worker``, ``down``, ``status``, ``doctor``."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated, Any

import typer

from infra.doctor import Check, examine
from infra.stack import ServiceStatus
from infra.stack import down as stop_stack
from infra.stack import status as look_at_stack
from infra.stack import up as start_stack
from infra.worker_supervisor import supervise
from lakegate.settings import Settings

JsonFlag = Annotated[bool, typer.Option("--json", help="Print JSON for machines instead of lines for people.")]


def register(app: typer.Typer) -> None:
    """Add the commands to ``app``."""
    for command in (up, worker, down, status, doctor):
        app.command()(command)


def up(as_json: JsonFlag = False) -> None:
    """Start lakeFS, Prefect and the workers; start again what died; leave alone what runs."""
    services = start_stack(Settings.load(), lambda line: typer.echo(line, err=as_json))
    _print_services(services, as_json)


def worker(
    only_cpu: Annotated[bool, typer.Option("--cpu", help="Work without the GPUs that this machine has.")] = False,
) -> None:
    """Run this machine's workers until ^C: one on each GPU in its pool gpu-ccXX, or one in the pool cpu without a GPU."""
    supervise(Settings.load(), typer.echo, only_cpu=only_cpu)


def down(as_json: JsonFlag = False) -> None:
    """Stop everything that `up` started, flow runs included. Data and logs stay."""
    stopped = stop_stack(Settings.load())
    if as_json:
        typer.echo(json.dumps({"stopped": stopped}))
    else:
        typer.echo(f"stopped: {', '.join(stopped)}" if stopped else "nothing was running")


def status(as_json: JsonFlag = False) -> None:
    """Show each service: up, down, or alive without answering. Ends with 1 unless all are up."""
    services = look_at_stack(Settings.load())
    _print_services(services, as_json)
    if any(service.state != "up" for service in services):
        raise typer.Exit(1)


def doctor(as_json: JsonFlag = False) -> None:
    """Say what this machine has, what is missing, and how to get it. Ends with 1 if something needed is missing."""
    checks = examine(Settings.load())
    if as_json:
        typer.echo(json.dumps([asdict(check) for check in checks], indent=1))
    else:
        for check in checks:
            typer.echo(_check_line(check))
    if any(check.state == "missing" for check in checks):
        raise typer.Exit(1)


def _check_line(check: Check) -> str:
    line = f"{check.state:8}{check.name:18}{check.found}"
    return f"{line}\n{'':26}→ {check.advice}" if check.advice else line


def _print_services(services: Sequence[ServiceStatus], as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps([_as_json(service) for service in services], indent=1))
        return
    for service in services:
        pid = f"pid {service.pid}" if service.pid else "-"
        typer.echo(f"{service.name:19}{service.state:11}{pid:13}{service.address:24}log {service.log}")


def _as_json(service: ServiceStatus) -> dict[str, Any]:
    return {**asdict(service), "log": str(service.log)}
