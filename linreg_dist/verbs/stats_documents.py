"""The documents of a statistics file, beside its moments: columns, encodings, pieces of data, the job."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictInt, StrictStr, ValidationError

from linreg_dist.data.design.encoding import Encoding
from linreg_dist.data.design.kinds import check_columns
from linreg_dist.errors import DataError
from linreg_dist.stats.artefact import Artefact

_Count = Annotated[StrictInt, Field(ge=0)]
_Range = tuple[_Count, _Count]


class _Part(BaseModel):
    """A part of the document; keys of other versions are let through."""

    model_config = ConfigDict(extra="allow")


class _Piece(_Part):
    file: StrictStr
    content: StrictStr
    row_groups: list[_Range] | _Count | None = None
    read: _Count
    train: _Count
    validation: _Count
    filtered: _Count
    missing_rows: _Count
    missing: dict[StrictStr, _Count]


class _Schema(_Part):
    targets: list[StrictStr]
    features: list[StrictStr]
    weight: StrictStr | None
    missing: Literal["error", "drop", "mean"]


class _Table(_Part):
    format: Literal["delta", "iceberg"]
    path: StrictStr
    version: StrictInt
    role: Literal["train", "validation"] = "train"


class _Extra(_Part):
    name: StrictStr
    model: dict[StrictStr, Any]
    tune: dict[StrictStr, Any] | None
    weight_type: Literal["analytic", "frequency"]
    cluster: StrictStr | None = None
    path: list[StrictStr]
    tables: list[_Table] = []


class _Documents(_Part):
    data_schema: _Schema
    consumed: list[_Piece]
    extra: _Extra


def check_documents(artefact: Artefact, source: str) -> None:
    """Check the documents of an exact run's statistics, against each other and against the moments.

    Raises:
        DataError: names the file, and says what is wrong.

    """
    try:
        found = _Documents.model_validate(
            {"data_schema": artefact.schema, "consumed": list(artefact.consumed), "extra": artefact.extra}
        )
        check_columns(artefact.encodings)
        _check_agreement(artefact, found)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise _damaged(source, f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from error
    except ValueError as error:
        raise _damaged(source, str(error)) from error


def _check_agreement(artefact: Artefact, found: _Documents) -> None:
    moments = artefact.moments
    if tuple(found.data_schema.targets) != moments.target_names:
        raise ValueError("its targets are not those of its moments")
    if Encoding.from_json(artefact.encodings).names != moments.feature_names:
        raise ValueError("its encodings are not those of its moments, or in another order")
    rows = sum(piece.train for piece in found.consumed)
    if rows != moments.n:
        raise ValueError(f"its moments are of {moments.n} rows, and its pieces have {rows}")
    if artefact.folds and sum(fold.n for fold in artefact.folds) != moments.n:
        raise ValueError("the rows of its folds are not the rows of all its moments")
    held_out = sum(piece.validation for piece in found.consumed)
    if artefact.validation is not None and artefact.validation.n != held_out:
        raise ValueError(
            f"its validation moments are of {artefact.validation.n} rows, and its pieces have {held_out}"
        )
    for piece in found.consumed:
        if isinstance(piece.row_groups, list) and any(start >= stop for start, stop in piece.row_groups):
            raise ValueError(f"the row groups of {piece.file} are no ranges")


def _damaged(source: str, why: str) -> DataError:
    return DataError(f"{source} is damaged: {why}; make the statistics again")
