"""Roles of the columns: features, targets, weight, split and filter columns.

Binding a spec to a schema finds every column problem before a single row is read.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa

from linreg_dist.data.design.kind import ColumnKind
from linreg_dist.data.design.kinds import KINDS, named_column, usual_column
from linreg_dist.data.design.numeric import is_narrow
from linreg_dist.data.design.types import is_numeric, is_string
from linreg_dist.data.filter.predicates import bind_all
from linreg_dist.data.schema import pandas_index, union_schema, widenings
from linreg_dist.data.source.files import KeyRule
from linreg_dist.data.source.manifest import Manifest, ParquetFileInfo
from linreg_dist.errors import DataError
from linreg_dist.jobspec import DataSpec
from linreg_dist.wording.names import some_names
from linreg_dist.wording.streams import get_logger
from linreg_dist.wording.text import safe_name

logger = get_logger(__name__)

_MOST_PROBLEMS = 20
_SHOWN = 20


@dataclass(frozen=True)
class Columns:
    """The columns a job reads.

    Attributes:
        kinds: the features, in the order of the design matrix, each as the spec describes it.
        targets: one name per column of y.
        weight: the column of row weights, or None.
        split: the column that marks validation rows, or None.
        cluster: the column of clusters, or None.
        filters: columns that only the filter needs.
        skipped: columns left out of the default feature list, each with the reason.

    """

    kinds: tuple[ColumnKind, ...]
    targets: tuple[str, ...]
    weight: str | None
    split: str | None
    cluster: str | None
    filters: tuple[str, ...]
    skipped: dict[str, str]

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the features, in the order of the design matrix."""
        return tuple(column.name for column in self.kinds)

    def by_kind(self) -> dict[str, tuple[str, ...]]:
        """Return the names of the features of each kind that is there."""
        kinds = dict.fromkeys(column.kind for column in self.kinds)
        return {kind: tuple(one.name for one in self.kinds if one.kind == kind) for kind in kinds}

    @property
    def numbers(self) -> tuple[str, ...]:
        """Columns that are read as numbers beside the features: targets, weight, split; once each."""
        extra = [name for name in (self.weight, self.split) if name]
        return tuple(dict.fromkeys((*self.targets, *extra)))

    @property
    def dictionaries(self) -> tuple[str, ...]:
        """Features to be read as dictionary-encoded."""
        return tuple(column.name for column in self.kinds if column.dictionary)

    @property
    def known_width(self) -> int:
        """How many columns the features become, as far as that is known before the first pass."""
        return sum(column.known_width for column in self.kinds)

    def fit_float32(self, schema: pa.Schema) -> bool:
        """Return whether float32 holds all digits of the features, targets and weights of this schema."""
        numbers = (*self.targets, *([self.weight] if self.weight else []))
        return all(column.fits_float32(schema.field(column.name).type) for column in self.kinds) and all(
            is_narrow(schema.field(name).type) for name in numbers
        )

    @property
    def to_read(self) -> tuple[str, ...]:
        """Every column that has to be read, once each."""
        cluster = [self.cluster] if self.cluster else []
        return tuple(dict.fromkeys((*self.features, *self.numbers, *cluster, *self.filters)))


def bind_columns(data: DataSpec, manifest: Manifest) -> Columns:
    """Match the spec's column names with what every file has.

    Raises:
        DataError: a column is missing or has a type that cannot play its part, or a value of the filter does
            not fit; names the file, the column, what was found and the nearest name, for all of them at once.

    """
    schema = manifest.schema
    types = dict(zip(schema.names, schema.types, strict=True))
    targets = data.targets
    reserved = {*targets, data.weight, data.cluster, data.validation.column, *data.exclude}
    features, skipped = _feature_names(data, manifest, reserved)
    filter_columns = tuple(dict.fromkeys(condition[0] for group in data.filter_dnf for condition in group))
    usable = {*features}
    unused = [name for name in data.categorical if name not in usable]
    problems = [
        f"data.categorical names {some_names(unused)}, which is no feature of this job; "
        f"features are {some_names(features)}"
    ] * bool(unused)
    columns = Columns(
        kinds=tuple(named_column(name, types.get(name, pa.null()), data) for name in features),
        targets=targets,
        weight=data.weight,
        split=data.validation.column if data.validation.method == "column" else None,
        cluster=data.cluster,
        filters=filter_columns,
        skipped=skipped,
    )
    raise_all([*problems, *_problems_of_files(columns, manifest), *_problems_of_filter(data, manifest)])
    return columns


def raise_all(problems: Iterable[str]) -> None:
    """Raise what is wrong with the data, a line each, if anything is.

    Raises:
        DataError: with the first of many problems, each once.

    """
    found = list(dict.fromkeys(problems))
    if found:
        more = [f"and {len(found) - _MOST_PROBLEMS:,} more"] if len(found) > _MOST_PROBLEMS else []
        raise DataError("\n".join([*found[:_MOST_PROBLEMS], *more]))


