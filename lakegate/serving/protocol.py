"""One request and one answer in the KServe v2 protocol over HTTP, with Triton's binary extension."""

import json
import struct
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from lakegate.errors import ServingError
from lakegate.imaging import ByteArray
from lakegate.serving.contract import ENCODED, IMAGE, NOT_SAMPLED, OUTPUTS

HEADER_LENGTH = "Inference-Header-Content-Length"
TYPES = {"FP32": np.float32, "INT32": np.int32}

Arrays = dict[str, npt.NDArray[Any]]


def encode_request(image: bytes | ByteArray, sampled: bool) -> tuple[bytes, dict[str, str]]:
    """Return body and headers of a request for one image: the bytes of a file, or uint8 RGB (height, width, 3)."""
    if isinstance(image, bytes):
        name, datatype, shape, data = ENCODED, "BYTES", [1, 1], struct.pack("<I", len(image)) + image
    else:
        name, datatype, shape, data = IMAGE, "UINT8", [1, *image.shape], image.tobytes()
    header = {
        "inputs": [{"name": name, "datatype": datatype, "shape": shape, "parameters": {"binary_data_size": len(data)}}],
        "outputs": [{"name": output, "parameters": {"binary_data": True}} for output in OUTPUTS],
        **({} if sampled else {"parameters": {NOT_SAMPLED: True}}),
    }
    head = json.dumps(header).encode()
    return head + data, {HEADER_LENGTH: str(len(head)), "Content-Type": "application/octet-stream"}


def decode_answer(body: bytes, headers: Mapping[str, str]) -> tuple[Arrays, int]:
    """Return the outputs and the version that answered.

    Raises:
        ServingError: the bytes are not an answer of the protocol.
    """
    try:
        length = int(headers.get(HEADER_LENGTH, len(body)))
        head = json.loads(body[:length])
        arrays: Arrays = {}
        for output in head["outputs"]:
            n_bytes = int(output["parameters"]["binary_data_size"])
            data = body[length : length + n_bytes]
            arrays[output["name"]] = np.frombuffer(data, TYPES[output["datatype"]]).reshape(output["shape"])
            length += n_bytes
        return arrays, int(head["model_version"])
    except (ValueError, KeyError, TypeError) as error:
        raise ServingError(f"the server's answer is not one of the inference protocol ({error!r})") from error
