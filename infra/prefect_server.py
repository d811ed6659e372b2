"""The Prefect server of one machine: SQLite below the state folder, web interface on, telemetry off."""

import sys
from http import HTTPStatus
from pathlib import Path

import requests

from infra import processes

NAME = "prefect"
START_TIMEOUT_S = 180.0
ANSWER_TIMEOUT_S = 15.0


def start_prefect(home: Path, port: int = 0) -> str:
    """Start the Prefect server unless it runs already; return its API's address, ``http://127.0.0.1:<port>/api``.

    Raises:
        SetupProblem: the port is taken, or the server does not come up.
    """
    running = processes.living(home, NAME)
    if running and answers(running.port):
        return api_url(running.port)
    processes.stop(home, NAME)
    port = processes.choose_port(home, NAME, port, "LAKEGATE_PREFECT_PORT")
    environment = processes.service_environment(home, client_environment(home, api_url(port)))
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", processes.LOCALHOST, "--port", str(port)]
    record = processes.start(home, NAME, command, environment, port)
    processes.wait_for(record, home, lambda: answers(port), START_TIMEOUT_S)
    return api_url(port)


def api_url(port: int) -> str:
    """Return the address of the API of the server at ``port``."""
    return f"http://{processes.LOCALHOST}:{port}/api"


def ui_url(prefect_api_url: str) -> str:
    """Return where a browser finds the server of that API."""
    return prefect_api_url.removesuffix("/api")


def client_environment(home: Path, prefect_api_url: str) -> dict[str, str]:
    """Return the variables that make a Prefect process belong to the server at ``prefect_api_url``."""
    return {
        "PREFECT_HOME": str(home / "prefect"),
        "PREFECT_API_URL": prefect_api_url,
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_UI_ENABLED": "true",
        "DO_NOT_TRACK": "1",
        "PYTHONUNBUFFERED": "1",
    }


def answers(port: int) -> bool:
    """Tell whether a Prefect server at ``port`` says that it is healthy."""
    try:
        with requests.Session() as session:
            session.trust_env = False
            return session.get(f"{api_url(port)}/health", timeout=ANSWER_TIMEOUT_S).status_code == HTTPStatus.OK
    except requests.RequestException:
        return False
