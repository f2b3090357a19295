"""`statistics.safetensors`: moments on disk, with enough beside them to merge, subtract and solve later.

The file is a plain safetensors file. Its tensors are those of `Moments` (float64) and the row counts
(int64), prefixed ``fold.<i>.`` for the folds and ``validation.`` for rows that are held out. Its header's
string metadata hold, as JSON: the format and its version, the column names, and four things that this module
compares but does not interpret: ``schema``, ``encodings``, ``consumed`` and ``extra``.

``consumed`` lists the pieces of data that were summed, one JSON value each (a file's digest with its row
counts, say). A piece counts once: merging statistics that share one, or subtracting one that is not there, is
refused. A piece that is an object with the key ``content`` is the same data as another with this content,
wherever its other keys say that it lies: it would count twice when merged. With the key ``row_groups`` it is
only a part of that content: half-open ranges ``[[start, stop], …]`` of row groups, which may be merged with
other parts, and must be subtracted as they are. (A number in its place, as older files have it, means all.)
"""

from __future__ import annotations

import json
import os
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from safetensors.numpy import save as save_tensors

from linreg_dist.data.design.documents import check_texts
from linreg_dist.errors import DataError
from linreg_dist.stats.checks import check_moments
from linreg_dist.stats.moments import Moments
from linreg_dist.storage import TENSORS_BYTES, ObjectPath, as_location, read_file, write_whole
from linreg_dist.storage.tensors import CHANGED, Array, digest_of, read_metadata, read_tensors

FORMAT = "linreg_dist.statistics"
FORMAT_VERSION = 1

_MAX_NAMED = 5
_MOST_FOLDS = 100_000
_SIDES = "the left side", "the right side"


@dataclass(frozen=True)
class Artefact:
    """Moments together with where they come from.

    Attributes:
        moments: of all rows (of all training rows, where some are held out).
        folds: of each cross-validation fold; empty when there are none.
        schema: opaque JSON value: the columns and types that were read. Must be equal to merge.
        encodings: opaque JSON value: how columns became features (levels, fill values). Must be equal to
            merge.
        consumed: JSON values that identify the pieces of data.
        extra: JSON object, of the left operand of a merge or subtraction; its ``path``, ``names`` and
            ``tables`` list those of all that were merged.
        validation: of the rows that are held out; None where they were not summed.

    """

    moments: Moments
    folds: tuple[Moments, ...] = ()
    schema: Any = None
    encodings: Any = None
    consumed: tuple[Any, ...] = ()
    extra: dict[str, Any] = field(default_factory=dict)
    validation: Moments | None = None


def save_artefact(artefact: Artefact, path: str | os.PathLike[str] | ObjectPath) -> None:
    """Write to ``path`` atomically: a reader, or a crash, sees the old file or the new one, never half of it.

    Raises:
        DataError: `Artefact.consumed` lists a piece twice.

    """
    target = as_location(path)
    content = to_bytes(artefact)
    target.parent.mkdir(parents=True, exist_ok=True)
    write_whole(target, content)


def load_artefact(path: str | os.PathLike[str] | ObjectPath) -> Artefact:
    """Read what `save_artefact` wrote.

    Raises:
        DataError: there is no such file, or it is not a statistics file of a known version.

    """
    try:
        content = read_file(as_location(path), TENSORS_BYTES)
    except OSError as error:
        raise DataError(f"cannot read statistics from {path}: {error.strerror or error}") from error
    return from_bytes(content, str(path))


def to_bytes(artefact: Artefact) -> bytes:
    """Return the file's content, the same bytes for the same artefact; raises as `save_artefact`."""
    _keys(artefact, "the artefact")
    tensors = _tensors(artefact.moments, "")
    for i, fold in enumerate(artefact.folds):
        tensors |= _tensors(fold, f"fold.{i}.")
    if artefact.validation is not None:
        tensors |= _tensors(artefact.validation, "validation.")
    metadata = {
        "format": FORMAT,
        "version": FORMAT_VERSION,
        "feature_names": artefact.moments.feature_names,
        "target_names": artefact.moments.target_names,
        "num_folds": len(artefact.folds),
        "has_validation": artefact.validation is not None,
        "schema": artefact.schema,
        "encodings": artefact.encodings,
        "consumed": artefact.consumed,
        "extra": artefact.extra,
    }
    plain = json.loads(json.dumps(metadata))
    metadata["checksum"] = digest_of(plain, tensors)
    # One metadata entry: safetensors does not fix the order of several, and the bytes should be reproducible.
    content: bytes = save_tensors(tensors, {"linreg_dist": json.dumps(metadata, sort_keys=True)})
    return content


def from_bytes(content: bytes, source: str) -> Artefact:
    """Rebuild an artefact; ``source`` names it in errors. Raises DataError as `load_artefact`."""
    metadata = _metadata(content, source)
    try:
        return _checked(metadata, content)
    except (ValueError, KeyError, TypeError, OverflowError) as error:
        why = f"it lacks {error}" if isinstance(error, KeyError) else error
        raise DataError(f"{source} is damaged: {why}; make the statistics again") from error


