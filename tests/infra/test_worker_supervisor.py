from pathlib import Path

import pytest

from infra.gpu import Gpu, GpuAnswer
from infra.worker_supervisor import choose_workers, supervise
from infra.workers import worker_environment
from lakegate.errors import SetupProblem
from lakegate.settings import Settings

TWO = GpuAnswer(
    "devices",
    "two",
    (Gpu(0, "GPU-1", "Stand-in T4", (7, 5), 15 * 2**30), Gpu(1, "GPU-2", "Stand-in A10", (8, 6), 24 * 2**30)),
)


def test_each_gpu_gets_a_worker_that_sees_it_alone() -> None:
    specs = choose_workers(TWO)
    assert [spec.pool for spec in specs] == ["gpu-cc75", "gpu-cc86"]
    assert len({spec.service for spec in specs}) == 2
    seen = [worker_environment(Settings(), spec, "http://127.0.0.1:1/api")["CUDA_VISIBLE_DEVICES"] for spec in specs]
    assert seen == ["GPU-1", "GPU-2"]


@pytest.mark.parametrize("state", ["no library", "no device"])
def test_a_machine_without_a_gpu_gets_one_worker_for_the_cpu(state: str) -> None:
    (spec,) = choose_workers(GpuAnswer("no library" if state == "no library" else "no device", "none"))
    assert spec.service == "worker-cpu"
    assert "CUDA_VISIBLE_DEVICES" not in worker_environment(Settings(), spec, "http://127.0.0.1:1/api")


def test_a_driver_that_fails_does_not_pass_for_a_machine_without_gpus() -> None:
    broken = GpuAnswer("error", "the NVIDIA driver's library is installed but answers: Driver Not Loaded")
    with pytest.raises(SetupProblem, match=r"Driver Not Loaded.*lakegate worker --cpu"):
        choose_workers(broken)
    assert [spec.pool for spec in choose_workers(broken, only_cpu=True)] == ["cpu"]


def test_without_a_server_it_says_what_to_do(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    settings.prefect_api_url = ""
    with pytest.raises(SetupProblem, match="LAKEGATE_PREFECT_API_URL"):
        supervise(settings, print)
