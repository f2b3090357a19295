from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from linreg_dist.training.rows.capture import Replay, capture_for


@pytest.fixture
def counter() -> torch.Tensor:
    return torch.zeros(1)


def test_nothing_is_captured_on_the_cores() -> None:
    assert capture_for(torch.device("cpu")) is None


def test_a_capture_replaces_the_operation_and_its_trial_counts_for_nothing(counter: torch.Tensor) -> None:
    def capture(operation: Callable[[], None]) -> Callable[[], None]:
        operation()
        operation()
        return lambda: counter.add_(10) and None

    replay = Replay(lambda: counter.add_(1) and None, [counter], capture)
    replay()
    assert counter.item() == 10
    replay()
    assert counter.item() == 20


def test_what_cannot_be_captured_is_called(counter: torch.Tensor, caplog: pytest.LogCaptureFixture) -> None:
    def capture(operation: Callable[[], None]) -> Callable[[], None]:
        operation()
        raise RuntimeError("operation not permitted when stream is capturing\nand more")

    replay = Replay(lambda: counter.add_(1) and None, [counter], capture)
    for _ in range(3):
        replay()
    assert counter.item() == 3
    assert "operation not permitted when stream is capturing" in caplog.text
    assert "and more" not in caplog.text
    assert caplog.text.count("could not be captured") == 1


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_replays_a_graph() -> None:
    counter = torch.zeros(1, device="cuda")
    replay = Replay(lambda: counter.add_(1) and None, [counter], capture_for(counter.device))
    for _ in range(5):
        replay()
    assert counter.item() == 5
