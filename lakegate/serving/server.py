"""A Triton server, asked: what it has loaded, to load something else, and for predictions over HTTP and gRPC."""

import json
import threading
import time
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Literal

import requests

from lakegate.detections import FoundObject
from lakegate.errors import BadInput, ServerBusy, ServiceUnavailable, ServingError
from lakegate.imaging import ByteArray
from lakegate.serving.contract import ENCODED, IMAGE, NOT_SAMPLED, OUTPUTS, to_detections
from lakegate.serving.protocol import Arrays, decode_answer, encode_request

if TYPE_CHECKING:
    from tritonclient.grpc import InferenceServerClient

Protocol = Literal["http", "grpc"]
READY = "READY"
BUSY = ("maximum queue size", "timeout expired")  # a full queue, and a request that waited in it for too long
ANSWER_TIMEOUT_S = 30.0
LOAD_TIMEOUT_S = 60.0
POLL_S = 0.1


@dataclass(frozen=True)
class VersionState:
    """What the server's index says about one version: READY, LOADING, UNLOADING, UNAVAILABLE, and why."""

    state: str
    reason: str


@dataclass(frozen=True)
class Answer:
    """The objects in one image, best score first, and the release that found them."""

    objects: list[FoundObject]
    release: int


class TritonServer:
    """The server of one stage: ``http`` is ``http://host:port``, ``grpc`` is ``host:port``. Threads may share it."""

    def __init__(self, http: str, grpc: str, stage: str) -> None:
        self.http, self.grpc, self.stage = http.rstrip("/"), grpc, stage
        self._local = threading.local()
        self._labels: dict[tuple[str, int], tuple[str, ...]] = {}

    def is_live(self) -> bool:
        """Tell whether the server answers at all; it says nothing about models."""
        try:
            return self._call("GET", "/v2/health/live").status_code == HTTPStatus.OK
        except ServiceUnavailable:
            return False

    def load(self, model: str, timeout_s: float = LOAD_TIMEOUT_S, config: str = "") -> None:
        """Let the server read the model's folder again and load what its ``config.pbtxt`` names, or ``config`` instead of that.

        Args:
            model: a folder of the repository.
            timeout_s: how long to wait for the end of the load.
            config: a configuration as JSON; the file is not needed then, and stays as it is.

        Raises:
            ServingError: the server refused, with its reason; or it did not end within ``timeout_s``.
        """
        body = json.dumps({"parameters": {"config": config}} if config else {}).encode()
        self._repository(f"models/{model}/load", f"load {model}", timeout_s, body)
        self._labels = {key: labels for key, labels in self._labels.items() if key[0] != model}

    def unload(self, model: str, timeout_s: float = LOAD_TIMEOUT_S) -> None:
        """Take the model off the server; its files stay."""
        self._repository(f"models/{model}/unload", f"unload {model}", timeout_s)

    def versions(self, model: str) -> dict[int, VersionState]:
        """Return the state of each version of the model that the server knows; empty before the first load."""
        answer = self._repository("index", "list its models", ANSWER_TIMEOUT_S)
        entries = [entry for entry in answer.json() if entry.get("name") == model and str(entry.get("version", "")).isdigit()]
        return {int(item["version"]): VersionState(item.get("state", ""), item.get("reason", "")) for item in entries}

    def wait_ready(self, model: str, number: int, timeout_s: float = LOAD_TIMEOUT_S) -> None:
        """Wait until exactly that version is READY in the index. (The server's own health says nothing about that.)

        Raises:
            ServingError: it became UNAVAILABLE, or was not ready in time; state and reason are in the message.
        """
        deadline = time.monotonic() + timeout_s
        while True:
            state = self.versions(model).get(number, VersionState("not known to the server", ""))
            if state.state == READY:
                return
            if state.state == "UNAVAILABLE" or time.monotonic() > deadline:
                raise ServingError(
                    f"{model} release {number} is not served by {self.stage}: {state.state}"
                    f"{f' ({state.reason})' if state.reason else ''}; look at the log of triton-{self.stage}"
                )
            time.sleep(POLL_S)

    def metadata(self, model: str, number: int | None = None) -> dict[str, Any]:
        """Return names, types and shapes of the inputs and outputs, as the server gives them."""
        return self._model(model, number, "")

    def config(self, model: str, number: int | None = None) -> dict[str, Any]:
        """Return the configuration of the loaded model; ``parameters`` say which release it is."""
        return self._model(model, number, "/config")

    def labels(self, model: str, number: int) -> tuple[str, ...]:
        """Return the labels of a loaded version, in class order."""
        key = (model, number)
        if key not in self._labels:
            try:
                self._labels[key] = tuple(json.loads(self._parameter(model, number, "labels")))
            except (KeyError, TypeError, ValueError) as error:
                where = f"{model} release {number} on {self.stage}"
                raise ServingError(f"{where} names no labels; roll the release out again") from error
        return self._labels[key]

    def predict(
        self, model: str, image: bytes | ByteArray, protocol: Protocol = "http", sampled: bool = True
    ) -> list[FoundObject]:
        """Find objects in one image, best score first; see :meth:`ask`."""
        return self.ask(model, image, protocol, sampled).objects

    def ask(self, model: str, image: bytes | ByteArray, protocol: Protocol = "http", sampled: bool = True) -> Answer:
        """Find objects in one image and name the release that found them.

        Args:
            model: as it is loaded.
            image: the bytes of a JPEG or PNG file, or uint8 RGB of shape (height, width, 3).
            protocol: "http" or "grpc".
            sampled: False keeps the image out of the frames that monitoring looks at (functional tests).

        Raises:
            BadInput: the server says that the image or the request is wrong.
            ServerBusy: its queue is full; nothing was run.
            ServingError, ServiceUnavailable: the model is not served, or the server does not answer.
        """
        _require_image(image)
        arrays, number = (self._infer_http if protocol == "http" else self._infer_grpc)(model, image, sampled)
        return Answer(to_detections(arrays).named(self.labels(model, number)), number)

    def _parameter(self, model: str, number: int, name: str) -> str:
        """Return one word of the configuration, over gRPC where no HTTP address is known."""
        if self.http:
            return str(self.config(model, number)["parameters"][name]["string_value"])
        from tritonclient.utils import InferenceServerException

        try:
            answer = self._channel().get_model_config(model, str(number), client_timeout=ANSWER_TIMEOUT_S)
        except InferenceServerException as error:
            raise _refused(f"{model} on {self.stage}", _as_http(error.status()), error.message()) from error
        return str(answer.config.parameters[name].string_value)

    def _infer_http(self, model: str, image: bytes | ByteArray, sampled: bool) -> tuple[Arrays, int]:
        body, headers = encode_request(image, sampled)
        answer = self._call("POST", f"/v2/models/{model}/infer", body, headers)
        if answer.status_code != HTTPStatus.OK:
            raise _refused(f"{model} on {self.stage}", answer.status_code, _words(answer))
        return decode_answer(answer.content, answer.headers)

    def _infer_grpc(self, model: str, image: bytes | ByteArray, sampled: bool) -> tuple[Arrays, int]:
        import numpy as np
        from tritonclient.grpc import InferInput, InferRequestedOutput
        from tritonclient.utils import InferenceServerException

        data = np.array([[image]], np.object_) if isinstance(image, bytes) else image[np.newaxis]
        name, datatype = (ENCODED, "BYTES") if isinstance(image, bytes) else (IMAGE, "UINT8")
        tensor = InferInput(name, list(data.shape), datatype)
        tensor.set_data_from_numpy(data)
        outputs = [InferRequestedOutput(output) for output in OUTPUTS]
        parameters = None if sampled else {NOT_SAMPLED: True}
        try:
            result = self._channel().infer(
                model, [tensor], outputs=outputs, parameters=parameters, client_timeout=ANSWER_TIMEOUT_S
            )
        except InferenceServerException as error:
            raise _refused(f"{model} on {self.stage}", _as_http(error.status()), error.message()) from error
        return {output: result.as_numpy(output) for output in OUTPUTS}, int(result.get_response().model_version)

    def _channel(self) -> "InferenceServerClient":
        """Return this thread's gRPC channel."""
        from tritonclient.grpc import InferenceServerClient

        if not hasattr(self._local, "grpc"):
            self._local.grpc = InferenceServerClient(self.grpc)
        channel: InferenceServerClient = self._local.grpc
        return channel

    def _model(self, model: str, number: int | None, what: str) -> dict[str, Any]:
        version = "" if number is None else f"/versions/{number}"
        answer = self._call("GET", f"/v2/models/{model}{version}{what}")
        if answer.status_code != HTTPStatus.OK:
            raise _refused(f"{model} on {self.stage}", answer.status_code, _words(answer))
        content: dict[str, Any] = answer.json()
        return content

    def _repository(self, path: str, doing: str, timeout_s: float, body: bytes = b"{}") -> requests.Response:
        answer = self._call("POST", f"/v2/repository/{path}", body, timeout_s=timeout_s)
        if answer.status_code != HTTPStatus.OK:
            raise ServingError(f"the {self.stage} server refused to {doing}: {_words(answer)}")
        return answer

    def _call(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        headers: dict[str, str] | None = None,
        timeout_s: float = ANSWER_TIMEOUT_S,
    ) -> requests.Response:
        if not hasattr(self._local, "http"):
            self._local.http = requests.Session()
            self._local.http.trust_env = False  # a proxy has no part in a call to this machine
        session: requests.Session = self._local.http
        try:
            return session.request(method, f"{self.http}{path}", data=body, headers=headers, timeout=timeout_s)
        except requests.Timeout as error:
            raise ServingError(
                f"{self.http}{path} did not end within {timeout_s:.0f} s; look at the log of triton-{self.stage}"
            ) from error
        except requests.RequestException as error:
            where = f"{self.http} ({self.stage})"
            raise ServiceUnavailable(f"no Triton server answers at {where}: {error}; run `lakegate up`") from error


