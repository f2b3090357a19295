"""Tables whose folder is not the table: Delta and Iceberg, resolved to the files of one snapshot.

Each format is one file here. It asks the format's own library which files, columns and deleted rows make up a
snapshot; the files are then read by our reader, as any other Parquet.
"""
