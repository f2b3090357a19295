"""The columns of an Arrow record batch, found in its C structures natively.

Arrow's C data interface (https://arrow.apache.org/docs/format/CDataInterface.html): a struct ``ArrowArray``
of ten 64-bit fields; a batch is an array of structs, whose children are its columns. To ask pyarrow for the
address of each column takes three Python objects a column, with the interpreter's lock held.
"""

from __future__ import annotations

from linreg_dist.kernels.compile import plain_strict_kernel
from linreg_dist.kernels.memory import int64_at

LENGTH, NULL_COUNT, OFFSET, _, _, BUFFERS, CHILDREN = range(7)
_VALIDITY, _VALUES = range(2)


@plain_strict_kernel
def find_columns(batch: int, places: int, count: int, itemsize: int, found: int) -> int:
    """Write where the numbers of columns begin, and return how many of the columns may have nulls.

    All arguments are int64; see `linreg_dist.kernels.calls.addresses_in`, which makes them.
    """
    whole, chosen, addresses = int64_at(batch), int64_at(places), int64_at(found)
    children = int64_at(whole[CHILDREN])
    gaps = 0
    for z in range(count):
        column = int64_at(children[chosen[z]])
        buffers = int64_at(column[BUFFERS])
        addresses[z] = buffers[_VALUES] + (column[OFFSET] + whole[OFFSET]) * itemsize
        gaps += int(buffers[_VALIDITY] != 0 and column[NULL_COUNT] != 0)
    return gaps
