"""The deployments of ``prefect.yaml``, applied again and again with the same result."""

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from infra.pools import server_pools
from infra.prefect_api import PrefectApi
from infra.prefect_server import client_environment
from infra.processes import service_environment, write_private
from lakegate.errors import BadDeclaration, SetupProblem
from lakegate.settings import Settings

PREFECT_FILE = "prefect.yaml"
APPLIED_FILE = "run/deployments.json"
CHOSEN_FILE = "run/prefect.yaml"
DEPLOY_TIMEOUT_S = 600
Entries = dict[str, dict[str, Any]]


def apply(settings: Settings, say: Callable[[str], None] = print) -> tuple[str, ...]:
    """Bring the server to what ``prefect.yaml`` says for the pools that the server has; return the names of its deployments.

    Nothing is sent where neither ``prefect.yaml`` nor a flow changed and the server still has the deployments; where only
    pools came or deployments vanished, those alone.

    Raises:
        SetupProblem: the server does not answer, or `prefect deploy` refuses; its words are in the message.
    """
    api = PrefectApi(settings.prefect_api_url)
    pools = server_pools(api)
    prefect_file = settings.checkout / PREFECT_FILE
    if not prefect_file.is_file():
        say(f"no deployments: {prefect_file} does not exist")
        return ()
    content = _read(prefect_file)
    wanted = _fitting(settings.checkout, content, pools)
    digest = source_digest(settings.checkout)
    present = set(deployed_names(api))
    is_current = _applied_digest(settings.home) == digest
    missing = {name: entry for name, entry in wanted.items() if not is_current or name not in present}
    if missing:
        say(f"telling Prefect about {len(missing)} flows (prefect deploy)")
        _deploy(settings, prefect_file, {**content, "deployments": list(missing.values())})
        write_private(settings.home / APPLIED_FILE, json.dumps({"digest": digest}))
    return tuple(deployed_names(api))


def deployed_names(api: PrefectApi) -> list[str]:
    """Return the names of the server's deployments, ``<flow>/<deployment>``, sorted."""
    flows = {flow["id"]: flow["name"] for flow in api.every("flows/filter", {})}
    return sorted(f"{flows[found['flow_id']]}/{found['name']}" for found in api.every("deployments/filter", {}))


def source_digest(checkout: Path) -> str:
    """Return a SHA-256 over ``prefect.yaml`` and the sources that forms and entry points are read from."""
    digest = hashlib.sha256()
    for path in [checkout / PREFECT_FILE, *sorted(checkout.glob("flows/*.py")), *sorted(checkout.glob("tasks/*.py"))]:
        digest.update(f"{path.relative_to(checkout)}\0".encode() + path.read_bytes() + b"\0")
    return digest.hexdigest()


def _read(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise BadDeclaration(f"{path} is not YAML: {error}") from error
    if not isinstance(content, dict) or not isinstance(content.get("deployments"), list):
        raise BadDeclaration(f"{path}: expected a list 'deployments', as Prefect describes it")
    return content


def _fitting(checkout: Path, content: dict[str, Any], pools: tuple[str, ...]) -> Entries:
    """Return the entries whose pool the server has and whose flow this checkout has, by ``<flow>/<deployment>``."""
    fitting: Entries = {}
    for entry in content["deployments"]:
        try:
            path, _, function = entry["entrypoint"].partition(":")
            name, pool = f"{function.replace('_', '-')}/{entry['name']}", entry["work_pool"]["name"]
        except (KeyError, TypeError) as error:
            raise BadDeclaration(f"{checkout / PREFECT_FILE}: a deployment lacks {error}: {entry}") from error
        if pool in pools and (checkout / path).is_file():
            fitting[name] = entry
    return fitting


def _applied_digest(home: Path) -> str:
    try:
        content = json.loads((home / APPLIED_FILE).read_text())
    except (FileNotFoundError, ValueError):
        return ""
    return str(content.get("digest", "")) if isinstance(content, dict) else ""


def _deploy(settings: Settings, prefect_file: Path, content: dict[str, Any]) -> None:
    chosen = settings.home / CHOSEN_FILE
    write_private(chosen, yaml.safe_dump({key: content[key] for key in content if key != "definitions"}))
    own = {**client_environment(settings.home, settings.prefect_api_url), "LAKEGATE_HOME": str(settings.home)}
    own["LAKEGATE_CHECKOUT"] = str(settings.checkout)
    command = [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all", "--prefect-file", str(chosen)]
    environment = service_environment(settings.home, own)
    try:
        deployed = subprocess.run(
            command, cwd=settings.checkout, env=environment, capture_output=True, text=True, timeout=DEPLOY_TIMEOUT_S
        )
    except subprocess.TimeoutExpired as error:
        raise SetupProblem(f"`prefect deploy --all` was not ready after {DEPLOY_TIMEOUT_S} s; try again") from error
    if deployed.returncode:
        raise SetupProblem(f"`prefect deploy` refused {prefect_file}:\n{(deployed.stdout + deployed.stderr)[-2000:]}")
