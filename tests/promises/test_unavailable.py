"""What a spec can ask for and this program cannot do is refused by name, not left out in silence."""

from __future__ import annotations

import pytest

from linreg_dist.errors import SpecError
from tests.parquet import linear_columns, write_parquet


def test_a_matrix_is_refused_by_train(tmp_path, train_here):
    path = write_parquet(tmp_path / "a.parquet", linear_columns(50, 2))
    with pytest.raises(SpecError, match="linreg-dist batch"):
        train_here(path, matrix={"model.l2": [0.0, 0.1]})
    assert not (tmp_path / "runs").exists()
