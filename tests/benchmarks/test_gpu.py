"""The table of `python -m benchmarks.gpu`, to its end, with the CPU in the GPU's part."""

from __future__ import annotations

import pytest

from benchmarks import gpu


@pytest.mark.slow  # a dozen small fits
def test_the_whole_table_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    gpu.main(["--device", "cpu", "--rows", "4000", "--columns", "3", "--rounds", "1", "--batches", "500"])
    lines = [line.split(" | ") for line in capsys.readouterr().out.splitlines() if " | " in line][1:]
    whole = "whole job, 10 epochs of 500"
    both = ["plain loop over resident rows, batch 500", "ours, later epochs, batch 500"]
    passes = ["ours, L-BFGS, a pass", "ours, exact, from the call"]
    jobs = [f"{whole}: plain loop", f"{whole}: ours"]
    streamed = "ours, a quarter resident, the rest streamed, batch 500"
    assert [(place, what) for place, what, *_ in lines] == [
        *[("CPU as GPU", what) for what in (*both, streamed, *passes, *jobs)],
        *[("cores", what) for what in (*both, *passes, *jobs)],
        ("auto: cpu", f"{whole}: ours"),
    ]
    assert all(float(line[2].removesuffix("|").split()[0]) >= 0 for line in lines)
    assert "starting a GPU and copying the rows to it" in lines[-1][-1]
