"""Parquet files decoded into column-major blocks."""
