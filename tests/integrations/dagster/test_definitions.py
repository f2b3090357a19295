"""Assets and components as Dagster loads them, with nothing run yet; what checks and metadata say."""

from __future__ import annotations

import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import dagster as dg
import pytest
import yaml

from linreg_dist.documents import ResultDocument
from linreg_dist.errors import ClusterError, DataError, SpecError
from linreg_dist.integrations.dagster import LinregComponent, linreg_asset
from linreg_dist.integrations.dagster import checks as of_checks
from linreg_dist.integrations.dagster.metadata import coefficient_table, column_means, metadata_of
from linreg_dist.integrations.dagster.running import failure
from linreg_dist.integrations.dagster.settings import Settings
from linreg_dist.integrations.outcome import end_with

SPEC = {"name": "job", "data": {"path": "rows", "target": "y"}}
KEY = dg.AssetKey("job")


def result(**more: Any) -> ResultDocument:
    document = {
        "status": "succeeded",
        "name": "job",
        "rows": {"train": 80, "validation": 20, "dropped": {"missing": 5}},
        "data": {"digest": "abc", "files": 3, "rows": 105},
        "metrics": {"train": {"mse": 1.0, "rmse": 1.0, "r2": 0.9}, "validation": None},
        "timing": {"total_s": 2.5, "rows_per_s": 1000.0},
        "solver": {"name": "exact", "reason": "auto"},
        **more,
    }
    return ResultDocument.from_json(document)


def outcomes(found: ResultDocument, means: dict[str, list[float]], last: dict[str, Any]) -> dict[str, bool]:
    told = of_checks.results(KEY, found, means, last, Settings(SPEC))
    return {str(each.check_name): each.passed for each in told}


def test_an_asset_is_called_after_its_job_and_has_its_checks() -> None:
    asset = linreg_asset(SPEC, group_name="models", deps=["rows"])
    assert asset.keys == {KEY}
    assert {key.name for key in asset.check_keys} == set(of_checks.DESCRIPTIONS)
    assert asset.specs_by_key[KEY].group_name == "models"
    assert linreg_asset(SPEC, key=["models", "mine"]).key == dg.AssetKey(["models", "mine"])
    dg.Definitions.validate_loadable(dg.Definitions(assets=[asset]))


