"""What the estimator takes (frames, tables, text, missing values, Parquet), keeps and refuses."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from sklearn.linear_model import LinearRegression

import linreg_dist as lr
from linreg_dist.sklearn import DistributedLinearRegression
from linreg_dist.verbs.train import train
from tests.parquet import write_parquet

N = 300
_rng = np.random.default_rng(0)
FRAME = pd.DataFrame(
    {
        "income": _rng.normal(size=N) * 1000.0,
        "age": _rng.integers(18, 90, N),
        "member": _rng.random(N) < 0.5,
    },
    index=_rng.permutation(N),
)
CITY = np.array(["Ghent", "Aachen", "Ulm"])[np.arange(N) % 3]
y = FRAME["income"].to_numpy() / 500 + FRAME["age"].to_numpy() + 5.0 * (CITY == "Ulm") + _rng.normal(size=N)


WITH_POLARS = """
import numpy as np, polars
from linreg_dist.sklearn import DistributedLinearRegression
x = np.random.default_rng(0).normal(size=(90, 2))
frame = polars.DataFrame({"a": x[:, 0], "b": x[:, 1]})
for more in ({}, {"city": ["Ghent", "Aachen", "Ulm"] * 30}):
    frame = frame.with_columns(**{name: polars.Series(values) for name, values in more.items()})
    same = frame.to_pandas()
    y = x.sum(axis=1) + np.arange(90) % 3
    ours, theirs = (DistributedLinearRegression() for _ in range(2))
    ours.fit(frame, polars.Series(y))
    theirs.fit(same, y)
    np.testing.assert_allclose(ours.coef_, theirs.coef_, rtol=1e-9)
    np.testing.assert_allclose(ours.predict(frame), theirs.predict(same), rtol=1e-9)
