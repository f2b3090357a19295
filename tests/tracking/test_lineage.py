"""The names of data sets, and which columns made which coefficients."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from linreg_dist.documents import ResultDocument
from linreg_dist.jobspec import JobSpec, load_spec
from linreg_dist.tracking.lineage import Place, SourceColumn, lineage_of, place_of, run_id


def spec(**data: Any) -> JobSpec:
    return load_spec(
        {"name": "flights", "data": {"path": "/data/flights", "target": "delay", **data}}, environ={}
    )


def result(**more: Any) -> ResultDocument:
    document = {
        "status": "succeeded",
        "name": "flights",
        "model": "/runs/flights/model",
        "rows": {"train": 80, "validation": 20, "dropped": {"missing": 3}},
        "data": {"digest": "abc", "files": 2, "bytes_read": 1000},
    }
    return ResultDocument.from_json({**document, **more})


COLUMNS = [
    SourceColumn("distance", "numeric", ("distance",)),
    SourceColumn("carrier", "categorical", ("carrier=AA", "carrier=UA")),
    SourceColumn("constant", "categorical", ()),
]


@pytest.mark.parametrize(
    ("path", "namespace", "name"),
    [
        ("/data/flights/", "file", "/data/flights"),
        ("file:///data/x.parquet", "file", "/data/x.parquet"),
        ("s3://bucket/some/key", "s3://bucket", "some/key"),
        ("s3a://bucket", "s3://bucket", "/"),
        ("gcs://bucket/key", "gs://bucket", "key"),
        ("abfs://box@account.dfs.core.windows.net/a/b", "abfss://box@account.dfs.core.windows.net", "/a/b"),
        ("hdfs://name:9000/a", "hdfs://name:9000", "/a"),
    ],
)
def test_a_path_is_named_as_openlineage_names_data_sets(path: str, namespace: str, name: str) -> None:
    assert place_of(path) == Place(namespace, name)


def test_a_key_in_a_uri_goes_nowhere() -> None:
    found = place_of("s3://AKIAKEY:hunter2@bucket/key?secret_key=hunter2")
    assert "hunter2" not in found.namespace + found.name


def test_one_attempt_has_one_id_and_another_attempt_another() -> None:
    first = run_id("/runs/flights", "2026-11-27T00:00:00+00:00")
    assert first == run_id("/runs/flights", "2026-11-27T00:00:00+00:00")
    assert first != run_id("/runs/flights", "2026-11-28T00:00:00+00:00")
    assert uuid.UUID(first).version == 5


def test_a_coefficient_comes_from_its_column_and_the_target_and_the_intercept_from_all() -> None:
    found = lineage_of(spec(), "id", result(), COLUMNS).coefficients()
    assert found == {
        "distance": ("distance", "delay"),
        "carrier=AA": ("carrier", "delay"),
        "carrier=UA": ("carrier", "delay"),
        "(intercept)": ("distance", "carrier", "delay"),
    }


def test_of_several_targets_each_has_coefficients_of_its_own() -> None:
    found = lineage_of(spec(target=["a", "b"]), "id", result(), COLUMNS[:1]).coefficients()
    assert found["a/distance"] == ("distance", "a")
    assert found["b/(intercept)"] == ("distance", "b")


def test_columns_that_choose_and_weigh_rows_are_told_apart() -> None:
    found = lineage_of(
        spec(
            filter=[[["month", "==", 1]], [["year", ">", 2012]]],
            weight="count",
            validation={"method": "column", "column": "held_out"},
        ),
        "id",
    )
    assert found.used_for_rows == {
        "month": "FILTER",
        "year": "FILTER",
        "held_out": "FILTER",
        "count": "CONDITIONAL",
    }


def test_files_have_their_fingerprint_and_tables_their_snapshot_as_version() -> None:
    both = spec(path=["/data/a", "/data/b"], validation={"method": "path", "path": "/data/v"})
    tables = [
        {"format": "delta", "path": "/data/b", "version": 7},
        {"format": "delta", "path": "/data/v", "version": 3, "role": "validation"},
    ]
    found = lineage_of(both, "id", result(data={"digest": "abc", "tables": tables}))
    assert [(each.place.name, each.version, each.role) for each in found.inputs] == [
        ("/data/a", "abc", "train"),
        ("/data/b", "7", "train"),
        ("/data/v", "3", "validation"),
    ]
    assert lineage_of(both, "id").inputs[0].version is None, "nothing is read yet"


@pytest.mark.parametrize(
    ("status", "state", "has_model"),
    [("succeeded", "COMPLETE", True), ("failed", "FAIL", False), ("interrupted", "ABORT", False)],
)
def test_the_end_of_a_run_is_an_event_of_its_own_kind(status: str, state: str, has_model: bool) -> None:
    found = lineage_of(spec(), "id", result(status=status), COLUMNS)
    assert found.state == state
    assert (found.model == Place("file", "/runs/flights/model")) is has_model
    start = lineage_of(spec(features=["distance"]), "id")
    assert (start.state, start.model) == ("START", None)
    assert [column.name for column in start.columns] == ["distance"]
