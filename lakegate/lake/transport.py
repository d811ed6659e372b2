"""HTTP to lakeFS: one pool of keep-alive connections, and the one place where the service's errors become ours."""

import random
import time
from base64 import b64encode
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import cached_property
from http.client import HTTPException
from json import dumps, loads
from queue import SimpleQueue
from typing import Any, TypeVar
from urllib.parse import quote, urlencode, urlsplit
from urllib.request import getproxies, proxy_bypass

import urllib3
from urllib3.exceptions import HTTPError, NewConnectionError, ProtocolError

from lakegate.errors import LakegateError, PublishConflict, ServiceRefused, ServiceUnavailable, VersionNotFound
from lakegate.lake.connections import STALE_S, Answer, Connections
from lakegate.lake.objects import Progress
from lakegate.settings import Settings

CONNECT_S, READ_S = 5, 300  # a merge waits for its hooks
RACES = 6
PAGE = 1000  # the most that lakeFS gives in one answer
LOOPBACK = ("127.0.0.1", "localhost", "::1")
START_IT = "`lakegate status` shows whether it runs, `lakegate up` starts it, then run the same command again"
DIRTY = "somebody wrote to the branch past Lakegate: look at its uncommitted changes in lakeFS, revert them, then run it again"
ADVICE = {
    401: "check LAKEGATE_LAKEFS_ACCESS_KEY_ID and _SECRET_ACCESS_KEY, or run `lakegate up` again",
    403: "this branch is protected: changes go through `lakegate data publish`",
    404: "`lakegate data list` and `lakegate data log` show what there is",
    409: "somebody else was quicker; look at what is there, then decide again",
    412: "a hook of the repository refused it; its words are above",
}
Item = TypeVar("Item")
Meaning = Mapping[int, type[LakegateError]]


class NoChanges(ServiceRefused):
    """lakeFS had nothing to commit or to merge: for Lakegate that is success."""


class Raced(ServiceUnavailable):
    """Another process moved the same branch in the same moment; nothing was done."""


def when_raced(act: Callable[[], Item]) -> Item:
    """Call ``act`` again while other processes move the same branch in the same moment (lakeFS 1.86 answers 500 then)."""
    for attempt in range(RACES):
        try:
            return act()
        except Raced:
            time.sleep(random.uniform(0.5, 1.0) * 0.05 * 2**attempt)
    return act()


