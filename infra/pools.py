"""Work pools as ``deployments/pools.yaml`` declares them, applied again and again with the same result."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from infra.gpu import GPU_PREFIX
from infra.prefect_api import PrefectApi
from lakegate.errors import BadDeclaration, SetupProblem
from lakegate.settings import Settings

POOLS_FILE = "deployments/pools.yaml"
OWN_FILE = Path(__file__).resolve().parents[1] / POOLS_FILE
CONTROL, CPU = "control", "cpu"


@dataclass(frozen=True)
class Pool:
    """A work pool, and how many flow runs run in it at a time (None: as many as its workers take).

    For ``control`` and ``cpu`` the server keeps the limit, not the worker: a worker with a limit of its own dies (Prefect
    3.8.8, "this borrower is already holding one of this CapacityLimiter's tokens") when a suspended run is resumed before
    its process has ended.
    """

    name: str
    limit: int | None
    words: str

    @property
    def is_gpu(self) -> bool:
        return self.name.startswith(GPU_PREFIX)


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    description: str
    concurrency_limit: int | None = Field(default=None, ge=1)


class PoolFile(BaseModel):
    """The content of ``pools.yaml``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    queues: tuple[str, ...] = ("high", "default")
    pools: dict[str, _Table]
    gpu_pools: _Table

    def pool(self, name: str) -> Pool:
        """Return the pool ``name``: a declared one, or one for GPUs.

        Raises:
            BadDeclaration: it is neither.
        """
        if name in self.pools:
            table = self.pools[name]
            return Pool(name, table.concurrency_limit, table.description)
        digits = name.removeprefix(GPU_PREFIX)
        if digits == name or not digits.isdigit() or len(digits) < 2:
            known = ", ".join(self.pools)
            raise BadDeclaration(f"{POOLS_FILE} declares no pool '{name}'; it has {known}, and gpu-cc75, gpu-cc86, …")
        words = self.gpu_pools.description.format(capability=f"{digits[:-1]}.{digits[-1]}")
        return Pool(name, self.gpu_pools.concurrency_limit, words)


def read_pools(settings: Settings) -> PoolFile:
    """Read the checkout's ``deployments/pools.yaml``, or the one of this code where the checkout has none.

    Raises:
        BadDeclaration: the file breaks its form, or lacks one of the two pools that every machine has.
    """
    path = settings.checkout / POOLS_FILE
    path = path if path.is_file() else OWN_FILE
    try:
        content = PoolFile.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (yaml.YAMLError, ValidationError) as error:
        raise BadDeclaration(f"{path}: {error}; expected the tables queues, pools and gpu_pools") from error
    missing = {CONTROL, CPU} - set(content.pools)
    if missing:
        raise BadDeclaration(f"{path}: [pools] lacks {', '.join(sorted(missing))}, which every machine has")
    return content


def ensure_pools(api: PrefectApi, settings: Settings, names: tuple[str, ...]) -> None:
    """Create the work pools that are missing, with their queues; bring description and limit of the others up to date."""
    declared = read_pools(settings)
    for name in names:
        _ensure_pool(api, declared.pool(name))
        _ensure_queues(api, name, declared.queues)


def server_pools(api: PrefectApi) -> tuple[str, ...]:
    """Return the names of the work pools that the server has."""
    return tuple(sorted(pool["name"] for pool in api.every("work_pools/filter", {})))


def _ensure_pool(api: PrefectApi, pool: Pool) -> None:
    wanted = {"description": pool.words, "concurrency_limit": pool.limit}
    found = api.get(f"work_pools/{pool.name}")
    if found is None:
        body = {"name": pool.name, "type": "process", "base_job_template": _process_template(), **wanted}
        api.post("work_pools/", body)
    elif found["type"] != "process":
        raise SetupProblem(f"work pool '{pool.name}' of the server is of type {found['type']}, expected process; delete it")
    elif {key: found[key] for key in wanted} != wanted:
        api.change("PATCH", f"work_pools/{pool.name}", wanted)


def _ensure_queues(api: PrefectApi, pool: str, names: tuple[str, ...]) -> None:
    """A new queue pushes those of its priority and below down by one; ``default`` comes with the pool."""
    for priority, name in enumerate(names, start=1):
        if api.get(f"work_pools/{pool}/queues/{name}") is None:
            api.post(f"work_pools/{pool}/queues", {"name": name, "priority": priority})


def _process_template() -> dict[str, Any]:
    from prefect.workers.process import ProcessWorker

    return dict(ProcessWorker.get_default_base_job_template())
