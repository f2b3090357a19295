"""Delta and Iceberg tables on an object store."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import write_deltalake
from pyiceberg.catalog.sql import SqlCatalog

from linreg_dist.data.reader import RowGroupReader
from linreg_dist.data.source.manifest import read_manifest
from linreg_dist.errors import DataError
from tests.storage.conftest import BUCKET, Store, environment

_FIRST = pa.table({"x": [1.0, 2.0], "y": [3.0, 5.0]})
_SECOND = pa.table({"x": [7.0], "y": [15.0]})


def read_x(uri: str) -> list[float]:
    manifest = read_manifest([uri])
    read = RowGroupReader(manifest, ["x", "y"])
    return sorted(x for group in manifest.row_groups for x in read.read(group)["x"].to_pylist())


def test_a_delta_table_on_s3_is_read_by_its_log(store: Store, tmp_path: Path) -> None:
    write_deltalake(tmp_path / "t", _FIRST)
    write_deltalake(tmp_path / "t", _SECOND, mode="overwrite")
    uri = store.upload(tmp_path / "t", "t")
    assert read_x(uri) == [7.0]
    assert read_manifest([uri], version=0).num_rows == 2
    endpoint = store.proxy.url.removeprefix("http://")
    assert read_x(f"{uri}?scheme=http&endpoint_override={endpoint}") == [7.0]


def test_an_iceberg_table_on_s3_is_read_by_its_metadata(store: Store, tmp_path: Path) -> None:
    settings = environment(store.proxy)
    catalog = SqlCatalog(
        "c",
        uri=f"sqlite:///{tmp_path}/catalog.db",
        warehouse=f"s3://{BUCKET}/warehouse",
        **{"s3.endpoint": settings["AWS_ENDPOINT_URL"], "s3.region": "us-east-1"},
    )
    catalog.create_namespace("n")
    table = catalog.create_table("n.t", schema=_FIRST.schema)
    table.append(_FIRST)
    table.append(_SECOND)
    table.delete("x = 2.0")
    assert read_x(table.location()) == [1.0, 7.0]
    catalog.close()


def test_a_table_that_is_not_there_is_a_data_error(store: Store) -> None:
    with pytest.raises(DataError, match="no such table"):
        read_manifest([f"{store.uri}/nothing"], table_format="delta")
