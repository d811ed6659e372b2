"""Which GPUs this machine has, asked through NVML; three different answers when there is none to be had."""

from dataclasses import dataclass


@dataclass(frozen=True)
class GpuAnswer:
    """What NVML said: ``state`` is one of "no library", "no device", "devices"; ``devices`` are names with capability."""

    state: str
    words: str
    devices: tuple[str, ...] = ()


def ask_gpus() -> GpuAnswer:
    """Ask NVML; never raises, a machine without a GPU is an ordinary machine."""
    import pynvml

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError_LibraryNotFound:
        return GpuAnswer("no library", "no NVIDIA driver on this machine (its library NVML is not installed)")
    except pynvml.NVMLError as error:
        return GpuAnswer("no device", f"the NVIDIA driver's library is installed but answers: {error}")
    try:
        devices = tuple(_describe(index) for index in range(pynvml.nvmlDeviceGetCount()))
    except pynvml.NVMLError as error:
        return GpuAnswer("no device", f"the NVIDIA driver runs, but a device answers: {error}")
    finally:
        pynvml.nvmlShutdown()
    if not devices:
        return GpuAnswer("no device", "the NVIDIA driver runs, but sees no device")
    return GpuAnswer("devices", ", ".join(devices), devices)


def _describe(index: int) -> str:
    import pynvml

    handle = pynvml.nvmlDeviceGetHandleByIndex(index)
    major, minor = pynvml.nvmlDeviceGetCudaComputeCapability(handle)
    memory_gib = pynvml.nvmlDeviceGetMemoryInfo(handle).total / 2**30
    return f"{pynvml.nvmlDeviceGetName(handle)} (cc{major}{minor}, {memory_gib:.0f} GiB)"
