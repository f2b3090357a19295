from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import click
import pytest

import linreg_dist.verbs.validate
from linreg_dist import __version__
from linreg_dist.cli import main as cli_main
from linreg_dist.documents import DataCheck
from linreg_dist.errors import ClusterError, DataError, InterruptedRunError, LinregDistError, RunFailedError
from linreg_dist.jobspec import JobSpec, json_schema, load_spec

SPEC = "data: {path: flights, target: delay}\n"
Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """Run a command line in a folder with job.yaml; return its exit code, stdout and stderr."""
    monkeypatch.chdir(tmp_path)
    Path("job.yaml").write_text(SPEC)

    def run(*arguments: str) -> tuple[int, str, str]:
        code = cli_main.run(arguments)
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


FITS = DataCheck(
    files=1, row_groups=1, rows=3, features=["x"], categorical=[], skipped_columns={}, solver="exact"
)


class TestValidate:
    def test_a_valid_spec_is_exit_0_and_one_line_on_stderr(self, call: Call) -> None:
        assert call("validate", "job.yaml") == (0, "", "job.yaml: valid\n")
        assert call("validate", "job.yaml", "-q") == (0, "", "")

    def test_an_invalid_spec_is_exit_2_and_every_error_is_a_bare_line(self, call: Call) -> None:
        code, out, err = call("validate", "job.yaml", "--set", "solver.epochs=0", "--set", "modl=1")
        assert (code, out) == (2, "")
        assert err.splitlines() == [
            '--set: unknown key "modl"; did you mean "model"? @ modl',
            "--set: found the number 0, expected a number of at least 1 @ solver.epochs",
        ]

    def test_resolved_prints_what_would_run_with_its_overrides(self, call: Call) -> None:
        code, out, _ = call("validate", "job.yaml", "--resolved", "--set", "model.l2=1e-3")
        Path("again.yaml").write_text(out)
        assert code == 0
        assert load_spec("again.yaml") == load_spec("job.yaml", ["model.l2=1e-3"])

    def test_json_is_one_document_on_stdout(self, call: Call) -> None:
        code, out, err = call("validate", "job.yaml", "--json", "--resolved")
        document = json.loads(out)
        assert (code, err) == (0, "")
        assert (document["status"], document["name"], document["jobs"]) == ("valid", "job", ["job"])
        assert document["resolved"]["data"]["target"] == "delay"
        assert len(document["spec_hash"]) == 64

    def test_json_reports_an_error_on_stdout_too(self, call: Call) -> None:
        code, out, err = call("validate", "job.yaml", "--json", "--set", "solver.epochs=0")
        message = "--set: found the number 0, expected a number of at least 1 @ solver.epochs"
        assert json.loads(out) == {
            "status": "failed",
            "error": {"type": "SpecError", "message": message, "exit_code": 2},
        }
        assert (code, err) == (2, message + "\n")

    def test_secrets_are_not_printed(self, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("LINREG_DIST_TEST_TOKEN", "hunter2")
        setting = ("--set", "cluster.env.T=${LINREG_DIST_TEST_TOKEN}")
        for extra in ((), ("--json",)):
            code, out, err = call("validate", "job.yaml", "--resolved", *setting, *extra)
            assert code == 0
            assert "${LINREG_DIST_TEST_TOKEN}" in out
            assert "hunter2" not in out + err

    def test_a_matrix_is_expanded_and_checked(self, call: Call) -> None:
        Path("job.yaml").write_text(SPEC + "matrix: {model.l2: [0, 1, 2]}\n")
        assert call("validate", "job.yaml") == (0, "", "job.yaml: valid, 3 jobs\n")
        Path("job.yaml").write_text(SPEC + "solver: {name: exact}\nmatrix: {model.loss: [squared, huber]}\n")
        code, _, err = call("validate", "job.yaml")
        assert code == 2
        assert err.startswith("combination model.loss=huber: ")

    def test_data_is_checked_on_request(self, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
        checked: list[JobSpec] = []

        def check_data(spec: JobSpec) -> DataCheck:
            checked.append(spec)
            return FITS

        monkeypatch.setattr(linreg_dist.verbs.validate, "check_data", check_data)
        code, out, err = call("validate", "job.yaml", "--data", "--json")
        assert (code, err) == (0, "")
        assert json.loads(out)["data"] == {"job": FITS.to_json()}
        assert [spec.data.target for spec in checked] == ["delay"]
        assert call("validate", "job.yaml", "--data")[2] == "job.yaml: valid; the data fits\n"

    def test_data_that_does_not_fit_is_exit_3(self, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
        def check_data(spec: JobSpec) -> NoReturn:
            raise DataError('flights: there is no column "delay"')

        monkeypatch.setattr(linreg_dist.verbs.validate, "check_data", check_data)
        assert call("validate", "job.yaml", "--data") == (
            3,
            "",
            'Error: flights: there is no column "delay"\n',
        )


def test_schema_prints_the_schema(call: Call) -> None:
    code, out, err = call("schema")
    assert (code, json.loads(out), err) == (0, json_schema(), "")


class TestUsage:
    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (("valdate",), 'there is no verb "valdate"; did you mean "validate"?'),
            (("validate",), "Missing argument 'SPEC'."),
            (("validate", "--foo", "job.yaml"), "there is no option --foo"),
            (("validate", "-q", "-v", "job.yaml"), "-q and -v exclude each other; give one of them"),
        ],
    )
    def test_bad_usage_is_exit_2(self, arguments: tuple[str, ...], message: str, call: Call) -> None:
        code, out, err = call(*arguments)
        assert (code, out) == (2, "")
        assert message in err
        assert "Traceback" not in err

    def test_an_unknown_verb_that_is_like_none_lists_the_verbs(self, call: Call) -> None:
        assert f"the verbs are {', '.join(cli_main.VERBS)}" in call("xyz")[2]

    def test_bad_usage_with_json_is_a_document_too(self, call: Call) -> None:
        code, out, _ = call("validate", "--json")
        assert (code, json.loads(out)["error"]["exit_code"]) == (2, 2)

    def test_help_lists_every_verb_and_version_is_the_package_s(self, call: Call) -> None:
        code, out, _ = call("--help")
        assert code == 0
        assert all(f"  {verb} " in out for verb in cli_main.VERBS)
        assert call("--version") == (0, f"linreg-dist {__version__}\n", "")

    @pytest.mark.parametrize("verb", cli_main.VERBS)
    def test_every_verb_in_the_table_exists_and_has_help(self, verb: str, call: Call) -> None:
        code, out, _ = call(verb, "--help")
        assert code == 0
        assert out.startswith(f"Usage: linreg-dist {verb} ")


class TestExitCodes:
    @pytest.fixture
    def raising(self, call: Call, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[int, str, str]]:
        """Run ``schema`` with a body that raises."""
        from linreg_dist.cli import schema

        def run(error: BaseException, *arguments: str) -> tuple[int, str, str]:
            def body(**_: object) -> NoReturn:
                raise error

            monkeypatch.setattr(schema.schema, "callback", body)
            return call("schema", *arguments)

        return run

    @pytest.mark.parametrize(
        ("error", "code"),
        [(RunFailedError("x"), 1), (LinregDistError("x"), 1), (DataError("x"), 3), (ClusterError("x"), 4),
         (InterruptedRunError("x"), 130)],
    )  # fmt: skip
    def test_an_error_of_the_package_has_its_own_code_and_no_traceback(
        self, error: LinregDistError, code: int, raising: Callable[..., tuple[int, str, str]]
    ) -> None:
        assert raising(error, "-v") == (code, "", "Error: x\n")

    def test_ctrl_c_is_130(self, raising: Callable[..., tuple[int, str, str]]) -> None:
        code, out, err = raising(KeyboardInterrupt(), "--json")
        assert (code, err.strip()) == (130, "Error: interrupted")
        document = json.loads(out)
        assert (document["status"], document["error"]["type"]) == ("interrupted", "InterruptedRunError")

    def test_an_unexpected_error_is_one_line_and_exit_1(
        self, raising: Callable[..., tuple[int, str, str]]
    ) -> None:
        code, out, err = raising(ZeroDivisionError("one\ntwo"))
        assert (code, out) == (1, "")
        assert err == "Error: one two (ZeroDivisionError); run again with -v for the traceback\n"

    def test_an_unexpected_error_has_a_traceback_with_v(
        self, raising: Callable[..., tuple[int, str, str]]
    ) -> None:
        code, _, err = raising(ZeroDivisionError("one"), "-v")
        assert code == 1
        assert err.startswith("Traceback")
        assert err.endswith("ZeroDivisionError: one\n")

    def test_a_verb_s_return_value_is_the_exit_code(
        self, call: Call, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from linreg_dist.cli import schema

        monkeypatch.setattr(schema.schema, "callback", lambda **_: 1)
        assert call("schema")[0] == 1

    def test_a_table_entry_that_is_no_command_is_a_programming_error(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(cli_main.VERBS, "broken", ("os:getcwd", "x"))
        with pytest.raises(TypeError, match="os:getcwd is no click command"):
            cli_main.cli.get_command(click.Context(cli_main.cli), "broken")


class TestProcess:
    def test_help_loads_nothing_heavy(self) -> None:
        program = (
            "import sys; from linreg_dist.cli.main import run; code = run(['--help']);"
            "print([m for m in ('torch', 'ray', 'numpy', 'pyarrow', 'pydantic', 'yaml', 'rich', "
            "'matplotlib', 'jinja2') if m in "
            "sys.modules]);"
            "sys.exit(code)"
        )
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
        assert done.stdout.splitlines()[-1] == "[]"

    def test_the_package_the_spec_and_validate_load_nothing_heavy(self, tmp_path: Path) -> None:
        file = tmp_path / "job.yaml"
        file.write_text(SPEC)
        program = (
            "import sys, linreg_dist, linreg_dist.jobspec; from linreg_dist.cli.main import run;"
            f"code = run(['validate', {str(file)!r}]);"
            "print([m for m in ('torch', 'ray', 'numpy', 'pyarrow', 'scipy', 'pandas', 'sklearn', "
            "'matplotlib', 'jinja2') if m in sys.modules]);"
            "sys.exit(code)"
        )
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
        assert done.stdout == "[]\n"

    def test_a_reader_that_goes_away_causes_no_noise(self) -> None:
        command = [sys.executable, "-c", "from linreg_dist.cli.main import main; main()", "schema"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            process.stdout.close()
            assert process.stderr.read() == b""
        assert process.returncode == 1

    def test_an_interrupt_from_outside_is_130_without_a_traceback(self, tmp_path: Path) -> None:
        # The verb waits for its own interrupt, so that the signal cannot come before the handler is there.
        program = (
            "import signal; from linreg_dist.cli import main, schema\n"
            "def body(**_):\n    signal.raise_signal(signal.SIGINT)\n"
            "schema.schema.callback = body; main.main()"
        )
        command = [sys.executable, "-c", program, "schema"]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=50)
        assert (done.returncode, done.stderr.strip()) == (130, "Error: interrupted")
