"""Set up a repository: protected branches, deny hooks in ``main`` from its first commit, the branch for evidence."""

from __future__ import annotations

import secrets
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lakegate.canonical import exact_json, sha256_bytes
from lakegate.catalog import RESERVED
from lakegate.errors import PublishConflict, ServiceRefused, ServiceUnavailable, SetupProblem, VersionExists, VersionNotFound
from lakegate.lake.objects import ACTIONS, EVIDENCE, MAIN
from lakegate.lake.transport import Transport, part

if TYPE_CHECKING:
    from lakegate.lake.client import LakeClient

PACKAGE = Path(__file__).resolve().parents[1]
ACTION_FOLDERS = (PACKAGE.parent / "deployments" / "actions", PACKAGE / "deployments" / "actions")  # checkout, wheel
DECLARED_BRANCHES = "branches: [main]"
OF_DATASETS_ONLY = ("announce_version.yaml",)
PROBE = "_lakegate/probe"
HOLDS_WITHIN_S = 30.0
STEP_S = 0.2


def set_up_repository(client: LakeClient, transport: Transport, name: str, protected: tuple[str, ...]) -> None:
    """Bring a repository into its final shape; idempotent, safe for two processes at once, repairs half a set-up.

    Raises:
        ServiceRefused: lakeFS does not allow a step, for example because ``main`` holds uncommitted changes.
        ServiceUnavailable: the protection does not hold after 30 s.
    """
    try:
        client.head(name, MAIN)
    except VersionNotFound:
        _create(transport, name)
        _wait_for_main(client, name)
    _protect(transport, name, protected)
    _wait_for_protection(client, transport, name, protected)
    _install_actions(client, name, protected)
    if EVIDENCE not in client.branches(name, EVIDENCE):
        client.create_branch(name, EVIDENCE, client.log(name, MAIN)[-1].id, exist_ok=True)


def read_actions(protected: tuple[str, ...], holds_dataset: bool = True) -> dict[str, bytes]:
    """Return the action files for a repository; the deny hooks stand on all of its protected branches.

    Only a tag of a dataset is announced as a version; the registry and the result store have no such hook.

    Raises:
        SetupProblem: this installation has no action files.
    """
    for folder in ACTION_FOLDERS:
        files = sorted(folder.glob("*.yaml"))
        if files:
            branches = f"branches: [{', '.join(protected)}]"
            return {
                f"{ACTIONS}{file.name}": file.read_text().replace(f"{DECLARED_BRANCHES}  # protected", branches).encode()
                for file in files
                if holds_dataset or file.name not in OF_DATASETS_ONLY
            }
    raise SetupProblem(f"{ACTION_FOLDERS[0]} holds no action files; install Lakegate again, or use a whole checkout")


def _create(transport: Transport, name: str) -> None:
    storage = transport.request("GET", "config", "read the storage's configuration").json()["storage_config"]
    prefix = storage.get("default_namespace_prefix") or ("local://" if storage["blockstore_type"] == "local" else "")
    if not prefix:
        raise SetupProblem(
            f"lakeFS stores in {storage['blockstore_type']} and names no place for new repositories; "
            "set blockstore.default_namespace_prefix in its configuration, for example to s3://bucket/"
        )
    folder = prefix if prefix.endswith("/") else f"{prefix}/"
    body = {
        "name": name,
        "storage_namespace": f"{folder}{name}-{secrets.token_hex(6)}",  # never used twice
        "default_branch": MAIN,
    }
    try:
        transport.request("POST", "repositories", f"make repository {name}", {409: VersionExists}, json=body)
    except VersionExists:
        return  # another process was quicker


def _wait_for_main(client: LakeClient, name: str) -> None:
    deadline = time.monotonic() + HOLDS_WITHIN_S
    while True:
        try:
            client.head(name, MAIN)
            return
        except VersionNotFound:
            if time.monotonic() > deadline:
                raise
            time.sleep(STEP_S)


def _protect(transport: Transport, name: str, protected: tuple[str, ...]) -> None:
    url = f"repositories/{part(name)}/settings/branch_protection"
    what = f"protect the branches of {name}"
    while True:
        answer = transport.request("GET", url, what)
        rules: list[dict[str, Any]] = answer.json() or []
        missing = [branch for branch in protected if branch not in {rule["pattern"] for rule in rules}]
        if not missing:
            return
        patterns = [{"pattern": rule["pattern"]} for rule in rules] + [{"pattern": branch} for branch in missing]
        etag = answer.header("ETag")
        try:
            transport.request(
                "PUT", url, what, {412: PublishConflict}, json=patterns, headers={"If-Match": etag} if etag else {}
            )
        except PublishConflict:
            time.sleep(STEP_S)  # another process changed the rules meanwhile: read them again


def _wait_for_protection(client: LakeClient, transport: Transport, name: str, protected: tuple[str, ...]) -> None:
    """Wait until lakeFS refuses to delete an object that does not exist: harmless while the rule does not hold yet."""
    existing = client.branches(name)
    deadline = time.monotonic() + HOLDS_WITHIN_S
    for branch in protected:
        while branch in existing and not _is_protected(transport, name, branch):
            if time.monotonic() > deadline:
                raise ServiceUnavailable(
                    f"the protection of {name}@{branch} does not hold after {HOLDS_WITHIN_S:.0f} s; run the command again"
                )
            time.sleep(STEP_S)


def _is_protected(transport: Transport, name: str, branch: str) -> bool:
    url = f"repositories/{part(name)}/branches/{part(branch)}/objects"
    try:
        transport.request("DELETE", url, f"see whether {branch} is protected", params={"path": PROBE})
    except VersionNotFound:
        return False
    except ServiceRefused as error:
        if "protected" in str(error):
            return True
        raise
    return False


def _install_actions(client: LakeClient, name: str, protected: tuple[str, ...]) -> None:
    """Bring the action files into ``main`` by a branch and a merge, the only way that a protected branch allows."""
    wanted = read_actions(protected, holds_dataset=name not in RESERVED)
    main = client.head(name, MAIN)
    present = {entry.path: entry.sha256 for entry in client.list_objects(name, main.id, ACTIONS)}
    if all(present.get(path) == sha256_bytes(data) for path, data in wanted.items()):
        return
    state = sha256_bytes(exact_json({path: sha256_bytes(data) for path, data in wanted.items()}))
    branch = f"setup-{state[:8]}-{main.id[:8]}"
    client.create_branch(name, branch, main.id, exist_ok=True)
    client.upload_many(name, branch, wanted)
    metadata = {"publisher": "lakegate", "actions": state}
    commit = client.commit(name, branch, "Install the hooks of Lakegate", metadata)
    client.merge(name, commit, MAIN, "Install the hooks of Lakegate", metadata)
