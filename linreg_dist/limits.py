"""The limits of this process: cores and memory that it may really use, and what to say of one that was met.

A container, a batch system or the shell may allow less than the machine has. The smallest limit counts:
affinity and CPU quota for cores; free memory, control groups (v1 and v2, every level above the process) and
``ulimit -v`` for memory; what SLURM or Ray gave to this process for both.
"""

from __future__ import annotations

import errno
import os
import resource
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

_CGROUPS = Path("/sys/fs/cgroup")
MACHINE_MEMORY = "the memory of the machine"
"""The source of a limit that no program set."""
_NO_LIMIT = 1 << 60  # control groups v1 write "no limit" as a number near 2**63
_ADVICE = {
    "memory": "Give it more memory, set a lower scaling.memory_budget or global_batch_size, use fewer "
    "workers on a machine, or write smaller row groups",
    "files": "Raise the limit, or use fewer workers on a machine",
    "threads": "Raise the limit, use fewer cores (taskset), or fewer workers on a machine",
}
_TORCH_ALLOCATOR = ("DefaultCPUAllocator", "CUDA out of memory", "not enough memory")


@dataclass(frozen=True)
class MemoryLimit:
    """Memory that may still be taken, and what sets the limit.

    Attributes:
        free: bytes.
        source: the limit in words, for messages.

    """

    free: int
    source: str


def available_cpus(root: Path = Path("/")) -> int:
    """Return the number of cores that this process may keep busy, at least 1.

    Args:
        root: where ``/proc`` and ``/sys`` are; tests give another folder.

    """
    counts = [float(len(os.sched_getaffinity(0)))]
    counts += [quota for folder in _control_groups("cpu", root) if (quota := _cpu_quota(folder)) is not None]
    if "SLURM_JOB_ID" in os.environ and (share := os.environ.get("SLURM_CPUS_PER_TASK", "")).isdecimal():
        counts.append(float(share))
    if (share_of_ray := _ray_share("CPU")) is not None:
        counts.append(share_of_ray)
    return max(1, int(min(counts)))


def machine_cpus() -> int:
    """Return the number of cores that all processes like this one share, at least 1."""
    return len(os.sched_getaffinity(0))


def available_memory(root: Path = Path("/")) -> MemoryLimit:
    """Return the memory that this process can still take without swapping or being killed.

    Args:
        root: where ``/proc`` and ``/sys`` are; tests give another folder.

    """
    limits = [_machine_memory(root)]
    limits += [
        MemoryLimit(free, f"the memory limit of the control group {folder}")
        for folder in _control_groups("memory", root)
        if (free := _group_memory(folder)) is not None
    ]
    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    if soft != resource.RLIM_INFINITY:
        limits.append(MemoryLimit(max(0, soft - _address_space(root)), f"ulimit -v ({soft >> 10} KiB)"))
    if "SLURM_JOB_ID" in os.environ and (share := _slurm_memory(os.environ)) is not None:
        limits.append(MemoryLimit(share, "the memory that SLURM gave to the job"))
    if (share_of_ray := _ray_share("memory")) is not None:
        limits.append(MemoryLimit(int(share_of_ray), "the memory that Ray gave to this task"))
    return min(limits, key=lambda limit: limit.free)


def _machine_memory(root: Path) -> MemoryLimit:
    """Return what could be taken without swapping: Linux counts the page cache that it would give up."""
    for line in _text(root / "proc/meminfo").splitlines():
        if line.startswith("MemAvailable:"):
            return MemoryLimit(int(line.split()[1]) << 10, MACHINE_MEMORY)
    half = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
    return MemoryLimit(half, "half the memory of the machine")


