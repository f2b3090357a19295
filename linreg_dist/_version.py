"""The version, read by the package, its metadata and every run it records."""

__version__ = "0.2.0.dev0"