assert len(ours.coef_) == 4
"""


@pytest.fixture(autouse=True)
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for what is temporary, to see that nothing stays; the current directory is another one."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    monkeypatch.chdir(tmp_path)
    return folder


def parquet(folder: Path, **columns: Any) -> Path:
    """Two files with the rows of `FRAME`, y and further columns."""
    table = pa.Table.from_pandas(FRAME.assign(y=y, **columns), preserve_index=False)
    write_parquet(folder / "a.parquet", table.slice(0, 200), row_group_size=64)
    write_parquet(folder / "b.parquet", table.slice(200))
    return folder


class TestRowsInMemory:
    def test_a_frame_is_a_matrix_with_names(self) -> None:
        ours = DistributedLinearRegression().fit(FRAME, pd.Series(y, index=FRAME.index))
        theirs = LinearRegression().fit(FRAME, y)
        np.testing.assert_allclose(ours.coef_, theirs.coef_, rtol=1e-9)
        np.testing.assert_allclose(ours.predict(FRAME), theirs.predict(FRAME), rtol=1e-9)
        assert list(ours.feature_names_in_) == list(ours.model_.feature_names_in_) == list(FRAME.columns)
        assert ours.n_features_in_ == 3

    def test_the_order_of_names_is_scikit_learns_rule(self) -> None:
        ours = DistributedLinearRegression().fit(FRAME, y)
        with pytest.raises(ValueError, match="in the same order as they were in fit"):
            ours.predict(FRAME[["age", "income", "member"]])
        with pytest.warns(UserWarning, match="does not have valid feature names"):
            ours.predict(FRAME.to_numpy(dtype=float))

    def test_an_arrow_table_and_columns_of_it(self) -> None:
        table = pa.Table.from_pandas(FRAME.assign(y=y), preserve_index=False)
        ours = DistributedLinearRegression().fit(table.select(list(FRAME.columns)), table["y"])
        np.testing.assert_allclose(ours.coef_, LinearRegression().fit(FRAME, y).coef_, rtol=1e-9)
        assert ours.coef_.shape == (3,)
        ours.predict(table.select(list(FRAME.columns)))

    @pytest.mark.slow
    def test_a_frame_of_polars(self) -> None:
        if importlib.util.find_spec("polars") is None:
            pytest.skip("polars is not installed")
        # In a process of its own: polars' handler of SIGINT stays, and lets a wait of the main thread go on.
        subprocess.run([sys.executable, "-c", WITH_POLARS], check=True)

    @pytest.mark.parametrize("columns", [["y", "y_", "sample_weight"], ["a b", "${HOME}", "x=1"], [0, 1, 2]])
    def test_columns_may_have_any_names(self, columns: list[Any]) -> None:
        frame = FRAME.set_axis(columns, axis=1)
        ours = DistributedLinearRegression().fit(frame, y, np.ones(N))
        np.testing.assert_allclose(ours.coef_, LinearRegression().fit(FRAME, y).coef_, rtol=1e-9)
        assert hasattr(ours, "feature_names_in_") == isinstance(columns[0], str)

    def test_a_name_that_the_spec_refuses_is_no_hindrance(self) -> None:
        frame = FRAME.set_axis(["a", "b", ""], axis=1)
        ours = DistributedLinearRegression().fit(frame, y)
        np.testing.assert_allclose(ours.predict(frame), LinearRegression().fit(FRAME, y).predict(FRAME))

    def test_double_precision_reaches_the_file_as_such(self, monkeypatch: pytest.MonkeyPatch) -> None:
        kinds = {}

        def spy(spec: dict[str, Any], *args: Any, **more: Any) -> lr.Run:
            import pyarrow.parquet as pq

            kinds.update({field.name: str(field.type) for field in pq.read_schema(spec["data"]["path"])})
            return train(spec, *args, **more)

        monkeypatch.setattr("linreg_dist.sklearn.estimator.train", spy)
        DistributedLinearRegression().fit(np.eye(3), np.arange(3, dtype=np.float32))
        assert kinds == {"x0": "double", "x1": "double", "x2": "double", "y": "float"}

    def test_what_is_temporary_is_gone_also_after_an_error(self, scratch: Path, tmp_path: Path) -> None:
        fitted = DistributedLinearRegression().fit(FRAME, y)
        with pytest.raises(lr.SpecError, match=r"model\.l2"):
            DistributedLinearRegression(l2=-1.0).fit(FRAME, y)
        assert list(scratch.iterdir()) == []
        assert list(tmp_path.iterdir()) == [scratch]
        assert not fitted.run_.path.exists()
        assert fitted.run_.metrics["train"]["r2"] == pytest.approx(fitted.score(FRAME, y))
        assert fitted.model_.cov_params().shape == (4, 4)

    def test_a_storage_path_keeps_the_run(self, scratch: Path, tmp_path: Path) -> None:
        fitted = DistributedLinearRegression(storage_path=tmp_path / "kept", name="people").fit(FRAME, y)
        assert fitted.run_.path == tmp_path / "kept" / "people"
        loaded = lr.LinearModel.load(fitted.run_.path)
        np.testing.assert_array_equal(loaded.coef_, fitted.coef_)
        assert list(scratch.iterdir()) == []


class TestText:
    def test_text_is_encoded_by_its_levels(self) -> None:
        frame = FRAME.assign(city=CITY)
        ours = DistributedLinearRegression().fit(frame, y)
        dummies = FRAME.assign(Ghent=CITY == "Ghent", Ulm=CITY == "Ulm").astype(float)
        theirs = LinearRegression().fit(dummies, y)
        np.testing.assert_allclose(ours.coef_, theirs.coef_, rtol=1e-9)
        np.testing.assert_allclose(ours.predict(frame), theirs.predict(dummies), rtol=1e-9)
        assert ours.n_features_in_ == 4
        assert list(ours.model_.feature_names_in_)[-2:] == ["city=Ghent", "city=Ulm"]

    @pytest.mark.parametrize("kind", ["category", "object", "string"])
    def test_pandas_types_of_text_are_one(self, kind: str) -> None:
        frame = FRAME.assign(city=pd.Series(CITY, index=FRAME.index).astype(kind))
        ours = DistributedLinearRegression().fit(frame, y, np.ones(N))
        plain = DistributedLinearRegression().fit(FRAME.assign(city=CITY), y)
        np.testing.assert_allclose(ours.coef_, plain.coef_, rtol=1e-9)
        np.testing.assert_allclose(ours.predict(frame), plain.predict(frame), rtol=1e-9)

    def test_overrides_choose_the_base_and_what_an_unseen_level_is(self) -> None:
        overrides = {"data.categorical": {"city": ["Ulm", "Aachen", "Ghent"]}, "data.unseen": "zero"}
        frame = FRAME.assign(city=CITY)
        ours = DistributedLinearRegression(overrides=overrides).fit(frame, y)
        assert list(ours.model_.feature_names_in_)[-2:] == ["city=Aachen", "city=Ghent"]
        np.testing.assert_allclose(
            ours.predict(frame.assign(city="Rome")), ours.predict(frame.assign(city="Ulm"))
        )

    def test_whole_numbers_are_levels_where_overrides_say_so(self) -> None:
        frame = FRAME.assign(decade=FRAME["age"] // 10)
        ours = DistributedLinearRegression(overrides={"data.categorical.decade": "auto"}).fit(frame, y)
        assert len(ours.coef_) == 3 + frame["decade"].nunique() - 1
        assert ours.predict(frame).shape == (N,)

    def test_an_unseen_level_is_an_error_by_default(self) -> None:
        ours = DistributedLinearRegression().fit(FRAME.assign(city=CITY), y)
        with pytest.raises(lr.DataError, match="Rome"):
            ours.predict(FRAME.assign(city="Rome"))

    def test_prediction_needs_the_names_then(self) -> None:
        ours = DistributedLinearRegression().fit(FRAME.assign(city=CITY), y)
        unnamed = FRAME.assign(city=CITY).to_numpy()
        with (
            pytest.warns(UserWarning, match="valid feature names"),
            pytest.raises(ValueError, match="expected a DataFrame"),
        ):
            ours.predict(unnamed)

    def test_a_column_that_is_neither_number_nor_text_is_refused(self) -> None:
        frame = FRAME.assign(city=CITY, day=pd.Timestamp("2013-01-01"))
        with pytest.raises(lr.DataError, match="'day' has type timestamp"):
            DistributedLinearRegression().fit(frame, y)


class TestMissing:
    def test_by_default_scikit_learn_refuses_them(self) -> None:
        holed = FRAME.astype(float).mask(_rng.random(FRAME.shape) < 0.05)
        with pytest.raises(ValueError, match="Input X contains NaN"):
            DistributedLinearRegression().fit(holed, y)

    def test_the_mean_of_training_takes_their_place(self) -> None:
        holed = FRAME.astype(float).mask(_rng.random(FRAME.shape) < 0.05)
        ours = DistributedLinearRegression(missing="mean").fit(holed, y)
        theirs = LinearRegression().fit(filled := holed.fillna(holed.mean()), y)
        np.testing.assert_allclose(ours.coef_, theirs.coef_, rtol=1e-9)
        np.testing.assert_allclose(ours.predict(holed), theirs.predict(filled), rtol=1e-9)

    def test_rows_with_them_are_dropped_and_predicted_as_nan(self) -> None:
        holed = FRAME.astype(float).mask(_rng.random(FRAME.shape) < 0.05)
        whole = holed.notna().all(axis=1).to_numpy()
        ours = DistributedLinearRegression(missing="drop").fit(holed, y)
        theirs = LinearRegression().fit(holed[whole], y[whole])
        np.testing.assert_allclose(ours.coef_, theirs.coef_, rtol=1e-9)
        np.testing.assert_array_equal(np.isnan(ours.predict(holed)), ~whole)
        assert ours.run_.result["rows"]["dropped"]["missing"] == np.count_nonzero(~whole)


class TestParquet:
    def test_the_same_numbers_as_from_memory(self, tmp_path: Path) -> None:
        weight = _rng.random(N)
        folder = parquet(tmp_path / "data", w=weight)
        ours = DistributedLinearRegression(l2=0.1).fit(folder, "y", sample_weight="w")
        memory = DistributedLinearRegression(l2=0.1).fit(FRAME, y, weight)
        np.testing.assert_allclose(ours.coef_, memory.coef_, rtol=1e-12)
        assert ours.intercept_ == pytest.approx(memory.intercept_, rel=1e-12)
        assert list(ours.feature_names_in_) == list(FRAME.columns)
        np.testing.assert_allclose(ours.predict(FRAME), memory.predict(FRAME), rtol=1e-12)

    def test_any_form_of_path(self, tmp_path: Path) -> None:
        folder = parquet(tmp_path / "data")
        forms: list[Any] = [
            str(folder),
            f"{folder}/*.parquet",
            [folder / "a.parquet", str(folder / "b.parquet")],
        ]
        fits = [DistributedLinearRegression().fit(form, "y").coef_ for form in forms]
        for coef in fits:
            np.testing.assert_allclose(coef, fits[0], rtol=1e-12)

    def test_a_list_of_targets_is_several_even_of_one(self, tmp_path: Path) -> None:
        folder = parquet(tmp_path / "data", z=-y)
        two = DistributedLinearRegression().fit(folder, ["y", "z"])
        assert two.coef_.shape == (2, 3)
        assert two.predict(FRAME).shape == (N, 2)
        one = DistributedLinearRegression(overrides={"data.exclude": ["z"]}).fit(folder, ["y"])
        assert one.coef_.shape == (1, 3)
        np.testing.assert_allclose(one.predict(FRAME)[:, 0], two.predict(FRAME)[:, 0], rtol=1e-9)

    def test_features_are_chosen_by_overrides(self, tmp_path: Path) -> None:
        folder = parquet(tmp_path / "data", city=CITY)
        ours = DistributedLinearRegression(overrides={"data.features": ["city", "age"]}).fit(folder, "y")
        assert list(ours.feature_names_in_) == ["city", "age"]
        assert ours.n_features_in_ == 2
        assert ours.coef_.shape == (3,)
        assert ours.predict(FRAME.assign(city=CITY)[["city", "age"]]).shape == (N,)

    def test_the_run_is_kept_in_runs_and_every_fit_has_its_own(self, tmp_path: Path) -> None:
        folder = parquet(tmp_path / "data")
        runs = [DistributedLinearRegression().fit(folder, "y").run_ for _ in range(2)]
        assert {run.path for run in runs} == set((tmp_path / "runs").iterdir())
        assert len({run.path for run in runs}) == 2
        assert not any(run.already_finished for run in runs)

    def test_fit_means_fit_under_a_name_too(self, tmp_path: Path) -> None:
        folder = parquet(tmp_path / "data")
        estimator = DistributedLinearRegression(name="people", storage_path=tmp_path / "mine")
        first = estimator.fit(folder, "y").run_
        again = estimator.fit(folder, "y").run_
        assert again.path == first.path == tmp_path / "mine" / "people"
        assert not again.already_finished
        other_spec = estimator.set_params(l2=1.0).fit(folder, "y")
        assert other_spec.model_.details.penalty.l2 == 1.0

    def test_every_row_trains_unless_overrides_hold_some_out(self, tmp_path: Path) -> None:
        folder = parquet(tmp_path / "data")
        assert DistributedLinearRegression().fit(folder, "y").run_.result["rows"]["train"] == N
        held_out = DistributedLinearRegression(overrides={"data.validation": {"method": "hash"}}).fit(
            folder, "y"
        )
        assert held_out.run_.metrics["validation"]["r2"] > 0.9

    def test_a_folder_of_that_name_that_is_no_run_is_not_deleted(self, tmp_path: Path) -> None:
        precious = tmp_path / "mine" / "people" / "thesis.txt"
        precious.parent.mkdir(parents=True)
        precious.touch()
        with pytest.raises(lr.SpecError, match="is not a run's folder"):
            DistributedLinearRegression(name="people", storage_path=tmp_path / "mine").fit(FRAME, y)
        assert precious.exists()


class TestRefusals:
    @pytest.mark.parametrize("weight", [-np.ones(N), np.ones(N - 1), np.full(N, np.nan), "w"])
    def test_weights_that_are_none(self, weight: Any) -> None:
        with pytest.raises(ValueError, match=r"(?i)weight|w"):
            DistributedLinearRegression().fit(FRAME, y, weight)

    @pytest.mark.parametrize("features", [FRAME, FRAME.assign(city=CITY)], ids=["numbers", "text"])
    def test_targets_that_are_none(self, features: Any) -> None:
        estimator = DistributedLinearRegression()
        with pytest.raises(ValueError, match="inconsistent numbers of samples"):
            estimator.fit(features, y[:-1])
        with pytest.raises(ValueError, match="contains NaN"):
            estimator.fit(features, np.full(N, np.nan))
        with pytest.raises(ValueError, match="requires y to be passed"):
            estimator.fit(features, None)

    @pytest.mark.parametrize(
        ("target", "weight"), [(y, None), ([], None), (["y", 1], None), ("y", np.ones(N))]
    )
    def test_a_path_goes_with_names_of_columns(self, tmp_path: Path, target: Any, weight: Any) -> None:
        with pytest.raises(TypeError, match="expected the name of"):
            DistributedLinearRegression().fit(parquet(tmp_path / "data"), target, weight)

    def test_what_the_data_lacks(self, tmp_path: Path) -> None:
        folder = parquet(tmp_path / "data", w=np.zeros(N))
        with pytest.raises(lr.DataError, match="no column 'z'"):
            DistributedLinearRegression().fit(folder, "z")
        with pytest.raises(lr.DataError, match="weights of all"):
            DistributedLinearRegression().fit(folder, "y", "w")
        with pytest.raises(lr.DataError):
            DistributedLinearRegression().fit(tmp_path / "nothing.parquet", "y")

    @pytest.mark.parametrize(
        "path", ["model.l2", "model", "name", "data.path", "data", "data.features", "run"]
    )
    def test_overrides_that_contradict_a_parameter_or_an_argument(self, path: str) -> None:
        with pytest.raises(lr.SpecError, match=f"overrides sets {path}"):
            DistributedLinearRegression(overrides={path: 1.0}).fit(FRAME, y)

    @pytest.mark.parametrize(
        ("parameters", "message"),
        [
            ({"solver": "magic"}, r"solver\.name"),
            ({"epochs": 0}, r"solver\.epochs"),
            ({"random_state": -1}, r"solver\.seed"),
            ({"loss": "huber", "solver": "exact"}, "no closed form"),
            ({"overrides": {"model.l3": 1}}, "unknown key"),
            ({"overrides": ["model.l1=1"]}, "expected a dict"),
            ({"overrides": {"solver.momentum": 0.9}, "solver": "exact"}, "momentum"),
        ],
    )
    def test_parameters_are_checked_when_they_are_used(
        self, parameters: dict[str, Any], message: str
    ) -> None:
        estimator = DistributedLinearRegression(**parameters)
        with pytest.raises(lr.SpecError, match=message):
            estimator.fit(FRAME, y)


@pytest.mark.parametrize(
    "column",
    [
        pd.date_range("2024-01-01", periods=3),
        pd.date_range("2024-01-01", periods=3, tz="UTC"),
        pd.to_timedelta([1, 2, 3], unit="s"),
        pd.Series([b"1", b"2", b"3"]),
        pd.Series(["1.5", "2", "3"]),
    ],
    ids=lambda column: str(column.dtype),
)
def test_times_bytes_and_text_are_no_numbers_to_predict_from(column):
    frame = pd.DataFrame({"x": np.arange(50.0)})
    fitted = DistributedLinearRegression().fit(frame, 2 * frame["x"])
    wrong = pd.DataFrame({"x": column})
    forms = [wrong, pa.Table.from_pandas(wrong, preserve_index=False)]
    if column.dtype.kind in "mM" and isinstance(column.dtype, np.dtype):
        forms.append(column.to_numpy()[:, None])
    for form in forms:
        with pytest.raises(lr.DataError, match=r"has type .*; expected"):
            fitted.predict(form)
        if not isinstance(column[0], str):
            with pytest.raises(lr.DataError, match=r"has type .*; expected"):
                DistributedLinearRegression().fit(form, [1.0, 2.0, 3.0])
