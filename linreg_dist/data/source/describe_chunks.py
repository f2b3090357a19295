"""A program that describes the column chunks of Parquet footers: footers on stdin, JSON lines on stdout.

pyarrow parses parts of a column chunk when it is first asked for, where nobody catches a C++ exception: one
wrong byte ends the process (`std::terminate`, SIGABRT). So it is asked in a process of its own, which runs
this file. It imports nothing of the package, so that it starts fast and from anywhere.

A footer comes as eight bytes of length, little-endian, and the last bytes of its file. Its line is
``[[column, [encoding, …], [codec, …], bytes, nulls], …]``, one item for each top-level column, summed over
the row groups; ``nulls`` is null where a chunk has no statistics. Or it is ``{"error": message}``.
"""

import json
import sys
from typing import Any, BinaryIO, TextIO

import pyarrow as pa
import pyarrow.parquet as pq


def main(source: BinaryIO, sink: TextIO) -> None:
    """Describe every footer, and write each line before the next footer is looked at."""
    while head := source.read(8):
        tail = source.read(int.from_bytes(head, "little"))
        try:
            document: Any = describe(tail)
        except (ValueError, OSError, pa.ArrowException) as error:
            document = {"error": " ".join(str(error).split())}
        sink.write(json.dumps(document) + "\n")
        sink.flush()


def describe(tail: bytes) -> list[list[Any]]:
    """Return what the module says of one footer; may end the process."""
    footer = pq.read_metadata(pa.BufferReader(tail))
    found: dict[str, list[Any]] = {}
    for number in range(footer.num_row_groups):
        group = footer.row_group(number)
        for place in range(group.num_columns):
            chunk = group.column(place)
            name = chunk.path_in_schema.split(".")[0]
            column = found.setdefault(name, [name, set(), set(), 0, 0])
            column[1].update(map(str, chunk.encodings))
            column[2].add(str(chunk.compression))
            column[3] += chunk.total_uncompressed_size
            nulls = None
            if chunk.is_stats_set and chunk.statistics.has_null_count:
                nulls = chunk.statistics.null_count
            column[4] = None if column[4] is None or nulls is None else column[4] + nulls
    return [
        [name, sorted(encodings), sorted(codecs), *rest] for name, encodings, codecs, *rest in found.values()
    ]


if __name__ == "__main__":
    main(sys.stdin.buffer, sys.stdout)
