"""A damaged file ends in a model or in exit 3 by its name; with on_bad_file: skip it is left out by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import linreg_dist as lr
from tests.parquet import linear_columns, write_parquet


def cut(raw: bytes) -> bytes:
    return raw[: len(raw) // 2]


def no_magic(raw: bytes) -> bytes:
    return raw[:-4] + b"NOPE"


def zeros_in_a_page(raw: bytes) -> bytes:
    return raw[:200] + bytes(600) + raw[800:]


def text(raw: bytes) -> bytes:
    return b"x0,x1,x2,y\n1,2,3,4\n" * 20


def empty(raw: bytes) -> bytes:
    return b""


def only_magic(raw: bytes) -> bytes:
    return b"PAR1PAR1"


def huge_footer(raw: bytes) -> bytes:
    return raw[:-8] + (2**31 - 1).to_bytes(4, "little") + b"PAR1"


def zero_footer(raw: bytes) -> bytes:
    return raw[:-8] + bytes(4) + b"PAR1"


SPOILERS = [cut, no_magic, zeros_in_a_page, text, empty, only_magic, huge_footer, zero_footer]


@pytest.fixture
def spec(tmp_path: Path) -> dict[str, Any]:
    for number in range(3):
        columns = pa.table(linear_columns(seed=number))
        (tmp_path / "d").mkdir(exist_ok=True)
        path = tmp_path / "d" / f"{number}.parquet"
        pq.write_table(columns, path, row_group_size=100, use_dictionary=False, write_page_checksum=True)
    data = {"path": str(tmp_path / "d"), "target": "y", "validation": {"method": "none"}}
    return {
        "name": "job",
        "data": data,
        "run": {"storage_path": str(tmp_path / "runs")},
        "outputs": {"report": False},
    }


@pytest.mark.parametrize("spoil", SPOILERS, ids=lambda spoil: spoil.__name__)
def test_a_damaged_file_is_exit_3_by_name_or_left_out_by_name(spec: dict[str, Any], spoil: Any) -> None:
    bad = Path(spec["data"]["path"]) / "1.parquet"
    bad.write_bytes(spoil(bad.read_bytes()))
    with pytest.raises(lr.DataError) as caught:
        lr.train(spec)
    assert "1.parquet" in str(caught.value)
    skipping = {**spec, "data": {**spec["data"], "on_bad_file": "skip"}}
    run = lr.train(skipping)
    assert run.result["rows"]["train"] == 800
    (skipped,) = run.result["data"]["skipped_files"]
    assert skipped["path"] == str(bad)
    assert skipped["reason"]
    assert lr.train(skipping).already_finished, "and it stays left out"


def test_a_bit_that_flips_ends_in_a_model_or_in_one_message(spec: dict[str, Any]) -> None:
    bad = Path(spec["data"]["path"]) / "1.parquet"
    whole, rng = bad.read_bytes(), np.random.default_rng(0)
    messages, models = [], 0
    for _ in range(60):
        raw = bytearray(whole)
        raw[rng.integers(len(raw))] ^= 1 << int(rng.integers(8))
        bad.write_bytes(raw)
        try:
            lr.train(spec, fresh=True)
            models += 1
        except lr.DataError as error:
            messages.append(str(error))
    assert len(messages) + models == 60
    assert messages
    assert all("1.parquet" in message for message in messages)


def test_nothing_that_can_be_read_is_an_error_whatever_is_asked(spec: dict[str, Any]) -> None:
    for path in Path(spec["data"]["path"]).iterdir():
        path.write_bytes(b"")
    with pytest.raises(lr.DataError):
        lr.train({**spec, "data": {**spec["data"], "on_bad_file": "skip"}})


def test_a_file_that_vanishes_or_changes_after_the_plan_is_named(
    spec: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from linreg_dist.verbs import train as module

    real = module.read_data
    path = Path(spec["data"]["path"]) / "2.parquet"
    for change in (path.unlink, lambda: write_parquet(path, linear_columns(num_rows=50))):

        def read(checked: Any, change: Any = change) -> Any:
            found = real(checked)
            change()
            return found

        monkeypatch.setattr(module, "read_data", read)
        with pytest.raises(lr.DataError, match=r"2\.parquet"):
            lr.train(spec, fresh=True)
        monkeypatch.setattr(module, "read_data", real)
        write_parquet(path, linear_columns(seed=2))
