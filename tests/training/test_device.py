from typing import Any

import pytest
import torch

from lakegate.errors import SetupProblem
from lakegate.settings import Settings
from lakegate.training.device import choose_device


def settings(**values: Any) -> Settings:
    return Settings(**values)


def test_without_a_pool_of_gpus_a_training_computes_on_the_cpu() -> None:
    assert choose_device(settings()) == ("cpu", "")
    assert choose_device(settings(pool="cpu", device="cpu")) == ("cpu", "")


def test_a_pool_of_gpus_where_torch_sees_none_is_refused() -> None:
    if torch.cuda.is_available():
        pytest.skip("torch sees a GPU here")
    with pytest.raises(SetupProblem, match=r"pool 'gpu-cc86' promises a GPU.*LAKEGATE_DEVICE=cpu"):
        choose_device(settings(pool="gpu-cc86"))


def test_the_cpu_in_a_pool_of_gpus_must_be_asked_for_and_is_recorded() -> None:
    device, why = choose_device(settings(pool="gpu-cc86", device="cpu"))
    assert device == "cpu" and "gpu-cc86" in why and "LAKEGATE_DEVICE=cpu" in why
