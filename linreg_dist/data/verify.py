"""Files that turn out to be damaged when they are read, found before a job begins that leaves them out."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from linreg_dist import limits
from linreg_dist.data.reader import RowGroupReader
from linreg_dist.data.source.manifest import Manifest, RowGroup
from linreg_dist.data.store import bounded_map
from linreg_dist.errors import DataError


def unreadable_files(manifest: Manifest, columns: Sequence[str]) -> dict[str, str]:
    """Decode every row group once and return the files that cannot be read, each with the reason."""
    reader = RowGroupReader(manifest, columns)
    threads = limits.available_cpus()

    def look(group: RowGroup) -> tuple[str, str] | None:
        if group.index in manifest.ruled_out:
            return None
        try:
            reader.read(group)
        except DataError as error:
            return manifest.files[group.file].uri, str(error)
        return None

    with ThreadPoolExecutor(threads, thread_name_prefix="verify") as pool:
        found = list(bounded_map(pool, look, manifest.row_groups, threads + 1))
    return dict(item for item in reversed(found) if item is not None)
