"""`predict` writes a row for each row that it reads."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import linreg_dist as lr
import linreg_dist.verbs.scoring.files
from linreg_dist.run.unfinished import unfinished
from linreg_dist.verbs.score import predict
from tests.parts import write_parts


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
    monkeypatch.setattr(linreg_dist.verbs.scoring.files, "_MOST_TEXT_BYTES", 200)
    predict(run.path, str(tmp_path / "texts.parquet"), tmp_path / "scored", ["s", "y", "l", "d"])
    scored = pq.read_table(tmp_path / "scored")
    assert [scored[name].to_pylist() for name in kinds] == [texts] * 3
    assert scored["y"].to_pylist() == rows["y"].to_pylist()
    assert scored["prediction"].to_pylist() == pytest.approx(run.model.predict(rows).tolist())
    assert pq.read_metadata(tmp_path / "scored" / "texts.parquet").num_row_groups > 10


class TestStoppedHalfWay:
    """The same command goes on where predictions were stopped; anything else is refused as before."""

    @pytest.fixture
    def run(self, tmp_path: Path, train_here: Callable[..., lr.Run]) -> lr.Run:
        write_parts(tmp_path / "data", [300, 200, 100])
        return train_here(tmp_path / "data")

    @pytest.fixture
    def stopped(self, tmp_path: Path, run: lr.Run) -> Callable[..., Path]:
        """Return what scores the rows and is interrupted after the first file."""
        finish = linreg_dist.verbs.scoring.files.FileWriter._finish

        def score(**options: bool) -> Path:
            calls = iter(range(100))

            def interrupted(writer: linreg_dist.verbs.scoring.files.FileWriter) -> None:
                if next(calls) > 1:  # the first call has nothing to finish
                    raise KeyboardInterrupt
                finish(writer)

            out = tmp_path / "scored"
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(linreg_dist.verbs.scoring.files.FileWriter, "_finish", interrupted)
                with pytest.raises(KeyboardInterrupt):
                    predict(run.path, str(tmp_path / "data"), out, **options)
            assert not [name for name in names(out) if name.endswith(".tmp")]
            return out

        return score

    def test_finished_files_are_kept_and_the_others_written(
        self, tmp_path: Path, run: lr.Run, stopped: Callable[..., Path]
    ) -> None:
        expected = predict(run.path, str(tmp_path / "data"), tmp_path / "whole")
        out = stopped()
        (first,) = out.glob("*.parquet")
        before = first.stat()
        result = predict(run.path, str(tmp_path / "data"), out)
        after = first.stat()
        assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)
        assert (result.rows, result.files) == (expected.rows, expected.files)
        assert names(out) == names(tmp_path / "whole")  # no marker any more
        assert pq.read_table(out).equals(pq.read_table(tmp_path / "whole"))
        with pytest.raises(lr.errors.SpecError, match="exists already"):  # as any finished folder
            predict(run.path, str(tmp_path / "data"), out)

    def test_another_model_other_data_or_other_columns_are_refused(
        self, tmp_path: Path, run: lr.Run, stopped: Callable[..., Path]
    ) -> None:
        out = stopped()
        with pytest.raises(lr.errors.SpecError, match="exists already"):
            predict(run.path, str(tmp_path / "data"), out, ["y"])
        model = replace(run.model, intercept_K=run.model.intercept_K + 1)
        with pytest.raises(lr.errors.SpecError, match="exists already"):
            predict(model, str(tmp_path / "data"), out)
        write_parts(tmp_path / "data", [300, 200, 101])
        with pytest.raises(lr.errors.SpecError, match="exists already"):
            predict(run.path, str(tmp_path / "data"), out)

    def test_files_that_were_to_be_overwritten_are_not_taken_for_finished(
        self, tmp_path: Path, run: lr.Run, stopped: Callable[..., Path]
    ) -> None:
        old = replace(run.model, intercept_K=run.model.intercept_K + 1)
        predict(old, str(tmp_path / "data"), tmp_path / "scored")
        out = stopped(overwrite=True)
        predict(run.path, str(tmp_path / "data"), out, overwrite=True)
        predict(run.path, str(tmp_path / "data"), tmp_path / "whole")
        assert pq.read_table(out).equals(pq.read_table(tmp_path / "whole"))

    def test_what_is_no_file_of_predictions_is_not_replaced(
        self, tmp_path: Path, run: lr.Run, stopped: Callable[..., Path]
    ) -> None:
        out = stopped()
        next(out.glob("*.parquet")).write_bytes(b"somebody's")
        with pytest.raises(lr.errors.SpecError, match="is not a file of predictions"):
            predict(run.path, str(tmp_path / "data"), out)

    def test_two_at_a_time_do_not_write_the_same_folder(
        self, tmp_path: Path, train_here: Callable[..., lr.Run]
    ) -> None:
        write_parts(tmp_path / "data", [30])
        run = train_here(tmp_path / "data")
        with (
            unfinished(tmp_path / "scored", "another", {}),
            pytest.raises(lr.errors.RunInUseError, match="another predict"),
        ):
            predict(run.path, str(tmp_path / "data"), tmp_path / "scored")

    def test_what_fails_before_it_has_written_anything_leaves_nothing(
        self, tmp_path: Path, train_here: Callable[..., lr.Run]
    ) -> None:
        write_parts(tmp_path / "data", [300])
        run = train_here(tmp_path / "data")
        rows = pq.read_table(tmp_path / "data")
        rows = rows.set_column(rows.column_names.index("x0"), "x0", pa.nulls(300, pa.float64()))
        pq.write_table(rows, tmp_path / "nulls.parquet")
        with pytest.raises(lr.errors.DataError):
            predict(run.path, str(tmp_path / "nulls.parquet"), tmp_path / "scored")
        assert not (tmp_path / "scored").exists()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []
