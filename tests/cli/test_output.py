"""stdout has the result and nothing else, whatever is printed on the way."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.parquet import linear_columns, write_parquet

pytestmark = pytest.mark.slow  # each of them starts commands of its own

NOISY = """
import os, subprocess, sys, atexit
import linreg_dist.verbs.train as run
from linreg_dist.cli.main import main

real = run.train

def noise(where):
    print("python", where)
    sys.stdout.write("written " + where + "\\n")
    os.write(1, b"from C++\\n")
    subprocess.run(["echo", "from a child"])
    subprocess.run("echo from a child of a child >&1", shell=True)

def train(*arguments, **options):
    noise("before")
    try:
        return real(*arguments, **options)
    finally:
        noise("after")

run.train = train
atexit.register(noise, "at exit")
sys.argv = ["linreg-dist", *sys.argv[1:]]
main()
"""


def call(spec: Path, *arguments: str) -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", NOISY, "train", str(spec), *arguments],
        capture_output=True,
        text=True,
        cwd=spec.parent,
    )
    return done.returncode, done.stdout, done.stderr


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    write_parquet(tmp_path / "d" / "a.parquet", linear_columns())
    (tmp_path / "job.yaml").write_text("name: job\ndata: {path: d, target: y}\n")
    return tmp_path / "job.yaml"


def test_json_is_one_document_whatever_is_printed_meanwhile(spec: Path) -> None:
    code, out, err = call(spec, "--json")
    assert code == 0
    assert json.loads(out)["status"] == "succeeded"
    for said in ("python before", "written after", "from C++", "from a child", "python at exit"):
        assert said in err


def test_an_error_is_one_document_too(spec: Path) -> None:
    code, out, err = call(spec, "--json", "--set", "data.target=nothing")
    assert code == 3
    assert json.loads(out)["error"]["exit_code"] == 3
    assert "from C++" in err


def test_the_table_stands_alone_on_stdout(spec: Path) -> None:
    code, out, _ = call(spec)
    assert code == 0
    assert out.startswith("job: succeeded")
    assert "from" not in out.split("solver")[0]
    assert "python" not in out


def shell(command: str, spec: Path) -> subprocess.CompletedProcess[str]:
    line = f"{sys.executable} -W ignore -m linreg_dist train {spec} {command}"
    return subprocess.run(["bash", "-c", line], capture_output=True, text=True, cwd=spec.parent)


def test_a_reader_that_has_gone_ends_the_command_without_a_traceback(spec: Path) -> None:
    done = shell("--json -q | true; echo ${PIPESTATUS[0]}", spec)
    assert done.stdout.strip() in ("0", "1")
    assert "Traceback" not in done.stderr


def test_a_closed_stderr_loses_no_result(spec: Path) -> None:
    result = json.loads(shell("--json 2>&-", spec).stdout)
    assert result["error"] is None


def in_shell(command: str) -> tuple[int, str]:
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)
    return done.returncode, done.stderr


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&- 2>&-"])
def test_streams_that_are_closed_cost_no_run(spec: Path, closed: str) -> None:
    code, told = in_shell(f"cd {spec.parent} && {sys.executable} -P -m linreg_dist train {spec} {closed}")
    result = json.loads((spec.parent / "runs" / "job" / "result.json").read_text())
    assert (code, result["status"]) == (0, "succeeded"), told
    assert "Traceback" not in told


def test_a_result_that_cannot_be_printed_is_said_and_the_run_has_succeeded(spec: Path) -> None:
    command = f"cd {spec.parent} && {sys.executable} -P -m linreg_dist train {spec} -q"
    code, told = in_shell(f"{command} >/dev/full")
    result = json.loads((spec.parent / "runs" / "job" / "result.json").read_text())
    assert (code, result["status"]) == (1, "succeeded")
    assert told.startswith("Error: the result could not be printed")
    assert "No space left" in told
    assert told.strip().endswith("The run itself has succeeded: " + str(spec.parent / "runs/job/result.json"))
    assert in_shell(f"{command} >/dev/full 2>&1") == (1, "")


def test_any_document_that_cannot_be_printed_is_exit_code_1_without_a_traceback() -> None:
    code, told = in_shell(f"{sys.executable} -P -m linreg_dist schema >/dev/full")
    assert (code, told) == (1, "Error: the output could not be written to stdout: No space left on device\n")
