"""The pages of one machine (reports and matrices), so that links on a Prefect run open in a browser."""

import sys
from http import HTTPStatus
from pathlib import Path

import requests

from infra import processes

NAME = "pages"
START_TIMEOUT_S = 30.0
ANSWER_TIMEOUT_S = 5.0


def start_pages(home: Path, port: int = 0) -> str:
    """Serve ``<home>/reports`` with Python's own file server unless it runs already; return its address.

    Raises:
        SetupProblem: the port is taken, or the server does not come up.
    """
    running = processes.living(home, NAME)
    if running and answers(running.port):
        return address(running.port)
    processes.stop(home, NAME)
    port = processes.choose_port(home, NAME, port, "LAKEGATE_REPORTS_PORT")
    folder = home / "reports"
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "http.server", str(port), "--bind", processes.LOCALHOST, "--directory", str(folder)]
    record = processes.start(home, NAME, command, processes.service_environment(home, {"PYTHONUNBUFFERED": "1"}), port)
    processes.wait_for(record, home, lambda: answers(port), START_TIMEOUT_S)
    return address(port)


def address(port: int) -> str:
    """Return where a browser finds the pages."""
    return f"http://{processes.LOCALHOST}:{port}"


def answers(port: int) -> bool:
    """Tell whether pages are served at ``port``."""
    try:
        with requests.Session() as session:
            session.trust_env = False
            return session.get(f"{address(port)}/", timeout=ANSWER_TIMEOUT_S).status_code == HTTPStatus.OK
    except requests.RequestException:
        return False
