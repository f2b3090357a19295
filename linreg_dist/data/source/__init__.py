"""The files behind a data path: listing, footers, and the manifest of row groups."""
