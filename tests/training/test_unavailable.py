"""What a spec can ask for and this version cannot do is refused by name, not left out in silence."""

from __future__ import annotations

import pytest

from linreg_dist.errors import SpecError
from linreg_dist.verbs.validate import check_data
from tests.parquet import linear_columns, write_parquet


@pytest.mark.parametrize(
    ("section", "field"),
    [
        ({"tracking": {"tensorboard": True}}, r"tracking\.tensorboard"),
        ({"tracking": {"mlflow": {"uri": "sqlite:///m.db"}}}, r"tracking\.mlflow"),
        ({"matrix": {"model.l2": [0.0, 0.1]}}, "linreg-dist batch"),
    ],
)
def test_it_is_refused(tmp_path, train_here, section, field):
    path = write_parquet(tmp_path / "a.parquet", linear_columns(50, 2))
    with pytest.raises(SpecError, match=field):
        train_here(path, **section)
    assert not (tmp_path / "runs").exists()


def test_the_check_without_training_refuses_it_too(tmp_path):
    from linreg_dist.jobspec import load_spec

    path = write_parquet(tmp_path / "a.parquet", linear_columns(50, 2))
    spec = load_spec({"data": {"path": str(path), "target": "y"}, "tracking": {"tensorboard": True}})
    with pytest.raises(SpecError, match="not available"):
        check_data(spec)
