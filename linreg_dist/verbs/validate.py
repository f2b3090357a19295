"""`check_data`: whether the data fits a spec, from the footers and a look at the rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa

from linreg_dist import limits
from linreg_dist.data.design.columns import Columns, raise_all
from linreg_dist.data.reader import RowGroupReader
from linreg_dist.data.rows import RowSelector, decode_columns
from linreg_dist.data.source.footers import describe_chunks, read_footer
from linreg_dist.data.source.manifest import Manifest, RowGroup
from linreg_dist.data.store import bounded_map
from linreg_dist.documents import DataCheck
from linreg_dist.errors import DataError
from linreg_dist.jobspec import JobSpec
from linreg_dist.solvers import SOLVERS
from linreg_dist.verbs.available import refuse_unavailable
from linreg_dist.verbs.begin.look import spread_groups
from linreg_dist.verbs.opening import read_data

_FOOTER_THREADS = 16


def check_data(spec: JobSpec) -> DataCheck:
    """Read the footers and match the spec's columns with them, and look for rows without a usable value.

    Small data is read whole; of large data some row groups are, spread over all of it.

    Raises:
        SpecError: the spec asks for what this version cannot do.
        DataError: nothing there, not Parquet, a missing column, a wrong type, or nulls, NaN and infinite
            numbers where none may be, as far as the files' statistics and that look tell; all of it at once.
    """
    refuse_unavailable(spec)
    manifest, columns = read_data(spec)
    raise_all(_mistakes(spec, manifest, columns))
    return DataCheck(
        files=len(manifest.files),
        row_groups=manifest.count_row_groups(),
        rows=manifest.num_rows,
        features=list(columns.features),
        categorical=list(columns.by_kind().get("categorical", ())),
        skipped_columns=columns.skipped,
        solver=SOLVERS[spec.solver.name].choose(spec).solver.name,
        tables=manifest.table_documents(spec.shown_names()),
    )


def _mistakes(spec: JobSpec, manifest: Manifest, columns: Columns) -> Iterator[str]:
    """Yield what training would refuse of the rows."""
    nulls = _nulls(spec, manifest, columns)
    yield from nulls.values()
    try:
        yield from (text for name, text in _unusable(spec, manifest, columns).items() if name not in nulls)
    except DataError as error:
        yield str(error)


def _unusable(spec: JobSpec, manifest: Manifest, columns: Columns) -> dict[str, str]:
    """Return the columns without a usable value in a row that counts, each with what to say of it."""
    if spec.data.missing != "error":
        return {}
    reader = RowGroupReader(manifest, columns.to_read, columns.dictionaries)
    selector = RowSelector(manifest, columns, spec.data, shuffle=False, seed=0)

    def missing_in(group: RowGroup) -> dict[str, int]:
        if selector.ruled_out(group) is not None:
            return {}
        table = reader.read(group)
        return selector.select(table, decode_columns(table, columns), group).missing

    groups = spread_groups(manifest, len(columns.to_read))
    rows = "all rows" if len(groups) == len(manifest.row_groups) else "the rows that were looked at"
    counts: Counter[str] = Counter()
    first: dict[str, str] = {}
    threads = limits.available_cpus()
    with ThreadPoolExecutor(threads, thread_name_prefix="look") as pool:
        found = bounded_map(pool, missing_in, groups, threads + 1)
        for group, missing in zip(groups, found, strict=True):
            for name, number in missing.items():
                counts[name] += number
                first.setdefault(name, manifest.files[group.file].uri)
    return {
        name: f"{first[name]}: column {name!r} has {number:,} nulls, NaN or infinite values in {rows}, and "
        "data.missing is error; set data.missing to drop or mean, or leave the column out"
        for name, number in counts.items()
    }


def _nulls(spec: JobSpec, manifest: Manifest, columns: Columns) -> dict[str, str]:
    """Return the columns with nulls that training would refuse, each with what to say of it.

    Where a filter, a weight of zero or deleted rows may take nulls out, only a pass over the rows can tell.
    """
    if spec.data.missing != "error" or spec.data.filter or columns.weight is not None:
        return {}
    plain = {field.name for field in manifest.schema if not pa.types.is_nested(field.type)}
    used = {*columns.features, *columns.targets} & plain
    files = [file for file in manifest.files if file.num_rows and not len(file.deleted)]
    with ThreadPoolExecutor(_FOOTER_THREADS) as pool:
        footers = list(pool.map(lambda file: (file.uri, read_footer(file.uri)), files))
    counts: Counter[str] = Counter()
    first: dict[str, str] = {}
    for file, chunks in zip(files, describe_chunks(footers) if footers else (), strict=True):
        own_names = {own: name for name, own in file.stored.items()}
        for chunk in chunks:
            name = own_names.get(chunk.name, chunk.name)
            if name in used and chunk.nulls:
                counts[name] += chunk.nulls
                first.setdefault(name, file.uri)
    return {
        name: f"{first[name]}: column {name!r} has {number:,} nulls in all files, and data.missing is error; "
        "set data.missing to drop or mean, or leave the column out"
        for name, number in counts.items()
    }
