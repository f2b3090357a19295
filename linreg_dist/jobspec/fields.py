"""The value types that several sections of the job spec share.

Every type refuses silent conversions: ``"5"`` is text, not a number, and ``yes`` is text, not a boolean.
A type that accepts several shapes carries one sentence saying what it expects, because a list of the failures
of every alternative explains nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    StrictBool,
    StrictFloat,
    StrictInt,
    StrictStr,
    StringConstraints,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WithJsonSchema,
    WrapValidator,
)
from pydantic_core import CoreSchema, PydanticCustomError, PydanticKnownError, core_schema


class Section(BaseModel):
    """Base of every section: frozen, and an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


_BYTE_UNITS = {
    "": 1, "B": 1,
    "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12,
    "KIB": 2**10, "MIB": 2**20, "GIB": 2**30, "TIB": 2**40,
}  # fmt: skip
_BYTE_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([A-Za-z]*)")


def expected(text: str) -> WrapValidator:
    """Return a validator that replaces the failures of all alternatives by one: "expected `text`"."""

    def validate(value: Any, handler: ValidatorFunctionWrapHandler) -> Any:
        try:
            return handler(value)
        except ValidationError as error:
            if isinstance(value, list | tuple):
                if any(isinstance(step, int) for item in error.errors() for step in item["loc"]):
                    raise  # an element is at fault, and its own position says more than the whole list's
                for item in error.errors():
                    if item["type"] == "refused":
                        raise refuse(item["msg"]) from None
            # A template's braces are pydantic's, so the sentence travels as a value.
            raise PydanticCustomError("expected", "expected {expected}", {"expected": text}) from None

    return WrapValidator(validate)


def refuse(message: str) -> PydanticCustomError:
    """Return an error to raise from a validator; `message` is shown to the user as it stands."""
    return PydanticCustomError("refused", "{message}", {"message": message})


def parse_byte_size(text: str) -> int:
    """Return the number of bytes in a text such as ``4GiB``, ``500 MB`` or ``1048576``.

    Binary units (KiB, MiB, GiB, TiB) are powers of 1024, decimal ones (kB, MB, GB, TB) powers of 1000.

    Raises:
        ValueError: the text is not a number followed by one of these units.

    """
    match = _BYTE_SIZE.fullmatch(text.strip())
    if match is None or match[2].upper() not in _BYTE_UNITS:
        raise ValueError(f'found "{text}", expected a size such as 4GiB or 500MB')
    try:
        return int(float(match[1]) * _BYTE_UNITS[match[2].upper()])
    except OverflowError:
        raise ValueError(f"found a size of {len(text)} digits, expected one such as 4GiB or 500MB") from None


def _check_byte_size(text: str) -> str:
    try:
        parse_byte_size(text)
    except ValueError:
        raise refuse("expected a size") from None
    return text


def _check_path(path: str) -> str:
    if "\0" in path:
        raise refuse("expected a path without the character U+0000")
    return path


def _check_run_name(name: str) -> str:
    if ".." in name:
        raise refuse('a run name must not contain ".."')
    return name


def _check_no_duplicates(values: tuple[Any, ...]) -> tuple[Any, ...]:
    first_at: dict[tuple[type, Any], int] = {}
    for position, value in enumerate(values, start=1):
        # 1 and True are equal to Python and different levels to a column, so the type counts.
        earlier = first_at.setdefault((type(value), value), position)
        if earlier != position:
            raise refuse(f"elements {earlier} and {position} of this list are the same; remove one")
    return values


Number = Annotated[StrictFloat, Field(allow_inf_nan=False)]
NotNegative = Annotated[StrictFloat, Field(ge=0, allow_inf_nan=False)]
Positive = Annotated[StrictFloat, Field(gt=0, allow_inf_nan=False)]
Seconds = Annotated[StrictFloat, Field(gt=0, le=1e9, allow_inf_nan=False)]
"""A time to wait: at most thirty years, which is less than what a wait of the system can be given."""
LARGEST_INT = 2**63 - 1
"""The largest whole number that PyTorch, NumPy and Arrow all take."""
Seed = Annotated[StrictInt, Field(ge=0, le=LARGEST_INT)]
Count = Annotated[StrictInt, Field(ge=1, le=LARGEST_INT)]
Auto = Literal["auto"]

