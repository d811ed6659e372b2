"""The calls to a Prefect server's REST API that set a machine up and follow a flow run; importing Prefect takes seconds."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Literal

import requests
from requests.adapters import HTTPAdapter
from urllib3 import Retry

from lakegate.errors import BadInput, ServiceRefused, SetupProblem

PAGE = 200
BUSY = Retry(
    total=8,
    connect=0,
    read=0,
    status_forcelist=(429, 503),
    allowed_methods=None,
    backoff_factor=0.3,
    raise_on_status=False,
)
"""On SQLite the server answers 503 while another write holds the database; what it refused so did not happen."""


class NoAnswer(SetupProblem):
    """Nothing answers at the server's address, or the connection broke."""


class PrefectApi:
    """One Prefect server; ``url`` ends in ``/api``."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.headers["Connection"] = "close"  # few calls; a server that ends an idle connection resets the next one
        self._session.mount(url, HTTPAdapter(max_retries=BUSY))

    def get(self, path: str) -> Any:
        """Return the JSON at ``path``, or None if there is no such thing."""
        answer = self._call("GET", path, None)
        return None if answer.status_code == HTTPStatus.NOT_FOUND else answer.json()

    def post(self, path: str, body: Any) -> Any:
        """Send ``body``; return the JSON answer, or None if the thing exists already."""
        answer = self._call("POST", path, body)
        return None if answer.status_code == HTTPStatus.CONFLICT else answer.json()

    def every(self, path: str, body: dict[str, Any]) -> list[Any]:
        """Return all that a ``…/filter`` path finds, page by page."""
        rows: list[Any] = []
        while page := self.post(path, {**body, "limit": PAGE, "offset": len(rows)}):
            rows += page
            if len(page) < PAGE:
                break
        return rows

    def change(self, method: Literal["PUT", "PATCH", "POST"], path: str, body: Any) -> None:
        """Send ``body`` where no answer is wanted; a thing that is gone meanwhile is no error, a busy server is asked again."""
        self._call(method, path, body)

    def delete(self, path: str) -> None:
        """Remove the thing at ``path``; one that is gone already is no error."""
        self._call("DELETE", path, None)

    def serves(self, pool: str) -> bool:
        """Tell whether a live worker serves the work pool."""
        workers = self.every(f"work_pools/{pool}/workers/filter", {}) if self.get(f"work_pools/{pool}") else []
        return any(worker["status"] == "ONLINE" for worker in workers)

    def start(self, deployment: str, parameters: Mapping[str, Any]) -> str:
        """Create a flow run of the deployment ``<flow>/<name>``; return its id.

        Raises:
            SetupProblem: the server has no such deployment. BadInput: the parameters do not fit its form.
        """
        found = self.get(f"deployments/name/{deployment}")
        if found is None:
            raise SetupProblem(f"the Prefect server has no '{deployment}'; apply the deployments with `lakegate up`")
        answer = self._call("POST", f"deployments/{found['id']}/create_flow_run", {"parameters": dict(parameters)})
        if not answer.ok:
            raise BadInput(f"Prefect refused the parameters of {deployment}: {answer.text[:500]}")
        return str(answer.json()["id"])

    def resume(self, run_id: str, run_input: Mapping[str, Any]) -> None:
        """Let a suspended flow run go on with what a person filled in.

        Raises:
            ServiceRefused: it does not wait, or the form does not fit.
        """
        answer = self.post(f"flow_runs/{run_id}/resume", {"run_input": dict(run_input)}) or {}
        if answer.get("status") != "ACCEPT":  # Prefect refuses with 200
            reason = (answer.get("details") or {}).get("reason") or answer
            raise ServiceRefused(f"Prefect did not resume the flow run {run_id}: {reason}")

    def _call(self, method: str, path: str, body: Any) -> requests.Response:
        try:
            answer = self._session.request(method, f"{self.url}/{path}", json=body, timeout=30)
        except requests.RequestException as error:
            raise NoAnswer(f"the Prefect server at {self.url} does not answer ({error}); run `lakegate up`") from error
        if not answer.ok and answer.status_code not in (HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT):
            raise SetupProblem(f"the Prefect server answered {answer.status_code} to {method} {path}: {answer.text[:300]}")
        return answer
