"""Places as others have them: file systems of any kind, name spaces, control groups, other users.

What this user may not make here is skipped, with the reason, which the end of the tests' output counts.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

STRANGER = 12345
"""A user id without a name, as OpenShift gives."""

ROOT = Path(__file__).parents[1]


@contextmanager
def mounted(
    path: Path, options: str = "size=1m", *, kind: str = "tmpfs", device: object = "tmpfs"
) -> Iterator[Path]:
    """Mount a file system within the block."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a file system")
    path.mkdir()
    command = ["mount", "-t", kind, "-o", options, str(device), str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"no {kind} can be mounted here: {done.stderr.strip()}")
    try:
        yield path
    finally:
        subprocess.run(["umount", "--lazy", str(path)], check=False, capture_output=True)


@contextmanager
def disk(path: Path, *mkfs_options: str, size: int = 8 << 20) -> Iterator[Path]:
    """Mount an ext4 of its own, which lies in a file beside it, within the block."""
    image = path.with_suffix(".image")
    with image.open("wb") as file:
        file.truncate(size)
    try:
        made = subprocess.run(
            ["mkfs.ext4", "-q", "-m", "0", *mkfs_options, str(image)],
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError as error:
        pytest.skip(f"no mkfs.ext4 on this machine: {error}")
    assert made.returncode == 0, made.stderr
    with mounted(path, "loop", kind="ext4", device=image):
        yield path


def in_namespaces(
    script: str, *flags: str, env: Mapping[str, str] | None = None, timeout: float = 120
) -> subprocess.CompletedProcess[str]:
    """Run a script of bash in name spaces of its own: ``--mount``, ``--pid --fork``, ``--uts``."""
    space = ["unshare", *flags]
    try:
        allowed = subprocess.run([*space, "true"], capture_output=True, text=True, check=False)
    except OSError as error:
        pytest.skip(f"no unshare on this machine: {error}")
    if allowed.returncode != 0:
        pytest.skip(f"no name spaces can be made here: {allowed.stderr.strip()}")
    environment = dict(os.environ) if env is None else dict(env)
    return subprocess.run(
        [*space, "bash", "-euc", script],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout,
    )


def _first_closed(place: Path) -> Path | None:
    """Return the topmost folder of a path that others may not look into."""
    return next((each for each in (*reversed(place.parents), place) if not each.stat().st_mode & 0o001), None)


def as_stranger(command: str, group: int = 0) -> str:
    """Return a command of a shell for a user without a name and without a home.

    The group is root's, as on OpenShift, unless told: who is in it sees processes that ``hidepid`` hides.
    """
    for place in (ROOT, Path(sys.prefix)):
        if closed := _first_closed(place):
            pytest.skip(f"other users may not look into {closed}, where this checkout lies")
    return (
        f"env -u USER -u LOGNAME HOME=/ setpriv --reuid={STRANGER} --regid={group} --clear-groups {command}"
    )


def cli(*arguments: object) -> str:
    """Return the command line as words of a shell; it leaves no bytecode behind."""
    return " ".join([sys.executable, "-B", "-P", "-m", "linreg_dist", *map(str, arguments)])


# A python in a home that is closed to others is shown to them under its own path, in a mount name space.
BASE = Path(sys.base_prefix)
_CLOSED = _first_closed(BASE)
OPENED = (
    f"mkdir /mnt/python; mount --bind {BASE} /mnt/python; mount -t tmpfs -o mode=755 tmpfs {_CLOSED}; "
    f"mkdir -p {BASE}; mount --bind /mnt/python {BASE}; "
    if _CLOSED
    else ""
)
"""Commands of a shell, for after something is mounted at /mnt."""


@contextmanager
def control_group(controller: str, settings: Mapping[str, object]) -> Iterator[Path]:
    """Make a control group of version 1 within the block; a pid in its ``cgroup.procs`` is in it."""
    folder = Path("/sys/fs/cgroup", controller, f"linreg-dist-test-{os.getpid()}")
    try:
        folder.mkdir()
    except OSError as error:
        pytest.skip(f"no control group for {controller} can be made here: {error}")
    try:
        for name, value in settings.items():
            (folder / name).write_text(str(value))
        yield folder
    finally:
        with suppress(OSError):  # its last process may be on its way out
            folder.rmdir()


def inside(folder: Path, command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Run a command in a control group."""
    enter = f'echo $$ > {folder}/cgroup.procs; exec "$@"'
    return subprocess.run(
        ["bash", "-c", enter, "bash", *command], capture_output=True, text=True, check=False, timeout=120
    )
