"""Which columns of the files play which part: features, targets, weight, split and filter columns.

Binding a spec to a schema finds every column problem before a single row is read.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from linreg_dist.data.manifest import Manifest
from linreg_dist.data.predicates import bind_all
from linreg_dist.errors import DataError
from linreg_dist.spec import DataSpec
from linreg_dist.wording.names import some_names


@dataclass(frozen=True)
class Columns:
    """The columns a job reads.

    Attributes:
        features: names in the order of the design matrix (before encoding).
        categorical: name -> given levels, or None where the levels are found in a first pass.
        targets: one name per column of y.
        weight: the column of row weights, or None.
        split: the column that marks validation rows, or None.
        filters: columns that only the filter needs.
        skipped: columns left out of the default feature list, each with the reason.

    """

    features: tuple[str, ...]
    categorical: dict[str, tuple[Any, ...] | None]
    targets: tuple[str, ...]
    weight: str | None
    split: str | None
    filters: tuple[str, ...]
    skipped: dict[str, str]

    @property
    def numeric(self) -> tuple[str, ...]:
        """The features that are numbers."""
        return tuple(name for name in self.features if name not in self.categorical)

    @property
    def to_read(self) -> tuple[str, ...]:
        """Every column that has to be read, once each."""
        extra = [name for name in (self.weight, self.split) if name]
        return tuple(dict.fromkeys((*self.features, *self.targets, *extra, *self.filters)))


def is_numeric(kind: pa.DataType) -> bool:
    """Return whether a column of this type is used as a number as it stands (booleans are 0 and 1)."""
    return bool(
        pa.types.is_integer(kind)
        or pa.types.is_floating(kind)
        or pa.types.is_boolean(kind)
        or pa.types.is_decimal(kind)
    )


def is_string(kind: pa.DataType) -> bool:
    """Return whether a column of this type is encoded by its levels unless told otherwise."""
    if pa.types.is_dictionary(kind):
        return is_string(kind.value_type)
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def bind_columns(data: DataSpec, manifest: Manifest) -> Columns:
    """Match the spec's column names with what every file has.

    Raises:
        DataError: a column is missing or has a type that cannot play its part; names the file, the column,
            what was found and the nearest name.

    """
    schema = manifest.schema
    targets = data.targets
    reserved = {*targets, data.weight, data.cluster, data.validation.column, *data.exclude}
    features, skipped = _feature_names(data, schema, reserved)
    filter_columns = tuple(dict.fromkeys(condition[0] for group in data.filter_dnf for condition in group))
    strings = {name for name, kind in zip(schema.names, schema.types, strict=True) if is_string(kind)}
    categorical: dict[str, tuple[Any, ...] | None] = {}
    for name in features:
        given = data.categorical.get(name)
        if isinstance(given, (list, tuple)):
            categorical[name] = tuple(given)
        elif given is not None or name in strings:
            categorical[name] = None
    usable = {*features}
    unused = [name for name in data.categorical if name not in usable]
    if unused:
        raise DataError(
            f"data.categorical names {some_names(unused)}, which is no feature of this job; "
            f"features are {some_names(features)}"
        )
    columns = Columns(
        features=features,
        categorical=categorical,
        targets=targets,
        weight=data.weight,
        split=data.validation.column if data.validation.method == "column" else None,
        filters=filter_columns,
        skipped=skipped,
    )
    _check_files(columns, manifest)
    _check_filter(data, manifest)
    return columns


def check_columns(wanted: Iterable[tuple[str, str]], manifest: Manifest) -> None:
    """Check that every file with rows has each ``(column, what for)``.

    Raises:
        DataError: names the first file that lacks one, and the nearest name it has.

    """
    pairs = list(wanted)
    for file in manifest.files:
        if file.num_rows == 0:
            continue
        have = dict.fromkeys((*file.schema.names, *file.partition))
        for name, purpose in pairs:
            if name not in have:
                close = difflib.get_close_matches(name, have, n=1)
                hint = f"did you mean {close[0]!r}?" if close else f"it has {some_names(list(have))}"
                raise DataError(f"{file.uri} has no column {name!r} ({purpose}); {hint}")


def _feature_names(
    data: DataSpec, schema: pa.Schema, reserved: set[str | None]
) -> tuple[tuple[str, ...], dict[str, str]]:
    if data.features is not None:
        excluded = {*data.exclude}
        return tuple(name for name in data.features if name not in excluded), {}
    skipped: dict[str, str] = {}
    names = []
    for name, kind in zip(schema.names, schema.types, strict=True):
        if name in reserved:
            continue
        if is_numeric(kind) or is_string(kind) or name in data.categorical:
            names.append(name)
        else:
            skipped[name] = f"type {kind} is neither a number nor a string"
    if not names:
        raise DataError(
            f"no usable feature column: the data has {some_names(schema.names)}, of which target, weight, "
            "split and excluded columns are left out; numbers, booleans and strings can be used"
        )
    return tuple(names), skipped


def _check_files(columns: Columns, manifest: Manifest) -> None:
    purposes = [(name, "target") for name in columns.targets]
    purposes += [(name, "feature") for name in columns.features]
    purposes += [(columns.weight, "weight")] if columns.weight else []
    purposes += [(columns.split, "validation column")] if columns.split else []
    purposes += [(name, "filter") for name in columns.filters]
    check_columns(purposes, manifest)
    level_kinds: dict[
        str, tuple[str, str]
    ] = {}  # column -> what its levels are, and the first file that says so
    for file in manifest.files:
        if file.num_rows == 0:  # an empty file's types say nothing: pandas writes null for its strings
            continue
        kinds = manifest.partition_types | dict(zip(file.schema.names, file.schema.types, strict=True))
        for name, purpose in purposes:
            kind = kinds[name]
            if purpose in _NUMERIC_ROLES and not is_numeric(kind):
                raise DataError(
                    f"{file.uri}: the {purpose} {name!r} has type {kind}; expected a number. "
                    f"Choose a numeric column as {_NUMERIC_ROLES[purpose]}"
                )
            if purpose == "feature":
                _check_feature(name, kind, name in columns.categorical, file.uri)
            if purpose == "feature" and name in columns.categorical:
                found = "strings" if is_string(kind) else "numbers"
                first, uri = level_kinds.setdefault(name, (found, file.uri))
                if found != first:
                    raise DataError(
                        f"{file.uri}: the levels of {name!r} are {found}, but {first} in {uri}; expected "
                        f"one kind "
                        "in all files: convert the column when writing the Parquet"
                    )


_NUMERIC_ROLES = {
    "target": "data.target",
    "weight": "data.weight",
    "validation column": "data.validation.column",
}


def _check_filter(data: DataSpec, manifest: Manifest) -> None:
    """Bind the filter to every file's types, once for each set of types."""
    dnf = data.filter_dnf
    names = dict.fromkeys(condition[0] for conditions in dnf for condition in conditions)
    seen = set()
    for file in manifest.files:
        if file.num_rows == 0 or not dnf:
            continue
        own = dict(zip(file.schema.names, file.schema.types, strict=True))
        kinds = {name: own[name] if name in own else manifest.partition_types[name] for name in names}
        key = tuple(kinds.values())
        if key not in seen:
            seen.add(key)
            bind_all(dnf, kinds, file.uri)


def _check_feature(name: str, kind: pa.DataType, categorical: bool, uri: str) -> None:
    usable = (
        is_string(kind) or pa.types.is_integer(kind) or pa.types.is_boolean(kind)
        if categorical
        else is_numeric(kind)
    )
    if not usable:
        expected = "strings, integers or booleans to take levels from" if categorical else "a number"
        advice = (
            "list it under data.categorical"
            if is_string(kind)
            else "leave it out of data.features, or convert it when writing the Parquet"
        )
        raise DataError(
            f"{uri}: the feature {name!r} has type {kind}; expected {expected}. To go on, {advice}"
        )
