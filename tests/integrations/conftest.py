"""Tests of real orchestrators run in an environment of their own: `make test-integrations`."""

from __future__ import annotations

from importlib.util import find_spec

collect_ignore = [name for name in ("dagster", "airflow", "dvc", "prefect") if find_spec(name) is None]
