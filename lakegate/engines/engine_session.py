"""Inference with a TensorRT engine, with the interface of ``OnnxModel``. Not verified on a GPU yet: tests/gpu does it."""

from typing import Any

import numpy as np

from lakegate.engines.onnx_session import INPUT_NAME, OUTPUT_NAMES
from lakegate.engines.tensorrt_builder import Log, make_logger
from lakegate.imaging import FloatArray


class EngineModel:
    """An engine, loaded on the GPU that this process sees first."""

    def __init__(self, trt: Any, plan: bytes) -> None:
        """Load ``plan``.

        Raises:
            EngineNotBuilt: it was built for another TensorRT or GPU; TensorRT's own words are in the message.
        """
        self._log = Log()
        self._logger = make_logger(trt, self._log)
        self._runtime = trt.Runtime(self._logger)
        self._engine = self._runtime.deserialize_cuda_engine(plan)
        if self._engine is None:
            raise self._log.failed(f"TensorRT {trt.__version__} does not load this engine")
        self._context = self._engine.create_execution_context()
        if self._context is None:
            raise self._log.failed("the GPU has not the memory that this engine needs")

    def infer(self, images_NCHW: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Run the network on a batch, float32 (N, 3, H, W); return boxes (N, A, 4) and scores (N, A, C).

        Raises:
            EngineNotBuilt: the shape is outside of the engine's profile, or the GPU reports an error.
        """
        import torch

        images = torch.from_numpy(np.ascontiguousarray(images_NCHW)).cuda()
        context = self._context
        if not context.set_input_shape(INPUT_NAME, tuple(images.shape)):
            raise self._log.failed(f"the engine does not take {tuple(images.shape)}; [export] batch says what it was built for")
        context.set_tensor_address(INPUT_NAME, images.data_ptr())
        outputs = []
        for name in OUTPUT_NAMES:
            made = torch.empty(tuple(context.get_tensor_shape(name)), dtype=torch.float32, device="cuda")
            context.set_tensor_address(name, made.data_ptr())
            outputs.append(made)
        stream = torch.cuda.current_stream()
        if not context.execute_async_v3(stream.cuda_stream):
            raise self._log.failed("the GPU reports an error")
        stream.synchronize()
        boxes, scores = (made.cpu().numpy() for made in outputs)
        return boxes, scores
