"""`check_data`: whether the data fits a spec, from the footers alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa

from linreg_dist.data.design.columns import Columns, raise_all
from linreg_dist.data.source.footers import describe_chunks, read_footer
from linreg_dist.data.source.manifest import Manifest
from linreg_dist.documents import DataCheck
from linreg_dist.jobspec import JobSpec
from linreg_dist.solvers import SOLVERS
from linreg_dist.verbs.available import refuse_unavailable
from linreg_dist.verbs.opening import read_data

_FOOTER_THREADS = 16


def check_data(spec: JobSpec) -> DataCheck:
    """Read the footers and match the spec's columns with them; no row is read.

    Raises:
        SpecError: the spec asks for what this version cannot do.
        DataError: nothing there, not Parquet, a missing column, a wrong type, or nulls where none may be, as
            far as the files' statistics tell; all of it at once.
    """
    refuse_unavailable(spec)
    manifest, columns = read_data(spec)
    raise_all(_nulls(spec, manifest, columns))
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


def _nulls(spec: JobSpec, manifest: Manifest, columns: Columns) -> Iterator[str]:
    """Yield the columns with nulls that training would refuse.

    Where a filter, a weight of zero or deleted rows may take nulls out, only a pass over the rows can tell.
    """
    if spec.data.missing != "error" or spec.data.filter or columns.weight is not None:
        return
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
    for name, number in counts.items():
        yield (
            f"{first[name]}: column {name!r} has {number:,} nulls in all files, and data.missing is error; "
            "set data.missing to drop or mean, or leave the column out"
        )
