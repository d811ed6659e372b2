"""Work pools, queues, and the deployments of ``prefect.yaml``: applied again and again with the same result."""

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from infra.prefect_api import PrefectApi
from infra.prefect_server import client_environment
from infra.processes import service_environment, write_private
from infra.workers import POOLS, Pool
from lakegate.errors import SetupProblem
from lakegate.settings import Settings

PREFECT_FILE = "prefect.yaml"
APPLIED_FILE = "run/deployments.json"
DEPLOY_TIMEOUT_S = 600


def ensure_pools(api: PrefectApi, pools: tuple[Pool, ...] = POOLS) -> None:
    """Create the work pools that are missing, each with the queues ``high`` and ``default``."""
    for pool in pools:
        if api.get(f"work_pools/{pool.name}") is None:
            template = _process_template()
            body = {"name": pool.name, "type": "process", "description": pool.words, "base_job_template": template}
            api.post("work_pools/", {**body, "concurrency_limit": pool.limit})
        if api.get(f"work_pools/{pool.name}/queues/high") is None:
            api.post(f"work_pools/{pool.name}/queues", {"name": "high", "priority": 1})


def apply(settings: Settings, say: Callable[[str], None] = print) -> tuple[str, ...]:
    """Bring pools and deployments of the server to what ``prefect.yaml`` says; return the deployments' names.

    Nothing is sent where neither ``prefect.yaml`` nor a flow changed and the server still has the deployments.

    Raises:
        SetupProblem: the server does not answer, or `prefect deploy` refuses; its words are in the message.
    """
    api = PrefectApi(settings.prefect_api_url)
    ensure_pools(api)
    prefect_file = settings.checkout / PREFECT_FILE
    if not prefect_file.is_file():
        say(f"no deployments: {prefect_file} does not exist")
        return ()
    digest = source_digest(settings.checkout)
    applied = _applied(settings.home)
    present = deployed_names(api)
    if applied.get("digest") == digest and applied.get("names") and set(applied["names"]) <= set(present):
        return tuple(applied["names"])
    say("telling Prefect about the flows (prefect deploy --all)")
    _deploy_all(settings, prefect_file)
    names = deployed_names(api)
    write_private(settings.home / APPLIED_FILE, json.dumps({"digest": digest, "names": names}))
    return tuple(names)


def deployed_names(api: PrefectApi) -> list[str]:
    """Return the names of the server's deployments, ``<flow>/<deployment>``, sorted."""
    flows = {flow["id"]: flow["name"] for flow in api.post("flows/filter", {})}
    return sorted(f"{flows[found['flow_id']]}/{found['name']}" for found in api.post("deployments/filter", {}))


def source_digest(checkout: Path) -> str:
    """Return a SHA-256 over ``prefect.yaml`` and the sources that forms and entry points are read from."""
    digest = hashlib.sha256()
    for path in [checkout / PREFECT_FILE, *sorted(checkout.glob("flows/*.py")), *sorted(checkout.glob("tasks/*.py"))]:
        digest.update(f"{path.relative_to(checkout)}\0".encode() + path.read_bytes() + b"\0")
    return digest.hexdigest()


def _applied(home: Path) -> dict[str, Any]:
    try:
        content = json.loads((home / APPLIED_FILE).read_text())
    except (FileNotFoundError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _deploy_all(settings: Settings, prefect_file: Path) -> None:
    own = {**client_environment(settings.home, settings.prefect_api_url), "LAKEGATE_HOME": str(settings.home)}
    own["LAKEGATE_CHECKOUT"] = str(settings.checkout)
    command = [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all", "--prefect-file", str(prefect_file)]
    environment = service_environment(settings.home, own)
    try:
        deployed = subprocess.run(
            command, cwd=settings.checkout, env=environment, capture_output=True, text=True, timeout=DEPLOY_TIMEOUT_S
        )
    except subprocess.TimeoutExpired as error:
        raise SetupProblem(f"`prefect deploy --all` was not ready after {DEPLOY_TIMEOUT_S} s; try again") from error
    if deployed.returncode:
        raise SetupProblem(f"`prefect deploy --all` refused {prefect_file}:\n{(deployed.stdout + deployed.stderr)[-2000:]}")


def _process_template() -> dict[str, Any]:
    from prefect.workers.process import ProcessWorker

    return dict(ProcessWorker.get_default_base_job_template())
