"""Object code of kernels whose arguments are all int64, loaded without the compiler that made it.

The first process on a machine compiles a kernel by numba and keeps the object code in the private folder of
`linreg_dist.kernels.folder`; later ones load it by llvmlite alone, in some hundredths of a second. Its file
is named after the processor too, as a home folder may be shared by machines that differ.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from linreg_dist.kernels.folder import kernel_folder

# name -> module, number of arguments
_KERNELS = {
    "find_columns": ("linreg_dist.kernels.row_group.arrow", 5),
    "fold_float32": ("linreg_dist.kernels.moments", 11),
    "fold_float64": ("linreg_dist.kernels.moments", 11),
    "meat_float32": ("linreg_dist.kernels.row_group.meat", 13),
    "meat_float64": ("linreg_dist.kernels.row_group.meat", 13),
    "moments_float32": ("linreg_dist.kernels.row_group.centred", 11),
    "moments_float64": ("linreg_dist.kernels.row_group.centred", 11),
    "spread_float32": ("linreg_dist.kernels.moments", 7),
    "spread_float64": ("linreg_dist.kernels.moments", 7),
    "split_rows": ("linreg_dist.kernels.split", 6),
    "take_float32_float32": ("linreg_dist.kernels.split", 8),
    "take_float32_float64": ("linreg_dist.kernels.split", 8),
    "take_float64_float32": ("linreg_dist.kernels.split", 8),
    "take_float64_float64": ("linreg_dist.kernels.split", 8),
}
_MOST_BYTES = 16 << 20
_engines: list[Any] = []  # own the code


def load_function(name: str) -> Callable[..., int]:
    """Return a kernel as a function of integers, which runs without the interpreter lock."""
    module, num_arguments = _KERNELS[name]
    folder = kernel_folder()
    path = None if folder is None else Path(folder) / f"{name}-{_processor()}.o"
    code = _kept(path)
    if code is None:
        compiled = getattr(import_module(module), name)
        code = _object_code(compiled, num_arguments, name)
        _keep(path, code)
    return _linked(code, name, num_arguments)


def _processor() -> str:
    import llvmlite.binding as llvm

    said = f"{llvm.get_process_triple()}:{llvm.get_host_cpu_name()}:{llvm.get_host_cpu_features().flatten()}"
    return hashlib.sha256(said.encode()).hexdigest()[:16]


def _kept(path: Path | None) -> bytes | None:
    if path is None:
        return None
    try:
        code = path.read_bytes()
    except OSError:
        return None
    # A file is renamed into place when it is whole; a disk that lost its end is noticed all the same.
    digest, code = code[:32], code[32:]
    return code if hashlib.sha256(code).digest() == digest else None


def _keep(path: Path | None, code: bytes) -> None:
    if path is None:
        return
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    try:
        temporary.write_bytes(hashlib.sha256(code).digest() + code)
        temporary.replace(path)
    except OSError:  # a full disk costs the next process some seconds
        temporary.unlink(missing_ok=True)


def _object_code(compiled: Any, num_arguments: int, name: str) -> bytes:
    """Return the object code of a numba function, which calls nothing but itself."""
    import llvmlite.binding as llvm
    from numba import int64

    signature = (int64,) * num_arguments
    compiled.compile(signature)
    overload = compiled.overloads[signature]
    module = llvm.parse_assembly(overload.library.get_llvm_str())
    for function in module.functions:
        if function.name == overload.fndesc.llvm_func_name:
            function.name = name
        elif not function.is_declaration:
            function.linkage = "internal"
    machine = _machine()
    builder = llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options(speed_level=0))
    passes = llvm.create_new_module_pass_manager()
    passes.add_global_dead_code_eliminate_pass()
    passes.run(module, builder)
    code: bytes = machine.emit_object(module)
    return code


def _machine() -> Any:
    import llvmlite.binding as llvm

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    return llvm.Target.from_default_triple().create_target_machine(
        cpu=llvm.get_host_cpu_name(),
        features=llvm.get_host_cpu_features().flatten(),
        opt=3,
        reloc="pic",
        codemodel="default",
        jit=True,
    )


def _linked(code: bytes, name: str, num_arguments: int) -> Callable[..., int]:
    import llvmlite.binding as llvm

    # One block for code and constants, whose distance has 32 bits: LLVM ends a process where it has more.
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), _machine(), use_lmm=True)
    engine.add_object_file(llvm.ObjectFileRef.from_data(code))
    engine.finalize_object()
    address = engine.get_function_address(name)
    _engines.append(engine)
    # numba's convention: where to put the result, where to put an exception (there is none), the arguments.
    kinds = [ctypes.c_void_p, ctypes.c_void_p, *[ctypes.c_int64] * num_arguments]
    function = ctypes.CFUNCTYPE(ctypes.c_int32, *kinds)(address)

    def call(*arguments: int) -> int:
        result, raised = ctypes.c_int64(0), ctypes.c_void_p(0)
        function(ctypes.byref(result), ctypes.byref(raised), *arguments)
        return result.value

    return call
