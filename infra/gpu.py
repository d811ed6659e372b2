"""Which GPUs this machine has, asked through NVML; "no library", "error" and "no device" are three different answers."""

from dataclasses import dataclass
from typing import Literal

GpuState = Literal["no library", "error", "no device", "devices"]
GIB = 2**30
GPU_PREFIX = "gpu-cc"


@dataclass(frozen=True)
class Gpu:
    """One GPU as the driver names it; the index can change with the next start of the machine, the UUID does not."""

    index: int
    uuid: str
    name: str
    capability: tuple[int, int]  # compute capability: (major, minor)
    memory_bytes: int

    @property
    def pool(self) -> str:
        """The work pool of this compute capability: ``gpu-cc86`` for 8.6."""
        major, minor = self.capability
        return f"{GPU_PREFIX}{major}{minor}"

    @property
    def words(self) -> str:
        """``NVIDIA A10 (cc86, 24 GiB)``."""
        return f"{self.name} ({self.pool.removeprefix('gpu-')}, {self.memory_bytes / GIB:.0f} GiB)"


@dataclass(frozen=True)
class GpuAnswer:
    """What NVML said.

    "no library": a machine without NVIDIA's driver. "error": a driver that does not work, which is never the same as none.
    "no device": a driver that works and sees no GPU.
    """

    state: GpuState
    words: str
    devices: tuple[Gpu, ...] = ()


def ask_gpus() -> GpuAnswer:
    """Ask NVML; never raises."""
    import pynvml

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError_LibraryNotFound:
        return GpuAnswer("no library", "no NVIDIA driver on this machine (its library NVML is not installed)")
    except pynvml.NVMLError as error:
        return GpuAnswer("error", f"the NVIDIA driver's library is installed but answers: {error}")
    try:
        devices = tuple(_read(index) for index in range(pynvml.nvmlDeviceGetCount()))
    except pynvml.NVMLError as error:
        return GpuAnswer("error", f"the NVIDIA driver runs, but a device answers: {error}")
    finally:
        pynvml.nvmlShutdown()
    if not devices:
        return GpuAnswer("no device", "the NVIDIA driver runs, but sees no device")
    return GpuAnswer("devices", ", ".join(gpu.words for gpu in devices), devices)


def _read(index: int) -> Gpu:
    import pynvml

    handle = pynvml.nvmlDeviceGetHandleByIndex(index)
    major, minor = pynvml.nvmlDeviceGetCudaComputeCapability(handle)
    memory_bytes = int(pynvml.nvmlDeviceGetMemoryInfo(handle).total)
    name, uuid = str(pynvml.nvmlDeviceGetName(handle)), str(pynvml.nvmlDeviceGetUUID(handle))
    return Gpu(index, uuid, name, (int(major), int(minor)), memory_bytes)
