"""The limits of a process, read from a copy of the files that the kernel shows."""

from __future__ import annotations

import errno
import os
import resource
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest
import torch

from linreg_dist import limits
from tests.places import control_group, in_namespaces, inside

_GIB = 1 << 30


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write(tmp_path, "proc/meminfo", f"MemTotal: 99\nMemAvailable: {24 * _GIB >> 10} kB\n")
    return tmp_path


def write(root: Path, name: str, text: object) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{text}\n")


def in_group(root: Path, path: str, *, version: int) -> None:
    line = f"0::{path}" if version == 2 else f"9:memory:{path}\n8:cpu,cpuacct:{path}"
    write(root, "proc/self/cgroup", line)


class TestMemory:
    def test_without_a_limit_it_is_what_the_machine_has_free(self, root: Path) -> None:
        found = limits.available_memory(root)
        assert (found.free, found.source) == (24 * _GIB, "the memory of the machine")

    def test_a_group_of_version_2_limits_it(self, root: Path) -> None:
        in_group(root, "/", version=2)
        write(root, "sys/fs/cgroup/memory.max", 512 << 20)
        write(root, "sys/fs/cgroup/memory.current", 100 << 20)
        found = limits.available_memory(root)
        assert found.free == 412 << 20
        assert "control group" in found.source

    def test_file_pages_that_can_be_given_up_count_as_free(self, root: Path) -> None:
        in_group(root, "/", version=2)
        write(root, "sys/fs/cgroup/memory.max", 512 << 20)
        write(root, "sys/fs/cgroup/memory.current", 500 << 20)
        write(root, "sys/fs/cgroup/memory.stat", f"anon 1\ninactive_file {400 << 20}")
        assert limits.available_memory(root).free == 412 << 20

    @pytest.mark.parametrize("tight", ["pod", "pod/box"])
    def test_every_level_above_the_process_counts(self, root: Path, tight: str) -> None:
        in_group(root, "/pod/box", version=2)
        for level in ("pod", "pod/box"):
            limit: object = _GIB if level == tight else "max"
            write(root, f"sys/fs/cgroup/{level}/memory.max", limit)
            write(root, f"sys/fs/cgroup/{level}/memory.current", 0)
        assert limits.available_memory(root).free == _GIB

    def test_a_group_of_version_1_limits_it(self, root: Path) -> None:
        in_group(root, "/docker/1234", version=1)
        write(root, "sys/fs/cgroup/memory/memory.limit_in_bytes", _GIB)  # the container does not see the path
        write(root, "sys/fs/cgroup/memory/memory.usage_in_bytes", _GIB // 4)
        assert limits.available_memory(root).free == _GIB * 3 // 4

    def test_no_limit_of_version_1_is_a_huge_number(self, root: Path) -> None:
        in_group(root, "/", version=1)
        write(root, "sys/fs/cgroup/memory/memory.limit_in_bytes", 9223372036854771712)
        write(root, "sys/fs/cgroup/memory/memory.usage_in_bytes", 5)
        assert limits.available_memory(root).free == 24 * _GIB

    def test_slurm_says_what_the_job_may_take(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SLURM_JOB_ID", "1")
        monkeypatch.setenv("SLURM_MEM_PER_NODE", "2048")
        assert limits.available_memory(root).free == 2 * _GIB
        monkeypatch.delenv("SLURM_MEM_PER_NODE")
        monkeypatch.setenv("SLURM_MEM_PER_CPU", "1024")
        monkeypatch.setenv("SLURM_CPUS_ON_NODE", "4")
        found = limits.available_memory(root)
        assert (found.free, found.source) == (4 * _GIB, "the memory that SLURM gave to the job")

    def test_the_limit_of_the_shell_counts_from_what_is_taken(self) -> None:
        code = "from linreg_dist import limits; m = limits.available_memory(); print(m.free, m.source)"

        def limit() -> None:
            resource.setrlimit(resource.RLIMIT_AS, (_GIB, _GIB))

        run = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True, preexec_fn=limit
        )
        free, _, source = run.stdout.partition(" ")
        assert 0 < int(free) < _GIB
        assert source.startswith("ulimit -v")


class TestCpus:
    def test_without_a_quota_it_is_the_affinity(self, root: Path) -> None:
        assert limits.available_cpus(root) == len(os.sched_getaffinity(0))

    @pytest.mark.parametrize(
        ("quota", "expected"), [("100000 100000", 1), ("50000 100000", 1), ("max 100000", None)]
    )
    def test_a_quota_of_version_2_limits_it(self, root: Path, quota: str, expected: int | None) -> None:
        in_group(root, "/", version=2)
        write(root, "sys/fs/cgroup/cpu.max", quota)
        assert limits.available_cpus(root) == (expected or len(os.sched_getaffinity(0)))

    def test_a_quota_of_version_1_limits_it(self, root: Path) -> None:
        in_group(root, "/box", version=1)
        write(root, "sys/fs/cgroup/cpu,cpuacct/box/cpu.cfs_quota_us", 100000)
        write(root, "sys/fs/cgroup/cpu,cpuacct/box/cpu.cfs_period_us", 100000)
        assert limits.available_cpus(root) == 1

    def test_no_quota_of_version_1_is_minus_one(self, root: Path) -> None:
        in_group(root, "/box", version=1)
        write(root, "sys/fs/cgroup/cpu/box/cpu.cfs_quota_us", -1)
        write(root, "sys/fs/cgroup/cpu/box/cpu.cfs_period_us", 100000)
        assert limits.available_cpus(root) == len(os.sched_getaffinity(0))

    def test_slurm_says_how_many_a_task_has(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SLURM_CPUS_PER_TASK", "1")
        assert limits.available_cpus(root) == len(os.sched_getaffinity(0))  # outside a job it is a left-over
        monkeypatch.setenv("SLURM_JOB_ID", "1")
        assert limits.available_cpus(root) == 1


class TestALimitThatWasMet:
    @pytest.mark.parametrize(
        "error",
        [
            MemoryError(),
            pa.ArrowMemoryError("malloc of size 64 failed"),
            OSError(errno.ENOMEM, "Cannot allocate memory"),
            torch.OutOfMemoryError("CUDA out of memory"),
            RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes"),
        ],
        ids=lambda error: type(error).__name__,
    )
    def test_of_memory_it_names_the_tightest_one(self, root: Path, error: BaseException) -> None:
        in_group(root, "/", version=2)
        write(root, "sys/fs/cgroup/memory.max", 512 << 20)
        write(root, "sys/fs/cgroup/memory.current", 500 << 20)
        told = limits.limit_met(error, root)
        assert told is not None
        assert "memory could not be had: the memory limit of the control group" in told
        assert "leaves 12 MiB" in told

    def test_what_torch_raises_where_there_is_no_memory_is_known(self, root: Path) -> None:
        with pytest.raises(RuntimeError) as raised:
            torch.empty(1 << 58, dtype=torch.uint8)
        assert limits.limit_met(raised.value, root)

    def test_of_open_files_it_names_ulimit(self, tmp_path: Path) -> None:
        program = """
import resource
from linreg_dist import limits
resource.setrlimit(resource.RLIMIT_NOFILE, (20, 20))
import pyarrow.parquet as pq
held = []
try:
    while True: held.append(open("/dev/null"))
except OSError as error:
    print(limits.limit_met(error))
try:
    pq.ParquetFile(__import__("sys").argv[1])
except OSError as error:
    held.clear()
    print(limits.limit_met(error))
"""
        (tmp_path / "a.parquet").write_bytes(b"PAR1")
        run = subprocess.run(
            [sys.executable, "-c", program, str(tmp_path / "a.parquet")],
            capture_output=True,
            text=True,
            check=True,
        )
        told = run.stdout.splitlines()
        assert len(told) == 2
        assert all("no more files could be opened: the limit is 20 (ulimit -n" in line for line in told)

    @pytest.mark.parametrize(
        "error",
        [BlockingIOError(errno.EAGAIN, "fork"), RuntimeError("can't start new thread")],
        ids=["processes", "threads"],
    )
    def test_of_processes_and_threads_it_names_the_control_group(
        self, root: Path, error: BaseException
    ) -> None:
        write(root, "proc/self/cgroup", "0::/")
        write(root, "sys/fs/cgroup/pids.max", 64)
        write(root, "sys/fs/cgroup/pids.current", 64)
        told = limits.limit_met(error, root)
        assert told is not None
        assert "allows 64 and has 64" in told

    def test_it_is_found_behind_what_it_led_to(self, root: Path) -> None:
        outer = ValueError("a column")
        outer.__cause__ = MemoryError()
        assert limits.limit_met(outer, root)

    @pytest.mark.parametrize(
        "error", [ValueError("x"), OSError(errno.ENOENT, "x"), RuntimeError("gloo"), None]
    )
    def test_other_errors_tell_of_none(self, root: Path, error: BaseException | None) -> None:
        assert limits.limit_met(error, root) is None


_TOLD = "from linreg_dist import limits; print(limits.available_memory(), limits.available_cpus())"


class TestRealControlGroups:
    """Those of the kernel, not copies of its files."""

    def test_memory_of_a_group_of_version_1_is_what_a_process_in_it_may_take(self) -> None:
        with control_group("memory", {"memory.limit_in_bytes": 256 << 20}) as folder:
            ran = inside(folder, [sys.executable, "-c", _TOLD])
        assert ran.returncode == 0, ran.stderr
        assert f"the memory limit of the control group {folder}" in ran.stdout
        assert int(ran.stdout.partition("free=")[2].partition(",")[0]) < 256 << 20

    def test_a_quota_of_cores_counts_as_it_is_set(self) -> None:
        settings = {"cpu.cfs_period_us": 100_000, "cpu.cfs_quota_us": 100_000}
        with control_group("cpu", settings) as folder:
            ran = inside(folder, [sys.executable, "-c", _TOLD])
        assert ran.returncode == 0, ran.stderr
        assert ran.stdout.split()[-1] == "1"

    def test_threads_that_a_group_refuses_are_told_with_its_limit(self) -> None:
        program = """
import threading
from linreg_dist import limits
hold = threading.Event()
try:
    while True:
        threading.Thread(target=hold.wait, daemon=True).start()
except RuntimeError as error:
    print(limits.limit_met(error))
"""
        with control_group("pids", {"pids.max": 40}) as folder:
            ran = inside(folder, [sys.executable, "-c", program])
        assert ran.returncode == 0, ran.stderr
        assert f"the control group {folder} allows 40" in ran.stdout

    def test_a_group_of_version_2_counts_on_every_level_where_a_container_sees_it(self) -> None:
        """A mount of the files of a pod's group, whose own limit is below that of the box in it."""
        script = f"""
mount --make-rprivate /
mount -t tmpfs tmpfs /sys/fs/cgroup
cd /sys/fs/cgroup
mkdir -p pod/box
for level in pod pod/box; do echo 0 > $level/memory.current; echo "max 100000" > $level/cpu.max; done
echo $((64 << 20)) > pod/memory.max
echo $((512 << 20)) > pod/box/memory.max
echo "100000 100000" > pod/cpu.max
echo "0::/pod/box" > cgroup
mount --bind cgroup /proc/$$/cgroup 2>/dev/null || exit 9
exec {sys.executable} -c '{_TOLD}'
"""
        ran = in_namespaces(script, "--mount")
        if ran.returncode == 9:
            pytest.skip("no file can be mounted over one of /proc here")
        assert ran.returncode == 0, ran.stderr
        assert "control group /sys/fs/cgroup/pod" in ran.stdout
        assert f"free={64 << 20}," in ran.stdout
        assert ran.stdout.split()[-1] == "1"