def test_the_lines_of_the_page_load(tmp_path: Path) -> None:
    page = (Path(__file__).parents[3] / "docs/dagster.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)
    (component,) = re.findall(r"```yaml\n(.*?)```", page, flags=re.DOTALL)
    names: dict[str, Any] = {}
    exec(compile(code, "defs.py", "exec"), names)  # noqa: S102 (our own page)
    dg.Definitions.validate_loadable(names["defs"])
    assert names["monthly"].name == "monthly_schedule"

    (tmp_path / "job.yaml").write_text("data: {path: rows, target: y}\n")
    attributes = yaml.safe_load(component)["attributes"]
    built = LinregComponent.from_attributes_dict(attributes=attributes).build_defs(_at(tmp_path))
    dg.Definitions.validate_loadable(built)


def test_a_wrong_spec_is_told_when_the_code_is_loaded(tmp_path: Path) -> None:
    file = tmp_path / "job.yaml"
    file.write_text("name: job\ndata: {path: rows, tarrget: y}\n")
    with pytest.raises(SpecError, match=r"job\.yaml:2:.*did you mean"):
        linreg_asset(file)


@pytest.mark.parametrize(
    ("path", "partitions"),
    [
        ("month={start.month}", dg.StaticPartitionsDefinition(["1"])),
        ("month=1", dg.StaticPartitionsDefinition(["1"])),
        ("{", dg.StaticPartitionsDefinition(["1"])),
        ("{0}", dg.DailyPartitionsDefinition("2013-01-01")),
    ],
)
def test_a_path_that_names_no_partition_is_refused(path: str, partitions: dg.PartitionsDefinition) -> None:
    with pytest.raises(SpecError, match="partition_path"):
        linreg_asset(SPEC, partitions_def=partitions, partition_path=path)


@pytest.mark.parametrize(
    ("partitions", "path", "partition", "key"),
    [
        (dg.StaticPartitionsDefinition(["3"]), "month={partition_key}", "3", "month=3"),
        (
            dg.DailyPartitionsDefinition("2013-01-01"),
            "{start:%Y/%m/%d}/*.parquet",
            "2013-02-03",
            "2013/02/03/*.parquet",
        ),
        (dg.MonthlyPartitionsDefinition("2013-01-01"), "month={start.month}", "2013-02-01", "month=2"),
    ],
)
def test_a_partition_has_its_own_files(
    partitions: dg.PartitionsDefinition, path: str, partition: str, key: str
) -> None:
    settings = Settings(SPEC, partition_path=path)
    settings.check_partition_path(partitions)
    assert settings._key(partitions, partition) == key


def test_a_partition_of_several_dimensions_has_their_names() -> None:
    both = {"day": dg.StaticPartitionsDefinition(["1"]), "origin": dg.StaticPartitionsDefinition(["JFK"])}
    partitions = dg.MultiPartitionsDefinition(both)
    settings = Settings(SPEC, partition_path="origin={origin}/day={day}")
    settings.check_partition_path(partitions)
    key = dg.MultiPartitionKey({"day": "1", "origin": "JFK"})
    assert settings._key(partitions, key) == "origin=JFK/day=1"


def test_a_component_is_the_asset_of_its_yaml(tmp_path: Path) -> None:
    (tmp_path / "job.yaml").write_text("data: {path: rows, target: y}\n")
    attributes = {
        "spec": "job.yaml",
        "asset": {
            "key": "models/flights",
            "group_name": "nightly",
            "partitions_def": {"type": "daily", "start_date": "2013-01-01"},
        },
        "partition_path": "day={partition_key}",
        "overrides": {"model.l2": 0.1},
        "max_retries": 5,
    }
    component = LinregComponent.from_attributes_dict(attributes=attributes)
    built = component.build_defs(_at(tmp_path))
    (asset,) = built.assets or ()
    assert isinstance(asset, dg.AssetsDefinition)
    assert asset.key == dg.AssetKey(["models", "flights"])
    assert asset.partitions_def == dg.DailyPartitionsDefinition("2013-01-01")
    assert asset.op.retry_policy is not None
    assert asset.op.retry_policy.max_retries == 5


def test_the_spec_may_stand_in_the_component_itself(tmp_path: Path) -> None:
    inline = {**SPEC, "data": {**SPEC["data"], "path": ["rows", "s3://bucket/rows", "${ROWS:-rows}"]}}  # type: ignore[dict-item]
    component = LinregComponent.from_attributes_dict(attributes={"spec": inline, "asset": {"key": "x"}})
    built = component.build_defs(_at(tmp_path))
    assert len(list(built.assets or ())) == 1
    from linreg_dist.integrations.dagster.component import _beside

    beside = _beside(inline, tmp_path)
    assert beside["data"]["path"] == [f"{tmp_path}/rows", "s3://bucket/rows", "${ROWS:-rows}"]  # type: ignore[index]


def _at(path: Path) -> dg.ComponentLoadContext:
    """Return the part of a component's context that we use."""
    return cast(dg.ComponentLoadContext, SimpleNamespace(path=path))


def test_what_may_not_be_retried_is_not() -> None:
    refused = failure(end_with(DataError("rows/a.parquet: no column y\n  expected one")))
    assert (refused.allow_retries, refused.description) == (False, "rows/a.parquet: no column y expected one")
    lost = failure(end_with(ClusterError("the Ray cluster was lost")), "http://head:8265/#/jobs/job-1")
    assert lost.allow_retries is True
    assert lost.metadata["exit_code"].value == 4
    assert lost.metadata["job"].value == "http://head:8265/#/jobs/job-1"


def test_the_first_run_passes_all_checks() -> None:
    assert all(outcomes(result(), {"x": [1.0, 2.0]}, {}).values())


@pytest.mark.parametrize(
    ("last", "fails"),
    [
        ({"r2": 0.905}, None),
        ({"r2": 0.95}, of_checks.R2),
        ({"column_means": {"x": [1.4, 2.0]}}, None),
        ({"column_means": {"x": [1.6, 2.0]}}, of_checks.MEAN),
        ({"column_means": {"x": [1.0, 0.0], "gone": [5.0, 1.0]}}, None),
        ({"column_means": {"x": [2.0, 0.0]}}, of_checks.MEAN),
    ],
)
def test_a_check_fails_where_a_model_is_worse_or_a_column_has_drifted(
    last: dict[str, Any], fails: str | None
) -> None:
    found = outcomes(result(), {"x": [1.0, 2.0]}, last)
    assert [name for name, passed in found.items() if not passed] == ([] if fails is None else [fails])


def test_a_row_that_is_not_accounted_for_is_an_error() -> None:
    lost = result(data={"digest": "abc", "rows": 106})
    told = {each.check_name: each for each in of_checks.results(KEY, lost, {}, {}, Settings(SPEC))}
    rows = told[of_checks.ROWS]
    assert not rows.passed
    assert rows.severity is dg.AssetCheckSeverity.ERROR
    assert str(rows.description).startswith(
        "106 rows in the files ≠ 80 trained on + 20 held out + 5 left out"
    )


def test_names_of_the_data_stay_in_their_cells() -> None:
    name = "a|b\n<script>alert(1)</script> [x](http://y) `c`"
    shown = {"target": "y", "intercept": 1.0, "coefficients": [{"feature": name, "coef": 2.0, "p": None}]}
    table = coefficient_table(shown)
    assert len(table.splitlines()) == 4
    assert "<script>" not in table
    assert "\\|b" in table
    assert "\\[x\\]\\(http" in table
    many = {"coefficients": [{"feature": f"x{j}", "coef": 0.0} for j in range(103)], "intercept": None}
    assert "and 3 more" in coefficient_table(many)
    assert "**z**" in coefficient_table({"targets": [shown, {**shown, "target": "z"}]})


def test_metadata_has_figures_places_and_the_job() -> None:
    found = metadata_of(
        result(
            report="/runs/job/report.html",
            model="s3://bucket/job/model",
            update={"from": "/runs/job", "files": 1, "rows": 7},
        ),
        {"coefficients": [], "intercept": 1.0},
        {"x": [1.0, 2.0]},
        "http://head:8265/#/jobs/job-1",
    )
    assert (found["r2"].value, found["rows"].value, found["rows_dropped"].value) == (0.9, 80, 5)
    assert isinstance(found["report"], dg.PathMetadataValue)
    assert isinstance(found["model"], dg.UrlMetadataValue)
    assert found["added"] == "1 files, 7 rows"
    assert found["column_means"].value == {"x": [1.0, 2.0]}
    assert found["job"].value.endswith("job-1")


def test_a_model_that_cannot_be_read_from_here_has_no_means(tmp_path: Path) -> None:
    assert column_means(result(model=str(tmp_path / "nothing"))) == {}
    (tmp_path / "config.json").write_text(
        json.dumps({"feature_names": ["x"], "scaling": {"x_mean": [1, 2], "x_std": [1, 2]}})
    )
    assert column_means(result(model=str(tmp_path))) == {}