def _checked(metadata: dict[str, Any], content: bytes) -> Artefact:
    """Return the artefact of a file.

    Raises:
        ValueError, KeyError, TypeError: it is damaged.

    """
    checksum = metadata.pop("checksum", None)  # files of earlier versions have none
    tensors = read_tensors(content)
    if checksum is not None and checksum != digest_of(metadata, tensors):
        raise ValueError(CHANGED)
    for key in ("feature_names", "target_names"):
        check_texts(metadata[key], key)
    num_folds, consumed, extra = metadata["num_folds"], metadata["consumed"], metadata["extra"]
    if not isinstance(num_folds, int) or not 0 <= num_folds <= _MOST_FOLDS:
        raise ValueError(f"it has {num_folds!r} folds")
    if not isinstance(consumed, list) or not isinstance(extra, dict):
        raise ValueError("consumed is no list, or extra no object")
    names = tuple(metadata["feature_names"]), tuple(metadata["target_names"])
    return Artefact(
        moments=_moments(tensors, "", *names),
        folds=tuple(_moments(tensors, f"fold.{i}.", *names) for i in range(num_folds)),
        schema=metadata["schema"],
        encodings=metadata["encodings"],
        consumed=tuple(consumed),
        extra=extra,
        validation=_moments(tensors, "validation.", *names) if metadata.get("has_validation") else None,
    )


def merge_artefacts(left: Artefact, right: Artefact, names: tuple[str, str] = _SIDES) -> Artefact:
    """Return the statistics of both sets of data.

    Raises:
        DataError: a piece of data is in both, or columns, schema, encodings or the number of folds differ.

    """
    _require_same_kind(left, right, "merge")
    _keys(left, names[0]), _keys(right, names[1])
    theirs: dict[str, list[Any]] = {}
    for piece in right.consumed:
        theirs.setdefault(_content(piece), []).append(piece)
    shared = [
        _named(piece)
        for piece in left.consumed
        if any(_overlap(piece, other) for other in theirs.get(_content(piece), ()))
    ]
    if shared:
        raise DataError(
            f"the statistics overlap: {len(shared)} piece(s) of data are in both: {names[0]} and {names[1]} "
            f"both hold {_shown(shared)}; their rows would count twice. Merge only disjoint "
            "partitions, or subtract one first"
        )
    return replace(
        left,
        moments=left.moments.merged(right.moments),
        folds=tuple(a.merged(b) for a, b in zip(left.folds, right.folds, strict=True)),
        validation=None
        if left.validation is None or right.validation is None
        else left.validation.merged(right.validation),
        consumed=(*left.consumed, *right.consumed),
        extra=_all_of(left, right),
    )


def subtract_artefacts(left: Artefact, right: Artefact, names: tuple[str, str] = _SIDES) -> Artefact:
    """Return the statistics of the data of ``left`` without that of ``right``.

    Raises:
        DataError: ``right`` holds a piece of data that ``left`` does not, or columns, schema, encodings or
            the number of folds differ.

    """
    _require_same_kind(left, right, "subtract")
    mine, theirs = _keys(left, names[0]), set(_keys(right, names[1]))
    missing = sorted(theirs - set(mine))
    if missing:
        parts = {_content(piece) for piece in left.consumed} & {
            _content(piece) for piece in right.consumed if _key(piece) in missing
        }
        hint = " (some of their data are, in other parts: subtract whole pieces)" if parts else ""
        shown = _shown([_named(piece) for piece in right.consumed if _key(piece) in missing])
        raise DataError(
            f"cannot subtract: {len(missing)} piece(s) of data are not in {names[0]} (it does not hold "
            f"{shown}, which {names[1]} does){hint}"
        )
    return replace(
        left,
        moments=left.moments.subtract(right.moments),
        folds=tuple(a.subtract(b) for a, b in zip(left.folds, right.folds, strict=True)),
        validation=None
        if left.validation is None or right.validation is None
        else left.validation.subtract(right.validation),
        consumed=tuple(piece for key, piece in zip(mine, left.consumed, strict=True) if key not in theirs),
    )


