"""`predict` writes a row for each row that it reads."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

import linreg_dist as lr
from linreg_dist.run import predict
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
    assert result["rows"] == scored.num_rows == 740
    expected = rows["x"] @ run.model.coef_.ravel() + run.model.intercept_
    np.testing.assert_allclose(scored["prediction"].to_numpy(), expected, rtol=1e-5, atol=1e-5)
    if "y" in keep:
        np.testing.assert_array_equal(scored["y"].to_numpy(), rows["y"])
