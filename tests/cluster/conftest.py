"""One head for all tests that need one, and a job to send to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cluster.heads import Head, running_head
from tests.parquet import linear_columns, write_parquet


@pytest.fixture(scope="session")
def head(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Head]:
    """A head without authentication, for the whole session."""
    folder = tmp_path_factory.mktemp("head")
    write_parquet(folder / "rows.parquet", linear_columns(num_rows=4000), row_group_size=500)
    with running_head(folder) as started:
        yield started


@pytest.fixture
def job_file(tmp_path: Path) -> Callable[[str], Path]:
    """Return a function that writes job.yaml beside a small data set; its argument is appended."""
    write_parquet(tmp_path / "rows.parquet", linear_columns())

    def write(more: str = "") -> Path:
        file = tmp_path / "job.yaml"
        file.write_text(
            f"name: job\ndata: {{path: rows.parquet, target: y}}\nrun: {{storage_path: {tmp_path}/runs}}\n"
            + more
        )
        return file

    return write
