"""From Parquet files to column-major blocks."""
