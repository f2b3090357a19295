"""Dates, times and durations written as text, as the whole numbers that Arrow stores them as."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import pyarrow as pa

_PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
_DATE = r"(?P<date>\d{4}-\d\d?-\d\d?)"
_CLOCK = r"(?P<hour>\d\d?):(?P<minute>\d\d)(?::(?P<second>\d\d)(?P<fraction>\.\d+)?)?"
_ZONE = r"\s*(?P<zone>[Zz]|[+-]\d\d:?(?:\d\d)?)?"
_INSTANT = re.compile(rf"\s*{_DATE}(?:[Tt ]\s*{_CLOCK}{_ZONE})?\s*")
_TIME = re.compile(rf"\s*{_CLOCK}\s*")
_SPAN = re.compile(
    r"\s*(?P<sign>-)?(?:(?P<days>\d+)\s*(?:d|days?)\s*,?\s*)?(?:(?P<hours>\d+):(?P<minutes>\d\d)"
    r"(?::(?P<seconds>\d\d(?:\.\d+)?))?)?\s*"
)
_AMOUNT = re.compile(
    r"\s*(?P<number>-?\d+(?:\.\d+)?)\s*(?P<unit>ns|us|µs|ms|s|sec|min|m|h|hours?|d|days?)\s*"
)
_SECONDS = {
    "ns": Fraction(1, 10**9), "us": Fraction(1, 10**6), "µs": Fraction(1, 10**6), "ms": Fraction(1, 1000),
    "s": Fraction(1), "sec": Fraction(1), "min": Fraction(60), "m": Fraction(60), "h": Fraction(3600),
    "hour": Fraction(3600), "hours": Fraction(3600), "d": Fraction(86400), "day": Fraction(86400),
    "days": Fraction(86400),
}  # fmt: skip
_EPOCH = datetime(1970, 1, 1)


def read_time(value: Any, kind: pa.DataType) -> Fraction:
    """Return a text as a number of units of a temporal type: days for date32, say; it may have a fraction.

    A time without a zone is one of the column's own zone; a column without a zone takes no time with one.

    Raises:
        ValueError: it is no such text; says what was expected.

    """
    types = pa.types
    if types.is_timestamp(kind):
        return _instant(value, kind.tz) * _PER_SECOND[kind.unit]
    if types.is_date32(kind):
        return _instant(value, None, "a date such as 2026-11-27") / 86400
    if types.is_time(kind):
        return _clock(value) * _PER_SECOND[kind.unit]
    return _span(value) * _PER_SECOND[kind.unit]


def _instant(value: Any, tz: str | None, example: str = "a time such as 2026-11-27T06:00:00") -> Fraction:
    """Return seconds since 1970, of UTC where the column has a zone."""
    found = _INSTANT.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise ValueError(f"expected {example}")
    try:
        year, month, day = map(int, found["date"].split("-"))
        moment = datetime(year, month, day, int(found["hour"] or 0), int(found["minute"] or 0))
        moment += timedelta(seconds=int(found["second"] or 0))
    except (ValueError, OverflowError) as error:
        raise ValueError(f"expected {example} ({error})") from None
    rest = Fraction("0" + found["fraction"]) if found["fraction"] else Fraction(0)
    if found["zone"]:
        if tz is None:
            raise ValueError("it names a zone and the column has none; write the time without one")
        moment -= _offset(found["zone"])
    elif tz is not None:
        moment = moment.replace(tzinfo=_zone(tz)).astimezone(UTC).replace(tzinfo=None)
    since = moment - _EPOCH
    return Fraction(since.days * 86400 + since.seconds) + rest


def _zone(name: str) -> Any:
    if name.upper() in ("UTC", "Z"):
        return UTC
    if re.fullmatch(r"[+-]\d\d:?\d\d", name):
        from datetime import timezone

        return timezone(_offset(name))
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        raise ValueError(f"the column's zone {name} is not known here; write the time with Z") from None


def _offset(text: str) -> timedelta:
    if text in "Zz":
        return timedelta(0)
    digits = text[1:].replace(":", "").ljust(4, "0")
    size = timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
    return -size if text[0] == "-" else size


def _clock(value: Any) -> Fraction:
    found = _TIME.fullmatch(value) if isinstance(value, str) else None
    if found is None or int(found["hour"]) > 24 or int(found["minute"]) > 59:
        raise ValueError("expected a time of day such as 06:30:00")
    whole = int(found["hour"]) * 3600 + int(found["minute"]) * 60 + int(found["second"] or 0)
    return Fraction(whole) + (Fraction("0" + found["fraction"]) if found["fraction"] else 0)


def _span(value: Any) -> Fraction:
    """Return seconds of ``90 s``, ``1.5 h``, ``02:30:00`` or ``3 days 02:30:00``."""
    text = value if isinstance(value, str) else ""
    if amount := _AMOUNT.fullmatch(text):
        return Fraction(amount["number"]) * _SECONDS[amount["unit"]]
    found = _SPAN.fullmatch(text)
    if found is None or (found["days"] is None and found["hours"] is None):
        raise ValueError("expected a duration such as 90 s, 1.5 h or 02:30:00")
    seconds = Fraction(int(found["days"] or 0) * 86400 + int(found["hours"] or 0) * 3600)
    seconds += int(found["minutes"] or 0) * 60 + Fraction(found["seconds"] or 0)
    return -seconds if found["sign"] else seconds
