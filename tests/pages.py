"""Markdown pages whose snippets are run: the README and the pages of docs/.

A fence's language says what happens to it:

- ``console``: each line ``$ linreg-dist …`` is run, in order; the lines below it are found in what it prints,
  where ``…`` stands for anything.
- ``python``: executed, all of a page in one namespace.
- ``yaml``: a job spec, or sections of one, which has to be valid.
- ``sh``: commands that need more than this machine; that their verbs and options exist is checked.
- everything else is shown only.

``<!-- not run: the reason -->`` before a fence leaves it out.
"""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

import linreg_dist as lr
from linreg_dist.cli import main as cli_main
from linreg_dist.jobspec import load_spec

ROOT = Path(__file__).parents[1]
_FENCE = re.compile(
    r"(?:^<!-- (?P<mark>not run|excerpt): (?P<why>[^\n]*) -->\n+)?"
    r"^(?P<indent> *)```(?P<language>\w+)\n(?P<code>.*?)^ *```$",
    re.MULTILINE | re.DOTALL,
)
_ENDS = re.compile(r"\s+(?:[|>;&#]|2>).*$")


@dataclass(frozen=True)
class Snippet:
    """A fence of a page: its language, its text, and why it is not run, if it is not."""

    language: str
    code: str
    not_run: str | None = None


def snippets(text: str) -> list[Snippet]:
    """Return the fences of a page, in order."""
    found = []
    for match in _FENCE.finditer(text):
        code = re.sub(rf"^{match['indent']}", "", match["code"], flags=re.MULTILINE)
        found.append(Snippet(match["language"], code, match["why"] if match["mark"] else None))
    return found


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as a clone is after the first example: jobs, their data, and the run that pages look at."""
    folder = tmp_path_factory.mktemp("clone")
    shutil.copytree(ROOT / "jobs", folder / "jobs", ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "benchmarks").symlink_to(ROOT / "benchmarks")
    lr.train(folder / "jobs/flights.yaml", {"run.storage_path": str(folder / "runs")})
    return folder


@pytest.fixture
def checkout(trained: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The same folder as the current one, which a test leaves as it found it."""
    monkeypatch.chdir(trained)
    yield trained
    for item in [*trained.iterdir(), *(trained / "runs").iterdir()]:
        if item.name not in ("jobs", "runs", "flights", "benchmarks"):
            shutil.rmtree(item) if item.is_dir() else item.unlink()


def run_page(text: str, capsys: pytest.CaptureFixture[str], *, python: bool = True) -> int:
    """Run a page's snippets in the current folder, and return how many there were.

    Args:
        text: of the page.
        capsys: to read what commands print.
        python: False only compiles Python, and takes YAML for that of another program.

    """
    names: dict[str, Any] = {}
    number = 0
    for snippet in snippets(text):
        if snippet.not_run is not None:
            continue
        if snippet.language == "console":
            run_console(snippet.code, capsys)
        elif snippet.language == "python":
            code = compile(snippet.code, "a page", "exec")
            if python:
                exec(code, names)  # noqa: S102 (the pages are ours)
        elif snippet.language == "yaml" and python:
            check_spec(snippet.code)
        elif snippet.language == "sh":
            check_commands(snippet.code)
        else:
            continue
        number += 1
    return number


def check_spec(code: str) -> None:
    """Check a job spec, or sections of one, which then stand beside a path and a target."""
    sections = yaml.safe_load(code)
    rest = {} if "data" in sections or "extends" in sections else {"data": {"path": "a", "target": "y"}}
    file = Path("snippet.yaml")
    file.write_text(code if not rest else f"{code}\n{yaml.safe_dump(rest)}")
    load_spec(file)
    file.unlink()


def run_console(code: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Run the commands of a console, and look for the lines that are shown below each."""
    shown: list[list[str]] = []
    for line in code.splitlines():
        if line.startswith("$ "):
            shown.append([line[2:]])
        elif line.strip():
            shown[-1].append(line)
    for command, *lines in shown:
        program, *arguments = shlex.split(command)
        assert program == "linreg-dist", command
        capsys.readouterr()
        code_ = cli_main.run(arguments)
        captured = capsys.readouterr()
        printed = captured.out + captured.err
        expected = 0 if not any("did you mean" in line for line in lines) else (2, 3)
        assert code_ == expected or (isinstance(expected, tuple) and code_ in expected), (
            f"{command}\n{printed}"
        )
        for line in lines:
            pattern = ".*".join(re.escape(part) for part in line.rstrip().split("…"))
            assert re.search(rf"^{pattern}\s*$", printed, flags=re.MULTILINE), (
                f"{command} does not print\n{line}\nbut\n{printed}"
            )


def check_commands(code: str) -> None:
    """Check that the verbs and options of the program that a shell's text calls exist."""
    joined = code.replace("\\\n", " ")
    for line in joined.splitlines():
        if "_LINREG_DIST_COMPLETE" in line:
            continue
        _, found, rest = line.partition("linreg-dist ")
        if not found or line.lstrip().startswith("#") or "-c constraints" in line:
            continue
        rest = re.sub(r"\$\([^)]*\)", "X", rest)
        arguments = shlex.split(_ENDS.sub("", rest.strip().rstrip('")')))
        _check(cli_main.cli, click.Context(cli_main.cli, info_name="linreg-dist"), arguments, line)


def _check(group: click.Group, context: click.Context, arguments: list[str], line: str) -> None:
    if not arguments or arguments[0] in ("--version", "--help", "VERB") or not arguments[0].isascii():
        return
    try:
        _, command, rest = group.resolve_command(context, arguments)
        assert command is not None, line
        if isinstance(command, click.Group):
            _check(command, click.Context(command, parent=context), rest, line)
        elif "--help" not in rest:
            command.make_context(arguments[0], rest, parent=context)
    except click.UsageError as error:
        raise AssertionError(f"{line}: {error.format_message()}") from error
