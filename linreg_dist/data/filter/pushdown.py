"""Row groups that a filter rules out before they are read: by a file's hive keys and its statistics.

pyarrow is asked about statistics in another process (this module, run as a program), which a damaged footer
may end.
"""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.abc import MetaPathFinder
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from linreg_dist.data.filter.predicates import bind

if TYPE_CHECKING:
    import pyarrow.compute as pc

    from linreg_dist.jobspec import Condition

_TIMEOUT_S = 300.0
_PACKAGES = Path(__file__).parents[2]
_FAULTS = (pa.ArrowException, OSError, ValueError, TypeError, OverflowError)


@dataclass(frozen=True)
class Question:
    """What a file has to be asked: whether its row groups may satisfy a filter.

    Attributes:
        tail: the end of the file, with the whole footer.
        size: bytes of the file.
        dnf: the filter without what is known of the whole file already, on the file's own names.

    """

    tail: bytes
    size: int
    dnf: list[list[Condition]]


def ask_file(
    tail: bytes,
    size: int,
    names: Sequence[str],
    dnf: Sequence[Sequence[Condition]],
    constants: Mapping[str, Any],
    kinds: Mapping[str, pa.DataType],
    stored: Mapping[str, str],
) -> Question | bool:
    """Return the conditions left for a file; True if all of it may satisfy the filter, False if nothing can.

    Args:
        tail, size: as in `Question`.
        names: of its columns, its own.
        dnf: the filter.
        constants, kinds: the columns that have one value in the whole file, and their types.
        stored: its own name of each column that is called otherwise in the file.

    """
    groups: list[list[Condition]] = []
    for conditions in dnf:
        left: list[Condition] = []
        for name, op, value in conditions:
            own = stored.get(name, name)
            if own in names:
                left.append((own, op, value))
            elif name in constants and not _is_true((name, op, value), constants[name], kinds[name]):
                break
        else:
            if not left:
                return True
            groups.append(left)
    return Question(tail, size, groups) if groups else False


def _is_true(condition: Condition, value: Any, kind: pa.DataType) -> bool:
    try:
        return bool(bind(condition, kind).mask(pa.array([value], kind)).all())
    except _FAULTS:
        return True  # whoever binds the filter says so


def possible_groups(questions: Sequence[Question]) -> list[frozenset[int] | None]:
    """Return for each file the row groups in which a row may satisfy the filter; None if all may.

    What cannot be judged, because a column has no statistics or the footer is damaged, may.
    """
    if not questions:
        return []
    content = b"".join(_framed(json.dumps([q.size, q.dnf]).encode()) + _framed(q.tail) for q in questions)
    path = os.pathsep.join([str(_PACKAGES), *filter(None, [os.environ.get("PYTHONPATH")])])
    try:
        done = subprocess.run(  # noqa: S603 (our own interpreter and program)
            [sys.executable, "-P", __file__],
            input=content,
            capture_output=True,
            timeout=_TIMEOUT_S,
            env={**os.environ, "PYTHONPATH": path},
        )
        answers = [json.loads(line) for line in done.stdout.splitlines()]
    except (subprocess.TimeoutExpired, OSError, ValueError):
        answers = []
    found = [None if answer is None else frozenset(answer) for answer in answers]
    return [*found, *[None] * (len(questions) - len(found))]


def _framed(content: bytes) -> bytes:
    return len(content).to_bytes(8, "little") + content


def _answer(stream: BinaryIO) -> None:
    """Answer the questions of a stream, a line each."""
    while head := stream.read(8):
        size, dnf = json.loads(stream.read(int.from_bytes(head, "little")))
        tail = stream.read(int.from_bytes(stream.read(8), "little"))
        groups = judge(Question(tail, size, dnf))
        print(json.dumps(None if groups is None else sorted(groups)), flush=True)


def judge(question: Question) -> frozenset[int] | None:
    """Answer one question, in this process."""
    import pyarrow.dataset as ds  # would load pandas in those who only ask

    try:
        schema = pq.read_metadata(pa.BufferReader(question.tail)).schema.to_arrow_schema()
        wanted = None
        for conditions in question.dnf:
            expression = _expression(conditions, schema)
            if expression is None:
                return None
            wanted = expression if wanted is None else wanted | expression
        fragment = ds.ParquetFileFormat().make_fragment(
            pa.PythonFile(_Tail(question.tail, question.size), "r")
        )
        return frozenset(group.id for group in fragment.subset(wanted).row_groups)
    except _FAULTS:
        return None  # whoever reads the file says what is wrong with it


def _expression(conditions: Sequence[Condition], schema: pa.Schema) -> pc.Expression | None:
    """Return what a row group must satisfy; None if nothing can be said."""
    found = None
    for name, op, value in conditions:
        kind = schema.field(name).type
        predicate = bind((name, op, value), kind)
        expression = predicate.expression(name, kind)
        if expression is not None:
            found = expression if found is None else found & expression
    return found


class _Tail(io.RawIOBase):
    """A file of which only the end is there; what comes before reads as zeros."""

    def __init__(self, tail: bytes, size: int) -> None:
        self._tail, self._size, self._at = tail, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = offset + (0, self._at, self._size)[whence]
        return self._at

    def tell(self) -> int:
        return self._at

    def read(self, size: int | None = -1) -> bytes:
        end = self._size if size is None or size < 0 else min(self._size, self._at + size)
        begin = self._size - len(self._tail)
        zeros = bytes(max(0, min(end, begin) - self._at))
        found = zeros + self._tail[max(0, self._at - begin) : max(0, end - begin)]
        self._at = max(self._at, end)
        return found


class _NoPandas(MetaPathFinder):
    """A finder that says pandas is not installed.

    pyarrow would load it for a list of values, which takes twice as long as all else that this program does.
    """

    def find_spec(self, fullname: str, path: object, target: object = None) -> None:
        if fullname == "pandas":
            raise ModuleNotFoundError(fullname, name=fullname)


if __name__ == "__main__":
    sys.meta_path.insert(0, _NoPandas())
    _answer(sys.stdin.buffer)
