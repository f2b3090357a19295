"""Numbers at an address, and the few atomic operations by which threads share a list of work.

numba's arrays cost a bounds calculation for every slice; a pointer costs nothing. The addresses come from
arrays that the caller keeps alive.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

yield_core = types.ExternalFunction("sched_yield", types.int32())


@intrinsic  # type: ignore[untyped-decorator]  # numba has no types
def pointer(typingctx: Any, address: Any, like: Any) -> Any:
    """Return a pointer to numbers of the type of the array ``like`` at an address in bytes."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.inttoptr(arguments[0], context.get_value_type(signature.return_type))

    return types.CPointer(like.dtype)(types.int64, like), generate


def _pointer_to(kind: Any) -> Any:
    @intrinsic  # type: ignore[untyped-decorator]  # numba has no types
    def at(typingctx: Any, address: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return builder.inttoptr(arguments[0], context.get_value_type(signature.return_type))

        return types.CPointer(kind)(types.int64), generate

    return at


# Pointers to numbers at an address in bytes.
float32_at, float64_at = _pointer_to(types.float32), _pointer_to(types.float64)
int64_at = _pointer_to(types.int64)


@intrinsic  # type: ignore[untyped-decorator]  # numba has no types
def fetch_add(typingctx: Any, address: Any, amount: Any) -> Any:
    """Add to the int64 at an address and return what it was before, as one step for all threads."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        where = builder.inttoptr(arguments[0], ir.IntType(64).as_pointer())
        return builder.atomic_rmw("add", where, arguments[1], "seq_cst")

    return types.int64(types.int64, types.int64), generate


@intrinsic  # type: ignore[untyped-decorator]  # numba has no types
def read_shared(typingctx: Any, address: Any) -> Any:
    """Return the int64 at an address; what its writer wrote before it is visible afterwards."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        where = builder.inttoptr(arguments[0], ir.IntType(64).as_pointer())
        return builder.load_atomic(where, "acquire", 8)

    return types.int64(types.int64), generate


@intrinsic  # type: ignore[untyped-decorator]  # numba has no types
def write_shared(typingctx: Any, address: Any, value: Any) -> Any:
    """Write an int64 at an address, after all that this thread wrote before."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        where = builder.inttoptr(arguments[0], ir.IntType(64).as_pointer())
        builder.store_atomic(arguments[1], where, "release", 8)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), generate
