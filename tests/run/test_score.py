"""`predict` writes a row for each row that it reads."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import linreg_dist as lr
import linreg_dist.verbs.score
from linreg_dist.verbs.score import predict
from tests.run.conftest import write_parts


@pytest.mark.parametrize("keep", [[], ["y"], ["x0", "y"]])
def test_predictions_stand_beside_the_columns_that_are_kept_if_any(
    tmp_path: Path, train_here: Callable[..., lr.Run], keep: list[str]
) -> None:
    rows = write_parts(tmp_path / "data", [700, 0, 40])
    run = train_here(tmp_path / "data")
    result = predict(run.path, [str(tmp_path / "data")], tmp_path / "scored", keep)
    scored = pq.read_table(tmp_path / "scored")
    assert scored.column_names == [*keep, "prediction"]
    assert result.rows == scored.num_rows == 740
    expected = rows["x"] @ run.model.coef_.ravel() + run.model.intercept_
    np.testing.assert_allclose(scored["prediction"].to_numpy(), expected, rtol=1e-5, atol=1e-5)
    if "y" in keep:
        np.testing.assert_array_equal(scored["y"].to_numpy(), rows["y"])


def test_kept_texts_are_written_in_parts_that_fit_and_row_for_row(
    tmp_path: Path, train_here: Callable[..., lr.Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_parts(tmp_path / "data", [100])
    run = train_here(tmp_path / "data")
    rows = pq.read_table(tmp_path / "data")
    texts = [None if i % 7 == 0 else chr(97 + i % 5) * (1 + i % 50) for i in range(100)]
    kinds = {"s": pa.string(), "l": pa.large_string(), "d": pa.dictionary(pa.int32(), pa.string())}
    for name, kind in kinds.items():
        rows = rows.append_column(name, pa.array(texts, kind))
    pq.write_table(rows, tmp_path / "texts.parquet")
    monkeypatch.setattr(linreg_dist.verbs.score, "_MOST_TEXT_BYTES", 200)
    predict(run.path, str(tmp_path / "texts.parquet"), tmp_path / "scored", ["s", "y", "l", "d"])
    scored = pq.read_table(tmp_path / "scored")
    assert [scored[name].to_pylist() for name in kinds] == [texts] * 3
    assert scored["y"].to_pylist() == rows["y"].to_pylist()
    assert scored["prediction"].to_pylist() == pytest.approx(run.model.predict(rows).tolist())
    assert pq.read_metadata(tmp_path / "scored" / "texts.parquet").num_row_groups > 10
