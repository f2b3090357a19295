"""Every job file in jobs/ opens with the schema's modeline and names data that lies beside it."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml

JOBS = sorted((Path(__file__).parents[2] / "jobs").glob("*.yaml"))
MODELINE = "# yaml-language-server: $schema=../linreg_dist/jobspec/job.schema.json"


def test_there_are_jobs() -> None:
    assert {job.stem for job in JOBS} >= {
        "flights",
        "flights_adam",
        "flights_ridge",
        "flights_sgd",
        "flights_workers",
    }


@pytest.mark.parametrize("job", JOBS, ids=lambda job: job.stem)
def test_a_job_opens_with_the_modeline_and_is_named_after_its_file(job: Path) -> None:
    text = job.read_text()
    assert text.splitlines()[0] == MODELINE
    assert yaml.safe_load(text)["name"] == job.stem


@pytest.mark.parametrize("job", JOBS, ids=lambda job: job.stem)
def test_a_job_uses_columns_that_exist_and_none_that_is_known_only_after_landing(job: Path) -> None:
    data = yaml.safe_load(job.read_text())["data"]
    columns = set(pq.read_table(job.parent / data["path"]).column_names)
    assert {data["target"], *data["features"]} <= columns
    assert not {"arr_time", "air_time", data["target"]} & set(data["features"])
    assert set(data["categorical"]) <= set(data["features"])