def _require_image(image: object) -> None:
    """Refuse here what the server would take for something else: over HTTP bytes carry no type of their own."""
    if isinstance(image, bytes):
        return
    shape, dtype = getattr(image, "shape", None), getattr(image, "dtype", None)
    if shape is None or len(shape) != 3 or shape[2] != 3 or str(dtype) != "uint8":
        came = f"{type(image).__name__}" if shape is None else f"{dtype} of shape {tuple(shape)}"
        raise BadInput(
            f"expected the bytes of a JPEG or PNG file, or uint8 RGB of shape (height, width, 3); came {came}; "
            "a file is given as pathlib.Path"
        )


def _words(answer: requests.Response) -> str:
    try:
        return str(answer.json()["error"])
    except (ValueError, KeyError, TypeError):
        return answer.text[:300] or f"status {answer.status_code} without a reason"


def _as_http(status: str) -> int:
    """Return the HTTP status that Triton gives for the same refusal; ``status`` is ``StatusCode.UNAVAILABLE`` and the like."""
    codes = {"INVALID_ARGUMENT": 400, "NOT_FOUND": 404, "UNAVAILABLE": 503, "DEADLINE_EXCEEDED": 504}
    return codes.get((status or "").rpartition(".")[2], 500)


def _refused(where: str, status: int, words: str) -> BadInput | ServingError | ServiceUnavailable:
    """Translate a refusal by its meaning."""
    if status == HTTPStatus.SERVICE_UNAVAILABLE and any(part in words for part in BUSY):
        return ServerBusy(f"{where}: too many requests wait ({words}); send the request again later")
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        return ServiceUnavailable(f"{where} cannot be reached: {words}; run `lakegate up`")
    if status == HTTPStatus.BAD_REQUEST and "Request for unknown model" not in words:
        return BadInput(f"{where} refused the request: {words}")
    return ServingError(f"{where} does not answer: {words}")
