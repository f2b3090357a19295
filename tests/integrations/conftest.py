"""Tests of real orchestrators run in an environment of their own: `make test-integrations`."""

from __future__ import annotations

from importlib.util import find_spec

ORCHESTRATORS = ("dagster", "airflow", "dvc", "prefect", "snakemake")
collect_ignore = [name for name in ORCHESTRATORS if find_spec(name) is None]