RunName = Annotated[
    StrictStr,
    StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$"),
    AfterValidator(_check_run_name),
    expected(
        'a run name (it becomes a folder): 1 to 128 letters, digits, ".", "_" or "-", beginning with '
        'a letter or digit, without ".."'
    ),
]
ColumnName = Annotated[StrictStr, StringConstraints(min_length=1)]
_UNIQUE = Field(json_schema_extra={"uniqueItems": True})
UniqueColumns = Annotated[tuple[ColumnName, ...], _UNIQUE, AfterValidator(_check_no_duplicates)]
SomeColumns = Annotated[
    tuple[ColumnName, ...], Field(min_length=1), _UNIQUE, AfterValidator(_check_no_duplicates)
]
PathText = Annotated[StrictStr, StringConstraints(min_length=1), AfterValidator(_check_path)]

OneOrMoreColumns = Annotated[
    ColumnName | SomeColumns,
    expected("a column name or a list of different column names"),
]
OneOrMorePaths = Annotated[
    PathText | Annotated[tuple[PathText, ...], Field(min_length=1)],
    expected("a path (file, directory, glob or URI) or a list of them"),
]
AutoOrBool = Annotated[Auto | StrictBool, expected("auto, true or false")]
AutoOrPositive = Annotated[Auto | Positive, expected("auto or a number above 0")]
AutoOrCount = Annotated[Auto | Count, expected("auto or a whole number of at least 1")]
ByteSize = Annotated[
    Auto | Annotated[StrictInt, Field(ge=0)] | Annotated[StrictStr, AfterValidator(_check_byte_size)],
    expected("auto, a whole number of bytes, or a size such as 4GiB or 500MB"),
]
MOST_WORKERS = 10_000
NumWorkers = Annotated[
    Annotated[StrictInt, Field(ge=0, le=MOST_WORKERS)]
    | tuple[
        Annotated[StrictInt, Field(ge=1, le=MOST_WORKERS)], Annotated[StrictInt, Field(ge=1, le=MOST_WORKERS)]
    ],
    expected(f"a whole number from 0 to {MOST_WORKERS:,}, or [min, max] with 1 <= min <= max"),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": 0, "maximum": MOST_WORKERS},
                {
                    "type": "array",
                    "items": {"type": "integer", "minimum": 1, "maximum": MOST_WORKERS},
                    "minItems": 2,
                    "maxItems": 2,
                },
            ]
        }
    ),
]

Level = Annotated[StrictStr | StrictBool | StrictInt, expected("text, a whole number, true or false")]
Levels = Annotated[
    Auto | Annotated[tuple[Level, ...], Field(min_length=1), _UNIQUE, AfterValidator(_check_no_duplicates)],
    expected("auto or a list of different levels (text, whole numbers or booleans), the base level first"),
]


class OneOf:
    """Lets a field have one of the names that are known when the field is checked, as of a registry.

    Args:
        known: returns the names.

    """

    def __init__(self, known: Callable[[], Iterable[str]]) -> None:
        self._known = known

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Return the check of a value, for pydantic."""
        return core_schema.no_info_plain_validator_function(
            self._checked, serialization=core_schema.to_string_ser_schema()
        )

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """Return the names of now as a JSON Schema."""
        return {"enum": list(self._known()), "type": "string"}

    def _checked(self, value: Any) -> str:
        names = list(self._known())
        if isinstance(value, str) and value in names:
            return value
        raise PydanticKnownError("literal_error", {"expected": ", ".join(repr(name) for name in names)})
