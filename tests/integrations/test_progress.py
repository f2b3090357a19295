"""The log of an orchestrator gets few lines of progress, and always the last epoch."""

from __future__ import annotations

from linreg_dist.documents import EpochLine, Tick
from linreg_dist.integrations.progress import ProgressLines, line_of


def test_a_line_says_what_is_known() -> None:
    tick = Tick(progress=0.42, phase="moments", of_epoch=2, rows_per_s=1.2e6, eta_s=30.4)
    assert line_of(tick) == "42 % · moments · epoch 3 · 1,200,000 rows/s · 30 s left"
    assert line_of(Tick(progress=1.2)) == "100 %"
    assert line_of(Tick(progress=0.1, phase="epoch 3 of 9", of_epoch=2)) == "10 % · epoch 3 of 9"
    assert line_of(EpochLine(epoch=0, train_mse=2.5, validation_mse=3.25)) == (
        "epoch 1 · train MSE 2.5 · validation MSE 3.25"
    )


def test_lines_come_seldom_and_the_last_epoch_is_never_left_out() -> None:
    now, said = [0.0], list[str]()
    lines = ProgressLines(said.append, every_s=10.0, clock=lambda: now[0])
    for epoch in range(100):
        now[0] = epoch * 0.5
        lines.event(Tick(progress=epoch / 100))
        lines.event(EpochLine(epoch=epoch))
    assert len(said) == 5
    lines.close()
    assert said[-1] == "epoch 100"
    lines.close()
    assert len(said) == 6
    for _ in range(3):
        now[0] += 20
        lines.event(Tick(progress=0.5, phase="waiting"))
    assert said[6:] == ["50 % · waiting"]
