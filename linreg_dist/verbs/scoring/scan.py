"""Row groups of data to score, read and computed on all cores, in file order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from linreg_dist import limits
from linreg_dist.data.capacity import at_once, decoded_nbytes, require_room
from linreg_dist.data.reader import RowGroupReader
from linreg_dist.data.source.manifest import Manifest, RowGroup
from linreg_dist.data.source.slices import slices_of
from linreg_dist.data.store import bounded_map
from linreg_dist.model.linear_model import LinearModel

_SMALLER_GROUPS = (
    "write the data with smaller row groups (row_group_size=1_000_000 in pyarrow), or use a machine with more"
)


def there_of(manifest: Manifest, model: LinearModel) -> list[str]:
    """Return the model's columns that the data has; one without a coefficient may be lacking."""
    return [name for name in model.columns if name in manifest.schema.names]


def scan(
    manifest: Manifest,
    model: LinearModel,
    columns: Sequence[str],
    function: Any,
    groups: Sequence[RowGroup] | None = None,
    texts: Sequence[str] = (),
) -> Iterator[tuple[RowGroup, Any]]:
    """Yield ``(row group, function(row group, table))`` in file order, computed on all cores, as many at a
    time as there is memory for.

    Args:
        manifest, model: what is read, and for which model.
        columns: what to read.
        function: called in threads.
        groups: the row groups, all unless given.
        texts: columns that come as dictionaries.

    Raises:
        LimitError: a row group cannot be held in memory.

    """
    dictionaries = [
        column.name for column in model.encoding.columns if column.dictionary and column.name in columns
    ]
    reader = RowGroupReader(
        manifest, list(dict.fromkeys(columns)), list(dict.fromkeys((*dictionaries, *texts)))
    )
    chosen = manifest.row_groups if groups is None else groups
    if not chosen:
        return
    x_width = model.encoding.num_encoded * 8
    chosen = [piece for group in chosen for piece in slices_of(manifest, group, columns, x_width)]
    largest = max(chosen, key=lambda group: group.num_rows)
    x_nbytes = largest.num_rows * x_width
    need = x_nbytes + decoded_nbytes(manifest, largest, columns)
    what = f"{manifest.where(largest)} has {largest.num_rows:,} rows, which"
    require_room(need, what, _SMALLER_GROUPS)
    threads = at_once(2 * need, limits.available_cpus())

    def one(group: RowGroup) -> Any:
        return function(group, reader.read(group))

    with ThreadPoolExecutor(threads, thread_name_prefix="score") as pool:
        results = bounded_map(pool, one, chosen, threads + 1)
        yield from zip(chosen, results, strict=True)
