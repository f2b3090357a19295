"""The list of all kinds of columns: the one place where a kind is registered."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from linreg_dist.data.design.categorical import CategoricalColumn
from linreg_dist.data.design.kind import ColumnKind
from linreg_dist.data.design.numeric import NumericColumn
from linreg_dist.data.design.vector import VectorColumn
from linreg_dist.errors import DataError
from linreg_dist.jobspec import DataSpec

KINDS: list[type[ColumnKind]] = [CategoricalColumn, VectorColumn, NumericColumn]
"""In the order in which they are asked whether they claim a column."""


def usual_column(name: str, type_: pa.DataType, data: DataSpec) -> ColumnKind | None:
    """Return a feature as the first kind that claims it makes it; None where none does."""
    kind = next((kind for kind in KINDS if kind.claims(name, type_, data)), None)
    return None if kind is None else kind.draft(name, type_, data)


def named_column(name: str, type_: pa.DataType, data: DataSpec) -> ColumnKind:
    """Return a feature that the spec names: a number where no kind claims it, which its type then denies."""
    return usual_column(name, type_, data) or NumericColumn.draft(name, type_, data)


def check_columns(documents: Any) -> None:
    """Check the form that `Encoding.to_json` returns; kinds that are not known are for others to refuse.

    Raises:
        ValueError: names the first column that is wrong, and what is.

    """
    if not isinstance(documents, list) or not all(isinstance(item, dict) for item in documents):
        raise ValueError("columns is no list of objects")
    names = set()
    for item in documents:
        name = item.get("name")
        if not isinstance(name, str) or name in names:
            raise ValueError(f"columns has the name {name!r} twice, or it is no text")
        names.add(name)
        if not isinstance(item.get("kind"), str):
            raise ValueError(f"column {name!r} has no kind")
        for kind in KINDS:
            if kind.kind == item["kind"]:
                kind.check_json(item)


def column_from_json(document: Mapping[str, Any]) -> ColumnKind:
    """Rebuild a column from the document that its kind's ``to_json`` made.

    Raises:
        DataError: there is no such kind.

    """
    for kind in KINDS:
        if kind.kind == document["kind"]:
            return kind.from_json(document)
    raise DataError(
        f"column {document['name']!r} is of the kind {document['kind']!r}; this linreg_dist knows "
        f"{', '.join(kind.kind for kind in KINDS)}: use the version that wrote it"
    )
