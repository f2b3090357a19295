"""The examples for tools that run a command, as far as they can be checked without the tools."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from linreg_dist.cli.train import train as train_verb
from linreg_dist.integrations.outcome import FINAL, INTERRUPTED, MEANING, RETRYABLE
from linreg_dist.jobspec import load_spec
from tests.integrations.conftest import ORCHESTRATORS

EXAMPLES = Path(__file__).parents[2] / "docs/examples"
PAGE = (EXAMPLES.parent / "workflows.md").read_text()


@pytest.mark.parametrize("file", sorted(EXAMPLES.rglob("job.yaml")), ids=lambda file: file.parent.name)
def test_the_specs_of_the_examples_are_valid(file: Path) -> None:
    assert load_spec(file).data.targets == ("arr_delay",)


@pytest.mark.parametrize(
    "file", [file for file in sorted(EXAMPLES.rglob("*")) if file.is_file()], ids=lambda file: file.name
)
def test_the_commands_of_the_examples_have_only_options_that_there_are(file: Path) -> None:
    known = {name for parameter in train_verb.params for name in parameter.opts}
    text = file.read_text().replace('"\n        "', "").replace("\\\n", " ")
    for command in re.findall(r"linreg-dist train ([^>\n\"]*)", text):
        used = {word for word in shlex.split(command.replace("'", "")) if word.startswith("-")}
        assert used <= known, command


def test_the_page_says_of_every_exit_code_what_the_integrations_do() -> None:
    rows = dict(re.findall(r"^\| (\d+)\D*?\| [^|]*\| ([^|]*)\|$", PAGE, flags=re.MULTILINE))
    assert {int(code) for code in rows} >= {*MEANING}
    for code in RETRYABLE | {INTERRUPTED}:
        assert rows[str(code)].startswith("try again")
    for code in FINAL:
        assert rows[str(code)].startswith("do not try again")


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd on this machine")
def test_systemd_takes_the_units(tmp_path: Path) -> None:
    for file in (EXAMPLES / "systemd").iterdir():
        text = file.read_text().replace("/srv/flights/.venv/bin/linreg-dist", "/bin/true")
        (tmp_path / file.name).write_text(text.replace("/srv/flights", str(tmp_path)))
    units = sorted(str(file) for file in tmp_path.iterdir())
    done = subprocess.run(["systemd-analyze", "verify", *units], capture_output=True, text=True, check=False)
    assert str(tmp_path) not in done.stderr, done.stderr
    assert "linreg" not in done.stderr, done.stderr


def test_the_service_retries_what_a_retry_can_mend() -> None:
    unit = (EXAMPLES / "systemd/linreg-flights.service").read_text()
    settings = dict(re.findall(r"^(\w+)=(.*)$", unit, flags=re.MULTILINE))
    assert {int(code) for code in settings["RestartPreventExitStatus"].split()} == FINAL
    assert settings["SuccessExitStatus"] == str(INTERRUPTED)
    assert int(settings["TimeoutStopSec"]) > 10


def test_every_orchestrator_is_tested_every_week_and_named_where_it_is_looked_for() -> None:
    root = EXAMPLES.parents[1]
    names = {file.parent.name for file in (root / "tests/integrations").glob("*/requirements.txt")}
    weekly = yaml.safe_load((root / ".github/workflows/integrations.yml").read_text())
    assert set(weekly["jobs"]["orchestrator"]["strategy"]["matrix"]["name"]) == names == {*ORCHESTRATORS}
    assert "make test-integrations" in (root / "README.md").read_text()
