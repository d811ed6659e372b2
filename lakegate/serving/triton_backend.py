"""``model.py`` of a version directory: tritonserver's Python backend loads a copy of this file.

What it needs of Lakegate lies beside it, copied when the version was filled; nothing else of Lakegate is on the server's path.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lakegate.serving.served_model import Prepared


class TritonPythonModel:
    """The three functions that tritonserver calls."""

    def initialize(self, args: dict[str, str]) -> None:
        """Load the version directory; an error here is the reason that the server's index shows."""
        folder = Path(args["model_repository"]) / args["model_version"]
        sys.path.insert(0, str(folder))
        sys.dont_write_bytecode = True  # the version directory stays as it was filled
        import triton_python_backend_utils as triton  # type: ignore[import-not-found]

        from lakegate.serving.served_model import ServedModel

        self._triton = triton
        self._model = ServedModel(folder, triton.Logger.log_warn)

    def execute(self, requests: Sequence[Any]) -> list[Any]:
        """Answer the requests with one batch; what is wrong with one request is that request's answer only."""
        from lakegate.errors import LakegateError

        prepared: list[list[Prepared]] = []
        errors: dict[int, str] = {}
        for index, request in enumerate(requests):
            try:
                prepared.append([self._model.prepare(image) for image in self._images(request)])
            except LakegateError as error:
                prepared.append([])
                errors[index] = str(error)
        try:
            found = iter(self._model.find([image for images in prepared for image in images]))
        except LakegateError as error:
            return [self._refusal(str(error)) for _ in requests]
        responses = []
        for index, (request, images) in enumerate(zip(requests, prepared, strict=True)):
            if index in errors:
                responses.append(self._refusal(errors[index]))
                continue
            objects = [next(found) for _ in images]
            responses.append(self._answer(objects))
            if not self._is_test(request):
                for image, one in zip(images, objects, strict=True):
                    self._model.keep_frame(image, one)
        return responses

    def _images(self, request: Any) -> list[Any]:
        """Return the images of one request: bytes, or arrays of shape (height, width, 3)."""
        from lakegate.errors import BadInput
        from lakegate.serving.contract import ENCODED, IMAGE

        encoded, image = (self._triton.get_input_tensor_by_name(request, name) for name in (ENCODED, IMAGE))
        if (encoded is None) == (image is None):
            came = "both" if encoded is not None else "neither"
            raise BadInput(f"expected exactly one of the inputs '{ENCODED}' and '{IMAGE}', came {came}")
        if encoded is not None:
            return [bytes(item) for item in encoded.as_numpy().reshape(-1)]
        return list(image.as_numpy())

    def _answer(self, objects: Sequence[Any]) -> Any:
        import numpy as np

        from lakegate.serving.contract import OUTPUTS, to_arrays

        rows = [to_arrays(one, self._model.spec.max_objects) for one in objects]
        tensors = [self._triton.Tensor(name, np.stack([row[name] for row in rows])) for name in OUTPUTS]
        return self._triton.InferenceResponse(output_tensors=tensors)

    def _refusal(self, sentence: str) -> Any:
        code = self._triton.TritonError.INVALID_ARG
        return self._triton.InferenceResponse(output_tensors=[], error=self._triton.TritonError(sentence, code))

    def _is_test(self, request: Any) -> bool:
        from lakegate.serving.contract import NOT_SAMPLED

        return bool(json.loads(request.parameters() or "{}").get(NOT_SAMPLED))