class Transport:
    """Raw JSON on ``settings.connections`` keep-alive connections, and the ``lakefs`` SDK on its own pool."""

    def __init__(self, settings: Settings) -> None:
        settings.require_lakefs()
        self._settings = settings
        self.endpoint = settings.lakefs_endpoint.rstrip("/").removesuffix("/api/v1")
        self._base_path = urlsplit(self.endpoint).path
        self._proxy = _proxy_for(self.endpoint)
        timeout = urllib3.Timeout(connect=CONNECT_S, read=READ_S)
        options: dict[str, Any] = {"maxsize": settings.connections, "block": True, "retries": False, "timeout": timeout}
        self._through_proxy = urllib3.ProxyManager(self._proxy, **options) if self._proxy else None
        self._connections = Connections(self.endpoint, settings.connections, CONNECT_S, READ_S)
        secret = settings.lakefs_secret_access_key.get_secret_value()
        pair = b64encode(f"{settings.lakefs_access_key_id}:{secret}".encode()).decode()
        self._headers = {"Authorization": f"Basic {pair}"}

    @cached_property
    def _sdk_client(self) -> Any:
        from lakefs_sdk import Configuration
        from lakefs_sdk.client import LakeFSClient

        secret = self._settings.lakefs_secret_access_key.get_secret_value()
        key = self._settings.lakefs_access_key_id
        configuration = Configuration(host=f"{self.endpoint}/api/v1", username=key, password=secret)
        configuration.retries = urllib3.Retry(0)  # tasks retry; urllib3 would print a warning for each attempt
        configuration.proxy = self._proxy or None
        return LakeFSClient(configuration)

    @contextmanager
    def sdk(self, what: str, meaning: Meaning | None = None) -> Iterator[Any]:
        """Give the ``lakefs`` package's generated client (0.9 s to import, so only where refs are written).

        Raises: as :meth:`request`.
        """
        from lakefs_sdk.exceptions import ApiException

        try:
            yield self._sdk_client
        except ApiException as error:
            raise refusal(int(error.status or 0), str(error.body or error.reason), what, meaning or {}) from error
        except HTTPError as error:
            raise self._no_answer(what, error) from error

    def request(
        self,
        method: str,
        path: str,
        what: str,
        meaning: Meaning | None = None,
        *,
        params: Mapping[str, str | int] | None = None,
        json: object = None,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Send one request below ``/api/v1``; ``what`` completes "lakeFS refused to …" in errors.

        Raises:
            ServiceUnavailable: no answer, or 5xx. ServiceRefused, VersionNotFound, PublishConflict: lakeFS said no.
        """
        target = f"/api/v1/{path}" + (f"?{urlencode(params)}" if params else "")
        sent = {**self._headers, **(headers or {})}
        if json is not None:
            body, sent["Content-Type"] = dumps(json).encode(), "application/json"
        try:
            response = self._send(method, target, body, sent)
        except (HTTPError, HTTPException, OSError) as error:
            raise self._no_answer(what, error) from error
        if response.status >= 300:
            words = response.data.decode(errors="replace")
            raise refusal(response.status, words, what, meaning or {}) from HTTPError(f"{response.status}: {words[:500]}")
        return response

    def _send(self, method: str, target: str, body: bytes | None, headers: dict[str, str]) -> Answer:
        if self._through_proxy is None:
            return self._connections.send(method, self._base_path + target, body, headers)
        url = self.endpoint + target
        try:
            answer = self._through_proxy.urlopen(method, url, body=body, headers=headers, redirect=False)
        except (ProtocolError, NewConnectionError):  # an idle connection was closed: all requests may be repeated
            time.sleep(STALE_S)
            answer = self._through_proxy.urlopen(method, url, body=body, headers=headers, redirect=False)
        lines = tuple(f"{name}: {value}".encode("latin-1") for name, value in answer.headers.items())
        return Answer(answer.status, answer.data, lines)

    def pages(self, path: str, what: str, limit: int | None = None, **parameters: Any) -> Iterator[dict[str, Any]]:
        """Yield the results of all pages of a listing, as raw JSON (SDK models take 20 times as long)."""
        after, seen = "", 0
        while True:
            amount = min(PAGE, limit - seen) if limit else PAGE
            answer = self.request("GET", path, what, params={**parameters, "amount": amount, "after": after}).json()
            yield from answer["results"]
            seen += len(answer["results"])
            if not answer["pagination"]["has_more"] or (limit and seen >= limit):
                return
            after = answer["pagination"]["next_offset"]

    def in_parallel(self, act: Callable[[Item], object], items: Iterable[Item], progress: Progress | None = None) -> None:
        """Call ``act`` on every item, on as many threads as there are connections; the first error stops the rest.

        ``progress`` is called in the caller's thread.
        """
        waiting = deque(items)
        total = len(waiting)
        if not total:
            return
        ended: SimpleQueue[Future[None] | None] = SimpleQueue()  # None: one item is done; a future: one thread ended

        def work() -> None:
            while waiting:
                try:
                    item = waiting.popleft()
                except IndexError:
                    return  # another thread took the last one
                act(item)
                ended.put(None)

        n_threads = min(self._settings.connections, total)
        pool = ThreadPoolExecutor(n_threads, thread_name_prefix="lakefs")
        try:
            for _ in range(n_threads):
                pool.submit(work).add_done_callback(ended.put)
            done = n_ended = 0
            while n_ended < n_threads:
                future = ended.get()
                if future is not None:
                    n_ended += 1
                    future.result()
                    continue
                done += 1
                if progress:
                    progress(done, total)
        finally:
            waiting.clear()
            pool.shutdown()

    def _no_answer(self, what: str, error: Exception) -> ServiceUnavailable:
        return ServiceUnavailable(
            f"lakeFS at {self.endpoint} does not answer ({type(error).__name__}), so it was not possible to {what}; "
            f"{START_IT}"
        )


def refusal(status: int, body: str, what: str, meaning: Meaning) -> LakegateError:
    """Return our error for an answer of lakeFS: 5xx may heal, everything else does not."""
    words = _words(body)
    if status == 400 and "no changes" in words:
        return NoChanges(f"lakeFS had nothing to do to {what}: {words}")
    if status == 500 and "predicate failed" in words:
        return Raced(f"lakeFS could not {what}: another process moved the branch at the same time, again and again; try again")
    if status == 500 and "context canceled" in words:
        return ServiceUnavailable(f"lakeFS was stopped in the middle of the request to {what}; {START_IT}")
    advice = DIRTY if status == 400 and "uncommitted changes" in words else ADVICE.get(status, "")
    message = f"lakeFS refused to {what} ({status}): {words}" + (f"; {advice}" if advice else "")
    if status in meaning:
        return meaning[status](message)
    if status >= 500 or status in (408, 429):
        return ServiceUnavailable(f"lakeFS failed to {what} ({status}): {words}; try again, and look at its log")
    if status == 404:
        return VersionNotFound(message)
    return PublishConflict(message) if status == 409 else ServiceRefused(message)


def _words(body: str) -> str:
    try:
        content = loads(body)
    except ValueError:
        return body.strip()[:500] or "no reason given"
    return str(content.get("message", body)) if isinstance(content, dict) else body


def _proxy_for(endpoint: str) -> str:
    """Return the proxy that the environment names for this server; a server on this machine has none."""
    url = urlsplit(endpoint)
    host = url.hostname or ""
    return "" if host in LOOPBACK or proxy_bypass(host) else getproxies().get(url.scheme, "")


def part(name: str) -> str:
    """Quote one part of an URL's path."""
    return quote(name, safe="")
