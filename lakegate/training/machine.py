"""What a training sets and reads of the machine that it runs on."""

import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from lakegate.training.job import GpuFacts, TrainingJob


@contextmanager
def reproducible(job: TrainingJob) -> Iterator[None]:
    """Set threads and deterministic algorithms for a job, and put torch's settings back afterwards."""
    deterministic: Any = torch.utils.deterministic
    threads, fill = torch.get_num_threads(), deterministic.fill_uninitialized_memory
    before = torch.get_deterministic_debug_mode()
    rng_state = torch.get_rng_state()
    torch.set_num_threads(job.threads)
    # As use_deterministic_algorithms does, but that one loads torch's compiler, which takes seconds and is not used here.
    torch.set_deterministic_debug_mode("warn" if job.device == "cuda" else "error")
    deterministic.fill_uninitialized_memory = False  # NaN in unused memory finds bugs, but costs time
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        torch.set_deterministic_debug_mode(before)
        deterministic.fill_uninitialized_memory = fill
        torch.set_rng_state(rng_state)


def peak_memory_bytes() -> int:
    """Return the largest resident size of this process so far."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def gpu_facts() -> GpuFacts:
    """Return what torch knows of the current GPU; the driver is ``unknown`` where NVML does not answer."""
    import pynvml

    properties = torch.cuda.get_device_properties(torch.cuda.current_device())
    try:
        pynvml.nvmlInit()
        driver = str(pynvml.nvmlSystemGetDriverVersion())
        pynvml.nvmlShutdown()
    except pynvml.NVMLError:
        driver = "unknown"
    return GpuFacts(properties.name, f"{properties.major}.{properties.minor}", driver, properties.total_memory)
