"""Which columns of the files play which part: features, targets, weight, split and filter columns.

Binding a spec to a schema finds every column problem before a single row is read.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass

import pyarrow as pa

from linreg_dist.data.design.kind import ColumnKind
from linreg_dist.data.design.kinds import named_column, usual_column
from linreg_dist.data.design.numeric import is_narrow
from linreg_dist.data.design.types import is_numeric, is_string
from linreg_dist.data.filter.predicates import bind_all
from linreg_dist.data.source.manifest import Manifest
from linreg_dist.errors import DataError
from linreg_dist.jobspec import DataSpec
from linreg_dist.wording.names import some_names


@dataclass(frozen=True)
class Columns:
    """The columns a job reads.

    Attributes:
        kinds: the features, in the order of the design matrix, each as the spec describes it.
        targets: one name per column of y.
        weight: the column of row weights, or None.
        split: the column that marks validation rows, or None.
        filters: columns that only the filter needs.
        skipped: columns left out of the default feature list, each with the reason.

    """

    kinds: tuple[ColumnKind, ...]
    targets: tuple[str, ...]
    weight: str | None
    split: str | None
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
        return tuple(dict.fromkeys((*self.features, *self.numbers, *self.filters)))


def bind_columns(data: DataSpec, manifest: Manifest) -> Columns:
    """Match the spec's column names with what every file has.

    Raises:
        DataError: a column is missing or has a type that cannot play its part; names the file, the column,
            what was found and the nearest name.

    """
    schema = manifest.schema
    types = dict(zip(schema.names, schema.types, strict=True))
    targets = data.targets
    reserved = {*targets, data.weight, data.cluster, data.validation.column, *data.exclude}
    features, skipped = _feature_names(data, schema, reserved)
    filter_columns = tuple(dict.fromkeys(condition[0] for group in data.filter_dnf for condition in group))
    usable = {*features}
    unused = [name for name in data.categorical if name not in usable]
    if unused:
        raise DataError(
            f"data.categorical names {some_names(unused)}, which is no feature of this job; "
            f"features are {some_names(features)}"
        )
    columns = Columns(
        kinds=tuple(named_column(name, types.get(name, pa.null()), data) for name in features),
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
        if usual_column(name, kind, data) is not None:
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
    features = {column.name: column for column in columns.kinds}
    families: dict[str, tuple[str, str]] = {}  # column -> what its values are, and the first file to say so
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
                column = features[name]
                _check_feature(column, kind, file.uri)
                found = column.family(kind)
                first, uri = families.setdefault(name, (found, file.uri))
                if found != first:
                    raise DataError(
                        f"{file.uri}: the values of {name!r} are {found}, but {first} in {uri}; expected one "
                        "kind in all files: convert the column when writing the Parquet"
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


def _check_feature(column: ColumnKind, kind: pa.DataType, uri: str) -> None:
    if not column.takes(kind):
        advice = (
            "list it under data.categorical"
            if is_string(kind)
            else "leave it out of data.features, or convert it when writing the Parquet"
        )
        raise DataError(
            f"{uri}: the feature {column.name!r} has type {kind}; expected {column.expects}. To go on, "
            f"{advice}"
        )