def canonical(value: Any) -> str:
    """Return the JSON text by which two opaque values are compared: sorted keys, no spaces."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def _require_same_kind(left: Artefact, right: Artefact, verb: str) -> None:
    for name in ("schema", "encodings"):
        ours, theirs = canonical(getattr(left, name)), canonical(getattr(right, name))
        if ours != theirs:
            raise DataError(
                f"cannot {verb} statistics with different {name}: {_clipped(ours)} against "
                f"{_clipped(theirs)}; make both with the same job spec and category levels"
            )
    if (left.validation is None) != (right.validation is None):
        raise DataError(
            f"cannot {verb} statistics of which only one has the moments of its validation rows; "
            "make both with the same program"
        )
    if len(left.folds) != len(right.folds):
        raise DataError(
            f"cannot {verb} statistics with {len(left.folds)} and with {len(right.folds)} folds; "
            "make both with the same number of folds"
        )


def _all_of(left: Artefact, right: Artefact) -> dict[str, Any]:
    """Return what is said of both: the left side's, with the data and the names of both."""
    extra = dict(left.extra)
    for key in ("path", "names", "tables"):
        both = (*_listed(left, key), *_listed(right, key))
        if both:
            extra[key] = list({canonical(item): item for item in both}.values())
    return extra


def _listed(artefact: Artefact, key: str) -> list[Any]:
    found = artefact.extra.get(key)
    if key == "names" and found is None:
        found = [artefact.extra["name"]] if "name" in artefact.extra else []
    return found if isinstance(found, list) else []


def _named(piece: Any) -> str:
    """Return what a user calls a piece of data: its file, and where it is a part of one its row groups."""
    if isinstance(piece, dict) and "file" in piece:
        return str(piece["file"])
    return canonical(piece)


def _content(piece: Any) -> str:
    """Return what makes a piece the same data as another."""
    return canonical(piece["content"] if isinstance(piece, dict) and "content" in piece else piece)


def row_ranges(piece: Any) -> list[tuple[int, int]] | None:
    """Return the half-open ranges of row groups that a piece consists of; None means all of its content."""
    ranges = piece.get("row_groups") if isinstance(piece, dict) else None
    if not isinstance(ranges, list):
        return None
    return [(int(start), int(stop)) for start, stop in ranges]


def _overlap(left: Any, right: Any) -> bool:
    """Return whether two pieces of one content have rows in common."""
    ours, theirs = row_ranges(left), row_ranges(right)
    if ours is None or theirs is None:
        return True
    return any(max(a, c) < min(b, d) for a, b in ours for c, d in theirs)


def _key(piece: Any) -> str:
    """Return the text by which a piece is found again; a number of row groups is spelt as their range."""
    if isinstance(piece, dict) and isinstance(piece.get("row_groups"), int):
        return canonical({**piece, "row_groups": [[0, piece["row_groups"]]]})
    return canonical(piece)


def _keys(artefact: Artefact, side: str) -> list[str]:
    keys = [_key(piece) for piece in artefact.consumed]
    twice = sorted(key for key, count in Counter(keys).items() if count > 1)
    if twice:
        raise DataError(f"{side} lists {len(twice)} piece(s) of data twice ({_shown(twice)})")
    return keys


def _shown(keys: list[str]) -> str:
    return ", ".join(keys[:_MAX_NAMED]) + (", …" if len(keys) > _MAX_NAMED else "")


def _clipped(text: str) -> str:
    return text if len(text) <= 200 else text[:200] + "…"


def _tensors(moments: Moments, prefix: str) -> dict[str, Array]:
    return {
        f"{prefix}counts": np.array([moments.n, moments.n_zero_weight], dtype=np.int64),
        f"{prefix}sums": np.array([moments.sum_w, moments.sum_w2, moments.sum_log_w], dtype=np.float64),
        f"{prefix}shift": np.ascontiguousarray(moments.shift),
        f"{prefix}offset": np.ascontiguousarray(moments.offset),
        f"{prefix}cross": np.ascontiguousarray(moments.cross),
    }


def _moments(
    tensors: dict[str, Array], prefix: str, features: tuple[str, ...], targets: tuple[str, ...]
) -> Moments:
    counts, sums = tensors[f"{prefix}counts"], tensors[f"{prefix}sums"]
    if counts.dtype != np.int64 or counts.shape != (2,):
        raise ValueError(f"{prefix}counts is not two whole numbers")
    if sums.dtype != np.float64 or sums.shape != (3,):
        raise ValueError(f"{prefix}sums is not three numbers of float64")
    n, n_zero_weight = counts.tolist()
    sum_w, sum_w2, sum_log_w = sums.tolist()
    shift, offset, cross = (tensors[f"{prefix}{name}"] for name in ("shift", "offset", "cross"))
    moments = Moments(features, targets, n, n_zero_weight, sum_w, sum_w2, sum_log_w, shift, offset, cross)
    check_moments(moments)
    return moments


def _metadata(content: bytes, source: str) -> dict[str, Any]:
    try:
        metadata = read_metadata(content)
    except ValueError as error:
        raise DataError(
            f"{source} is not a statistics file; expected the safetensors file that an exact fit writes"
        ) from error
    if metadata.get("format") != FORMAT or metadata.get("version") != FORMAT_VERSION:
        raise DataError(
            f"{source} has format {metadata.get('format')} version {metadata.get('version')}; this program "
            f"reads {FORMAT} version {FORMAT_VERSION}: use the program that wrote it, or make it again"
        )
    return metadata