def tell_columns(columns: Columns, manifest: Manifest) -> None:
    """Say on the console which columns are left out and why, and where files have different types."""
    lines = [f"no feature: {safe_name(name)}: {reason}" for name, reason in columns.skipped.items()]
    files = ((file.uri, file.schema) for file in manifest.files if file.num_rows)
    used = set(columns.to_read)
    wider = widenings(files, manifest.schema)
    lines += [f"column {safe_name(name)}: {text}" for name, text in wider.items() if name in used]
    for line in lines[:_SHOWN]:
        logger.warning("%s", line)
    if len(lines) > _SHOWN:
        logger.warning("and %d more columns like these; validate --data --json has all", len(lines) - _SHOWN)


def check_columns(wanted: Iterable[tuple[str, str]], manifest: Manifest) -> None:
    """Check that some file with rows has each ``(column, what for)``.

    Raises:
        DataError: names each column that no file has, and the nearest name that is there.

    """
    raise_all(_missing_columns(wanted, manifest))


def _missing_columns(wanted: Iterable[tuple[str, str]], manifest: Manifest) -> Iterator[str]:
    have = dict.fromkeys(manifest.schema.names)
    for name, purpose in wanted:
        if name not in have:
            close = difflib.get_close_matches(name, have, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"it has {some_names(list(have))}"
            files = "" if len(manifest.files) <= 1 else f" and {len(manifest.files) - 1:,} more file(s)"
            verb = "have" if files else "has"
            first = manifest.files[0].uri if manifest.files else manifest.tables[0].path
            yield f"{first}{files} {verb} no column {name!r} ({purpose}); {hint}"


def key_rules(data: DataSpec) -> dict[str, KeyRule]:
    """Return which hive keys the spec wants as text, for `read_manifest`: categories keep leading zeros."""
    rules: dict[str, KeyRule] = {}
    for name, given in data.categorical.items():
        if isinstance(given, (list, tuple)):
            if any(isinstance(level, str) for level in given):
                rules[name] = "always"
        else:
            rules[name] = "unless plain"
    return rules


def _feature_names(
    data: DataSpec, manifest: Manifest, reserved: set[str | None]
) -> tuple[tuple[str, ...], dict[str, str]]:
    if data.features is not None:
        excluded = {*data.exclude}
        return tuple(name for name in data.features if name not in excluded), {}
    skipped: dict[str, str] = {}
    names = []
    schema = manifest.schema
    out_of_use = _index_columns(manifest) | _constant_keys(manifest) | _only_validating(manifest)
    for name, kind in zip(schema.names, schema.types, strict=True):
        if name in reserved:
            continue
        if name in out_of_use and name not in data.categorical:
            skipped[name] = out_of_use[name]
        elif usual_column(name, kind, data) is None:
            skipped[name] = unusable(kind)
        else:
            names.append(name)
    if not names:
        reasons = "".join(f"\n  {name}: {reason}" for name, reason in skipped.items())
        raise DataError(
            f"no usable feature column: the data has {some_names(schema.names)}, of which target, weight, "
            f"split and excluded columns are left out; numbers, booleans and strings can be used{reasons}"
        )
    return tuple(names), skipped


def columns_left_out(manifest: Manifest) -> dict[str, str]:
    """Return the columns that are no features unless they are named, each with the reason."""
    found = _index_columns(manifest) | _constant_keys(manifest)
    plain = DataSpec(path="data", target="target")  # which names nothing that matters here
    for name, kind in zip(manifest.schema.names, manifest.schema.types, strict=True):
        if name not in found and usual_column(name, kind, plain) is None:
            found[name] = unusable(kind)
    return {name: found[name] for name in manifest.schema.names if name in found}


def unusable(kind: pa.DataType) -> str:
    """Return why a column of this type is no feature unless it is named."""
    if pa.types.is_null(kind):
        return "type null: it has no value in any file"
    hints = [hint for each in KINDS if (hint := each.hint(kind)) is not None]
    return "; ".join([f"type {kind} is neither a number nor a string", *hints])


def _index_columns(manifest: Manifest) -> dict[str, str]:
    """Return the columns that are the index of a pandas table, with the reason to leave them out."""
    found = dict.fromkeys(name for file in manifest.files for name in pandas_index(file.schema))
    return dict.fromkeys(found, "the index of a pandas table; name it in data.features to use it")


def _constant_keys(manifest: Manifest) -> dict[str, str]:
    """Return the hive keys that have one value in all folders that train, with the reason."""
    constant = {}
    for name in manifest.partition_types:
        files = [file for file in manifest.files if file.num_rows and file.role == "train"]
        if len({file.partition.get(name) for file in files}) == 1:
            constant[name] = f"the folders have one value of it, {files[0].partition.get(name)!r}"
    return constant


def _only_validating(manifest: Manifest) -> dict[str, str]:
    """Return the columns that no file to train on has, with the reason."""
    train = [file.schema for file in manifest.files if file.num_rows and file.role == "train"]
    known = {*union_schema(train, {}).names, *manifest.partition_types}
    reason = "only files that validate have it"
    return {name: reason for name in manifest.schema.names if name not in known}


def _problems_of_files(columns: Columns, manifest: Manifest) -> Iterator[str]:
    purposes = [(name, "target") for name in columns.targets]
    purposes += [(name, "feature") for name in columns.features]
    purposes += [(columns.weight, "weight")] if columns.weight else []
    purposes += [(columns.split, "validation column")] if columns.split else []
    purposes += [(columns.cluster, "cluster")] if columns.cluster else []
    purposes += [(name, "filter") for name in columns.filters]
    yield from _missing_columns(purposes, manifest)
    have = {*manifest.schema.names}
    yield from _wrong_types([column for column in columns.kinds if column.name in have], manifest)
    numbers = [(name, purpose) for name, purpose in purposes if purpose in _NUMERIC_ROLES and name in have]
    yield from _no_numbers(numbers, manifest)


def check_numbers(wanted: Sequence[tuple[str, str]], manifest: Manifest) -> None:
    """Check that every file with rows has each ``(column, what for)`` as a number, or lacks it.

    Raises:
        DataError: names each column by the first file that has it as another type.

    """
    raise_all(_no_numbers(wanted, manifest))


def _no_numbers(wanted: Sequence[tuple[str, str]], manifest: Manifest) -> Iterator[str]:
    told = set()
    for file, kinds in _types_of_files(manifest):
        for name, purpose in wanted:
            kind = kinds.get(name, pa.null())
            if pa.types.is_null(kind) and not pa.types.is_null(manifest.schema.field(name).type):
                continue
            if not is_numeric(kind) and (name, purpose) not in told:
                told.add((name, purpose))
                yield (
                    f"{file.uri}: the {purpose} {name!r} has type {kind}; expected a number. "
                    f"Choose a numeric column as {_NUMERIC_ROLES[purpose]}"
                )


def check_types(features: Iterable[ColumnKind], manifest: Manifest) -> None:
    """Check that every file with rows has each feature as its kind takes it, or lacks it.

    Raises:
        DataError: names each column by the first file that has it as another type, or values of another
            family than an earlier one.

    """
    raise_all(_wrong_types(list(features), manifest))


def _wrong_types(features: Sequence[ColumnKind], manifest: Manifest) -> Iterator[str]:
    told = set()
    families: dict[str, tuple[str, str]] = {}  # column -> what its values are, and the first file to say so
    for file, kinds in _types_of_files(manifest):
        for column in features:
            kind = kinds.get(column.name, pa.null())
            if pa.types.is_null(kind) and not pa.types.is_null(manifest.schema.field(column.name).type):
                continue
            if column.name in told:
                continue
            if not column.takes(kind):
                told.add(column.name)
                yield _no_feature(column, kind, file.uri)
                continue
            found = column.family(kind)
            first, uri = families.setdefault(column.name, (found, file.uri))
            if found != first:
                told.add(column.name)
                yield (
                    f"{file.uri}: the values of {column.name!r} are {found}, but {first} in {uri}; expected "
                    "one kind in all files: convert the column when writing the Parquet"
                )


def _types_of_files(manifest: Manifest) -> Iterator[tuple[ParquetFileInfo, dict[str, pa.DataType]]]:
    """Yield a file with rows for each set of types that there is, with the types of its columns."""
    seen: list[pa.Schema] = []
    for file in manifest.files:
        # An empty file's types say nothing: pandas writes null for its strings.
        if file.num_rows == 0 or any(file.schema.equals(schema) for schema in seen):
            continue
        seen.append(file.schema)
        yield file, manifest.partition_types | dict(zip(file.schema.names, file.schema.types, strict=True))


_NUMERIC_ROLES = {
    "target": "data.target",
    "weight": "data.weight",
    "validation column": "data.validation.column",
}


def _problems_of_filter(data: DataSpec, manifest: Manifest) -> Iterator[str]:
    """Bind each condition to every type that its column has in a file."""
    conditions = [condition for group in data.filter_dnf for condition in group]
    whole = dict(zip(manifest.schema.names, manifest.schema.types, strict=True))
    seen = set()
    for file in manifest.files if conditions else ():
        if file.num_rows == 0:
            continue
        own = dict(zip(file.schema.names, file.schema.types, strict=True))
        for number, condition in enumerate(conditions):
            name = condition[0]
            kind = own.get(name)
            if kind is None or pa.types.is_null(kind):
                kind = whole.get(name)
            if kind is None or (number, kind) in seen:
                continue
            seen.add((number, kind))
            try:
                bind_all([[condition]], {name: kind}, file.uri)
            except DataError as error:
                yield str(error)


def _no_feature(column: ColumnKind, kind: pa.DataType, uri: str) -> str:
    advice = (
        "list it under data.categorical"
        if is_string(kind)
        else "leave it out of data.features, or convert it when writing the Parquet"
    )
    return (
        f"{uri}: the feature {column.name!r} has type {kind}; expected {column.expects}. To go on, {advice}"
    )
