"""The few calls to a Prefect server's REST API that set a machine up, without importing Prefect (which takes seconds)."""

from http import HTTPStatus
from typing import Any, Literal

import requests
from requests.adapters import HTTPAdapter
from urllib3 import Retry

from lakegate.errors import SetupProblem

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

    def _call(self, method: str, path: str, body: Any) -> requests.Response:
        try:
            answer = self._session.request(method, f"{self.url}/{path}", json=body, timeout=30)
        except requests.RequestException as error:
            raise SetupProblem(f"the Prefect server at {self.url} does not answer ({error}); run `lakegate up`") from error
        if not answer.ok and answer.status_code not in (HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT):
            raise SetupProblem(f"the Prefect server answered {answer.status_code} to {method} {path}: {answer.text[:300]}")
        return answer
