"""Ask a Triton server of Lakegate for predictions: images in as a client has them, objects out in pixels of those images."""

from pathlib import Path

from lakegate.detections import FoundObject
from lakegate.errors import BadImage, SetupProblem
from lakegate.imaging import ByteArray
from lakegate.registry.documents import Stage
from lakegate.serving.server import Answer, Protocol, TritonServer
from lakegate.settings import Settings


class Client:
    """A connection to one server.

    >>> Client("http://127.0.0.1:8000").address
    'http://127.0.0.1:8000'
    """

    def __init__(self, address: str, protocol: Protocol = "http") -> None:
        """Keep the address: ``http://host:port`` for "http", ``host:port`` for "grpc"; nothing is sent yet."""
        self.address, self.protocol = address, protocol
        http, grpc = (address, "") if protocol == "http" else ("", address)
        self._server = TritonServer(http, grpc, f"the server at {address}")

    @classmethod
    def of_stage(cls, stage: Stage = "production", protocol: Protocol = "http", settings: Settings | None = None) -> "Client":
        """Connect to the stage's server of this stack.

        Raises:
            SetupProblem: the stack has none.
        """
        settings = settings or Settings.load()
        address = getattr(settings, f"triton_{stage}_{protocol}")
        if not address:
            raise SetupProblem(
                f"no Triton server is known for {stage}; start one with `lakegate up`, "
                f"or set LAKEGATE_TRITON_{stage.upper()}_{protocol.upper()}"
            )
        return cls(address, protocol)

    def predict(self, model: str, image: Path | bytes | ByteArray) -> list[FoundObject]:
        """Find objects in one image, best score first: the answer that evaluation judged.

        Args:
            model: name of the model.
            image: a file, the bytes of one (JPEG, PNG), or uint8 RGB of shape (height, width, 3).

        Raises:
            BadImage, BadInput: it is not an image that can be used.
            ServerBusy: the server's queue is full; send the request again later.
            ServingError, ServiceUnavailable: the model is not served, or nobody answers.
        """
        return self.ask(model, image).objects

    def ask(self, model: str, image: Path | bytes | ByteArray) -> Answer:
        """Do as :meth:`predict`, and name the release that answered."""
        return self._server.ask(model, _read(image) if isinstance(image, Path) else image, self.protocol)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise BadImage(f"{path}: cannot be read ({error.strerror or error}); expected an image file") from error
