"""A container as others run it: a read-only root, a random user without a home, one place to write to."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

import pytest

from tests.parquet import linear_columns, write_parquet
from tests.places import OPENED, STRANGER, as_stranger, cli, in_namespaces

pytestmark = pytest.mark.slow  # each is a command in name spaces of its own

# A mount of the root over itself that cannot be written to; what else is mounted, as /proc and /dev, stays.
_READ_ONLY = "mount --make-rprivate /; mount --bind / /; mount -o remount,bind,ro /; cd /etc"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """What is copied to /mnt, the one place that can be written to."""
    write_parquet(tmp_path / "a.parquet", linear_columns(400, 2))
    spec = {"name": "r", "data": {"path": "a.parquet", "target": "y"}, "run": {"storage_path": "/mnt/runs"}}
    (tmp_path / "job.json").write_text(json.dumps(spec))
    return tmp_path


def with_place(place: Path, script: str) -> str:
    fill = f"mount -t tmpfs -o mode=1777 tmpfs /mnt; cp -r {place}/. /mnt; chmod -R a+rX /mnt"
    return f"{fill}; {OPENED} {_READ_ONLY}; {script}"


def test_one_place_to_write_to_is_enough(place: Path) -> None:
    """No temporary folder, no home, no current directory that could be written to."""
    script = f"""
if touch /tmp/x /var/tmp/x 2>/dev/null; then exit 9; fi
{cli("train /mnt/job.json -q")} >/dev/null
{cli("train /mnt/job.json --set name=s --set solver.name=sgd -q")} >/dev/null
{cli("predict /mnt/runs/r --data /mnt/a.parquet --output /mnt/out")} >/dev/null
{cli("export /mnt/runs/s --to sql -o /mnt/model.sql")} >/dev/null
{cli("report /mnt/runs/r /mnt/runs/s -o /mnt/page.html")} >/dev/null
ls /mnt /mnt/runs/r
{cli("batch /mnt/job.json")} >/dev/null || echo "batch: exit $?" >&2
"""
    ran = in_namespaces(with_place(place, script), "--mount")
    assert ran.returncode == 0, ran.stderr
    assert {"out", "model.sql", "page.html", "result.json", "model", "report.html"} <= set(ran.stdout.split())
    assert "no temporary folder can be written to; set TMPDIR to one that can\nbatch: exit 2\n" in ran.stderr
    assert "Traceback" not in ran.stderr


def test_a_random_user_trains_on_workers_as_the_docker_command_of_the_page_has_it(place: Path) -> None:
    """`docker run -u 12345 --read-only --tmpfs /tmp`, with a Ray of its own that leaves no process."""
    if Path(tempfile.gettempdir()) in Path(sys.prefix).parents:
        pytest.skip("the tests' own Python lies in /tmp, which this test hides")
    work = as_stranger(cli("train /mnt/job.json -q --json --set scaling.num_workers=1"))
    look = "sleep 3; ps -eo uid=,args= >&2"
    script = f"mount -t tmpfs -o mode=1777 tmpfs /tmp; mount -t proc proc /proc; {work}; {look}"
    ran = in_namespaces(with_place(place, script), "--mount", "--pid", "--fork", timeout=300)
    assert ran.returncode == 0, ran.stderr
    result = json.loads(ran.stdout)
    assert (result["status"], result["num_workers"]) == ("succeeded", 1)
    assert [line for line in ran.stderr.splitlines() if line.split()[:1] == [str(STRANGER)]] == []
