from __future__ import annotations

import pytest
import torch

from linreg_dist.errors import SpecError
from linreg_dist.training.rows.gpus import MEMORY_VARIABLE, VARIABLE, Gpus


def test_a_machine_without_a_gpu_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    assert Gpus.here().count == (torch.cuda.device_count() if torch.cuda.is_available() else 0)


def test_the_cpu_can_play_a_gpu_of_any_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "3x1000")
    gpus = Gpus.here()
    assert (gpus.count, gpus.memory_bytes, gpus.device, gpus.are_rehearsed) == (3, 1000, "cpu", True)
    assert gpus.free_bytes("cpu")() + gpus.scratch_bytes == 1000


def test_rows_keep_to_the_memory_that_they_may_take(monkeypatch: pytest.MonkeyPatch) -> None:
    gpus = Gpus(1, "GPU", 1000, "cpu", are_rehearsed=True)
    monkeypatch.setenv(MEMORY_VARIABLE, "300")
    assert gpus.free_bytes("cpu")() == 300
    monkeypatch.setenv(MEMORY_VARIABLE, "3000")
    assert gpus.free_bytes("cpu")() == 800
    monkeypatch.setenv(MEMORY_VARIABLE, "3GB")
    with pytest.raises(SpecError, match="expected a whole number of bytes"):
        gpus.free_bytes("cpu")


@pytest.mark.parametrize("value", ["1", "x5", "1x2GB", "-1x5"])
def test_a_rehearsal_that_cannot_be_read_is_refused(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv(VARIABLE, value)
    with pytest.raises(SpecError, match="expected a count and bytes of memory"):
        Gpus.here()