def _control_groups(controller: str, root: Path) -> Iterator[Path]:
    """Yield the folders of this process's control groups of one controller, from its own to the topmost.

    A container sees its own group as the topmost, under a path of the host that it may not have.
    """
    base = root / _CGROUPS.relative_to("/")
    for line in _text(root / "proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            tops = [base, base / "unified"]
        elif controller in controllers.split(","):
            tops = [base / controllers, base / controller]
        else:
            continue
        below = PurePosixPath(path).relative_to("/")
        for top in tops:
            for part in (below, *below.parents):
                if (folder := top / part).is_dir():
                    yield folder


def _cpu_quota(folder: Path) -> float | None:
    quota, _, period = _text(folder / "cpu.max").strip().partition(" ")
    if not quota:
        quota = _text(folder / "cpu.cfs_quota_us").strip()
        period = _text(folder / "cpu.cfs_period_us").strip()
    if not quota.isdecimal() or not period.isdecimal() or int(period) == 0:  # "max", -1 or nothing
        return None
    return int(quota) / int(period)


def _group_memory(folder: Path) -> int | None:
    """Return what a control group leaves, counting file pages that the kernel would give up as free."""
    for limit_file, usage_file, cache in (
        ("memory.max", "memory.current", "inactive_file"),
        ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    ):
        limit, usage = _text(folder / limit_file).strip(), _text(folder / usage_file).strip()
        if limit.isdecimal() and usage.isdecimal() and int(limit) < _NO_LIMIT:
            given_up = 0
            for line in _text(folder / "memory.stat").splitlines():
                name, _, value = line.partition(" ")
                if name == cache and value.strip().isdecimal():
                    given_up = int(value)
            return max(0, int(limit) - int(usage) + given_up)
    return None


def _address_space(root: Path) -> int:
    pages = _text(root / "proc/self/statm").split()
    return int(pages[0]) * os.sysconf("SC_PAGE_SIZE") if pages else 0


def _slurm_memory(environment: Mapping[str, str]) -> int | None:
    """Return the bytes that SLURM gave to the job on this node; it writes megabytes."""
    node, cpu = environment.get("SLURM_MEM_PER_NODE", ""), environment.get("SLURM_MEM_PER_CPU", "")
    if node.isdecimal():
        return int(node) << 20
    cpus = environment.get("SLURM_CPUS_ON_NODE", "")
    return (int(cpu) << 20) * int(cpus) if cpu.isdecimal() and cpus.isdecimal() else None


def _ray_share(resource_name: str) -> float | None:
    """Return what Ray gave to the task or actor that this code runs in; None elsewhere.

    Without a number of cores it counts as one: others may run beside it. Memory is unlimited by default.
    """
    ray = sys.modules.get("ray")  # who runs inside a task has it loaded
    if ray is None or not ray.is_initialized():
        return None
    context = ray.get_runtime_context()
    if context.worker.mode != ray.WORKER_MODE:
        return None
    share = context.get_assigned_resources().get(resource_name)
    if not share:
        return 1.0 if resource_name == "CPU" else None
    return float(share)


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:  # no such limit here, or none that this user may see
        return ""


def limit_met(error: BaseException | None, root: Path = Path("/")) -> str | None:
    """Return what to say of an error that tells of memory, open files, processes or threads that could not be
    had, with the limit that was met; None of any other error. Errors that led to it are looked at too.

    Args:
        error: any error.
        root: where ``/proc`` and ``/sys`` are; tests give another folder.

    """
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        kind = _kind_of_limit(error)
        if kind is not None:
            found = " ".join(str(error).split())[:300]
            met = {"memory": _memory_met, "files": _files_met, "threads": _threads_met}[kind](root)
            return f"{met}{f' ({found})' if found else ''}. {_ADVICE[kind]}"
        error = error.__cause__
    return None


def let_through(error: BaseException) -> None:
    """Raise an error again that tells of a limit of this process, for handlers that blame what they read."""
    if _kind_of_limit(error) is not None:
        raise error


def _kind_of_limit(error: BaseException) -> str | None:
    number = error.errno if isinstance(error, OSError) else None
    text = str(error)
    if isinstance(error, MemoryError) or number == errno.ENOMEM or type(error).__name__ == "OutOfMemoryError":
        return "memory"
    if number in (errno.EMFILE, errno.ENFILE):
        return "files"
    if isinstance(error, BlockingIOError) and number == errno.EAGAIN:
        return "threads"
    if isinstance(error, RuntimeError):
        if "can't start new thread" in text:
            return "threads"
        if any(words in text for words in _TORCH_ALLOCATOR):
            return "memory"
    return None


def _memory_met(root: Path) -> str:
    limit = available_memory(root)
    return f"memory could not be had: {limit.source} leaves {limit.free / 2**20:,.0f} MiB"


def _files_met(_: Path) -> str:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return f"no more files could be opened: the limit is {soft:,} (ulimit -n; at most {hard:,})"


def _threads_met(root: Path) -> str:
    soft, _ = resource.getrlimit(resource.RLIMIT_NPROC)
    limits = (
        [] if soft == resource.RLIM_INFINITY else [f"ulimit -u is {soft:,} for all processes of this user"]
    )
    for folder in _control_groups("pids", root):
        most, now = _text(folder / "pids.max").strip(), _text(folder / "pids.current").strip()
        if most.isdecimal():
            limits.append(f"the control group {folder} allows {most} and has {now or 'an unknown number'}")
    return f"no more threads or processes could be started: {'; '.join(limits) or 'no limit is set here'}"
