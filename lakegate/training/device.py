"""Where a training computes: on the GPU in a pool of GPUs, else on the CPU."""

from lakegate.compute_capability import capability_of
from lakegate.errors import SetupProblem
from lakegate.settings import Settings
from lakegate.training.job import Device


def choose_device(settings: Settings) -> tuple[Device, str]:
    """Return the device, and a sentence for the record where it is another one than the pool promises.

    Raises:
        SetupProblem: this is a worker on a GPU, and torch sees none.
    """
    is_gpu_pool = capability_of(settings.pool) is not None
    if settings.device == "cpu" and is_gpu_pool:
        return "cpu", f"trained on the CPU in pool {settings.pool}, as LAKEGATE_DEVICE=cpu of its worker says"
    if settings.device != "auto":
        return settings.device, ""
    if not is_gpu_pool:
        return "cpu", ""
    import torch

    if not torch.cuda.is_available():
        raise SetupProblem(
            f"pool '{settings.pool}' promises a GPU, but torch {torch.__version__} sees none; install a torch built for the "
            "CUDA of this driver (`nvidia-smi` names it), or start the worker with LAKEGATE_DEVICE=cpu, which the record says"
        )
    return "cuda", ""


def choose_processes(n_gpus: int, device: Device) -> tuple[int, str]:
    """Return in how many processes to train, one per GPU, and a sentence for the record where GPUs are asked for in vain.

    Raises:
        SetupProblem: this machine has fewer GPUs than ``[resources] gpus`` asks for.
    """
    if n_gpus == 1:
        return 1, ""
    if device == "cpu":
        return 1, f"[resources] gpus = {n_gpus}: trained in one process, since it ran on the CPU"
    import torch

    if torch.cuda.device_count() < n_gpus:
        raise SetupProblem(
            f"[resources] gpus = {n_gpus}, but torch sees {torch.cuda.device_count()} on this machine; "
            "lower the number, or start the worker where there are as many"
        )
    return n_gpus, ""
