"""The lakeFS server of one machine: local key-value store, local block store, one key, secrets in a file of mode 0600."""

import json
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from http import HTTPStatus
from pathlib import Path

import requests

from infra import processes
from lakegate.errors import SetupProblem
from lakegate.settings import LAKEFS_SECRET_FILE

NAME = "lakefs"
SERVER_SECRET_FILE = "secrets/lakefs_server.json"
START_TIMEOUT_S = 60.0
ANSWER_TIMEOUT_S = 15.0
NO_PREFECT = {"LAKEFSACTION_PREFECT_API_URL": "", "LAKEFSACTION_PREFECT_AUTH": ""}
"""A hook that names an absent variable does not run at all (lakeFS 1.86); with an empty one it can say what is missing."""


@dataclass(frozen=True)
class LakefsKeys:
    """The one credential of an open-source lakeFS server."""

    access_key_id: str
    secret_access_key: str


def start_lakefs(home: Path, binary: Path, port: int = 0, action_environment: Mapping[str, str] | None = None) -> str:
    """Start lakeFS with its state below ``home`` unless it runs already; return its endpoint, ``http://127.0.0.1:<port>``.

    ``action_environment`` (names begin with ``LAKEFSACTION_``) is what action files may read. Whoever may commit an action
    file can print it: nothing belongs there that these people must not know.

    Raises:
        SetupProblem: the port is taken, the server does not come up, or it does not accept the key of ``home``.
    """
    running = processes.living(home, NAME)
    if running and answers(running.port):
        return endpoint(running.port)
    processes.stop(home, NAME)
    port = processes.choose_port(home, NAME, port, "LAKEGATE_LAKEFS_PORT")
    keys = ensure_keys(home)
    config = write_config(home, port, keys)
    environment = processes.service_environment(home, {**NO_PREFECT, **(action_environment or {})})
    record = processes.start(home, NAME, [str(binary), "--config", str(config), "run"], environment, port)
    processes.wait_for(record, home, lambda: answers(port), START_TIMEOUT_S)
    _check_key(home, port, keys)
    return endpoint(port)


def stop_lakefs(home: Path) -> bool:
    """Stop the lakeFS server of ``home``; tell whether it was alive."""
    return processes.stop(home, NAME)


def endpoint(port: int) -> str:
    """Return the address of the server at ``port``, as clients want it (without ``/api/v1``)."""
    return f"http://{processes.LOCALHOST}:{port}"


def ensure_keys(home: Path) -> LakefsKeys:
    """Return the credential of ``home``; made once, kept in a file of mode 0600 that ``Settings.load`` reads."""
    path = home / LAKEFS_SECRET_FILE
    if not path.exists():
        content = {"access_key_id": f"AKIA{secrets.token_hex(8).upper()}", "secret_access_key": secrets.token_urlsafe(30)}
        processes.write_private(path, json.dumps(content))
    return LakefsKeys(**json.loads(path.read_text()))


def write_config(home: Path, port: int, keys: LakefsKeys) -> Path:
    """Write the server's configuration (mode 0600) and return its path.

    Secrets stand in this file, not in the environment: action files can print every ``LAKEFS*`` variable of the server.
    """
    state = home / NAME
    config = {
        "listen_address": f"{processes.LOCALHOST}:{port}",
        "logging": {"level": "WARN", "format": "text"},
        "database": {"type": "local", "local": {"path": str(state / "meta")}},
        "auth": {"encrypt": {"secret_key": _encryption_key(home)}},
        "blockstore": {"type": "local", "local": {"path": str(state / "data")}},
        "committed": {"local_cache": {"dir": str(state / "cache")}},
        "graveler": {"max_batch_delay": "0s"},  # else each look at a ref waits 3 ms for others; no gain here
        "actions": {"enabled": True, "lua": {"net_http_enabled": True}, "env": {"enabled": True, "prefix": "LAKEFSACTION_"}},
        "stats": {"enabled": False},
        "security": {"check_latest_version": False},
        "installation": {"user_name": "admin", **asdict(keys)},
    }
    path = state / "config.yaml"
    processes.write_private(path, json.dumps(config, indent=1))  # JSON is YAML
    return path


def _encryption_key(home: Path) -> str:
    path = home / SERVER_SECRET_FILE
    if not path.exists():
        processes.write_private(path, json.dumps({"encryption_key": secrets.token_urlsafe(48)}))
    return str(json.loads(path.read_text())["encryption_key"])


def answers(port: int) -> bool:
    """Tell whether a lakeFS server at ``port`` says that it is healthy."""
    try:
        return _get(port, "healthcheck").status_code == HTTPStatus.NO_CONTENT
    except requests.RequestException:
        return False


def _check_key(home: Path, port: int, keys: LakefsKeys) -> None:
    answer = _get(port, "user", (keys.access_key_id, keys.secret_access_key))
    if answer.status_code != HTTPStatus.OK:
        raise SetupProblem(
            f"lakeFS answers {answer.status_code} to the key in {home / LAKEFS_SECRET_FILE}: its store in {home / NAME} was "
            "made with another key; restore that file, or remove the state folder (this removes the data) and run `lakegate up`"
        )


def _get(port: int, path: str, auth: tuple[str, str] | None = None) -> requests.Response:
    with requests.Session() as session:
        session.trust_env = False  # a proxy has no part in a call to this machine
        return session.get(f"{endpoint(port)}/api/v1/{path}", auth=auth, timeout=ANSWER_TIMEOUT_S)
