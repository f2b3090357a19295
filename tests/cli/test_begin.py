"""``init``, and ``train`` without a file."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from linreg_dist.cli import main as cli_main
from linreg_dist.jobspec import load_spec
from tests.parquet import linear_columns, write_parquet

Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """Run a command line in a folder with rows.parquet, which has a gap."""
    monkeypatch.chdir(tmp_path)
    columns = dict(linear_columns(200, 2))
    write_parquet(Path("rows.parquet"), columns)
    columns["x0"][3] = float("nan")
    write_parquet(Path("gap.parquet"), columns)
    Path("nothing").mkdir()

    def run(*arguments: str) -> tuple[int, str, str]:
        code = cli_main.run(arguments)
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


def test_init_prints_the_draft_or_writes_it_and_says_what_to_do(call: Call) -> None:
    code, out, err = call("init", "rows.parquet")
    assert (code, err) == (0, "")
    assert out.startswith("# Drafted by linreg-dist init from all 200 rows.")
    code, out, err = call("init", "rows.parquet", "-o", "job.yaml")
    assert (code, out) == (0, "")
    assert err == "wrote job.yaml: y from 2 columns\nRead it, then: linreg-dist train job.yaml\n"
    assert load_spec("job.yaml").data.features == ("x0", "x1")


def test_init_prints_one_document(call: Call) -> None:
    code, out, _ = call("init", "rows.parquet", "--target", "x1", "--json")
    document = json.loads(out)
    assert code == 0
    assert (document["targets"], document["path"], document["rows"]) == (["x1"], None, 200)
    assert document["spec"].startswith("# Drafted")


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["init", "rows.parquet", "--target", "x"], 3, "no column 'x' (target)"),
        (["init", "none.parquet"], 3, "does not exist"),
        (["init", ""], 2, "the path of the data is empty"),
        (["init"], 2, "Missing argument"),
        (["init", "s3://KEY:h1dden@bucket/rows"], 2, "the command line: found a URI with credentials"),
        (["train"], 2, "there is no SPEC"),
        (["train", "--data", "rows.parquet"], 2, "--data without --target"),
        (["train", "--target", "y"], 2, "--target without --data"),
        (["train", "--data", "rows.parquet", "--target", "z"], 3, "no column 'z' (target)"),
        (["train", "--data", "rows.parquet", "--target", "y", "--set", "modl=1"], 2, 'did you mean "model"'),
        (["train", "--data", "rows.parquet", "--target", ""], 2, "the command line: "),
        (["train", "nothing"], 2, "train on it by linreg-dist train --data nothing --target COLUMN"),
        (["train", "rows.parquet"], 2, "this is Parquet and no job spec"),
    ],
)
def test_what_cannot_be_done_is_one_message(
    call: Call, arguments: list[str], code: int, message: str
) -> None:
    found, out, err = call(*arguments)
    assert (found, out) == (code, "")
    assert message in err
    assert "h1dden" not in err


def test_a_folder_in_place_of_a_spec_names_the_specs_in_it(call: Call) -> None:
    (Path("nothing") / "job.yaml").write_text("")
    assert 'did you mean "nothing/job.yaml"?' in call("train", "nothing")[2]


def test_train_needs_no_file(call: Call) -> None:
    arguments = ["--data", "rows.parquet", "--target", "y", "--set", "outputs.report=false", "--json", "-q"]
    code, out, _ = call("train", *arguments)
    result = json.loads(out)
    assert (code, result["status"], result["name"]) == (0, "succeeded", "rows-y")
    assert Path("runs/rows-y/model").is_dir()
    named = json.loads(call("train", *arguments, "--set", "name=mine", "--set", "model.l2=0.1")[1])
    assert named["name"] == "mine"


def test_data_and_target_go_before_what_a_spec_says(call: Call) -> None:
    Path("sub").mkdir()
    Path("sub/job.yaml").write_text("data: {path: nowhere, target: z}\noutputs: {report: false}\n")
    code, out, err = call("train", "sub/job.yaml", "--data", "rows.parquet", "--target", "y", "--json", "-q")
    assert (code, json.loads(out)["name"]) == (0, "job"), err


def test_data_that_does_not_fit_points_to_init_and_its_draft_trains(call: Call) -> None:
    arguments = ["--data", "gap.parquet", "--target", "y", "--set", "outputs.report=false"]
    for extra in (["--dry-run"], []):
        code, _, err = call("train", *arguments, *extra)
        if code == 0:  # footers do not count NaN
            assert extra
            continue
        assert code == 3
    advice = err.splitlines()[-1]
    assert advice.startswith("A spec that fits this data, to read and to change: linreg-dist init")
    assert call(*shlex.split(advice.partition("linreg-dist ")[2]))[0] == 0
    assert call("train", "job.yaml", "--set", "outputs.report=false", "-q")[0] == 0


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("data/flights", "flights"),
        ("data/flights/", "flights"),
        ("a/b.parquet", "b"),
        ("s3://lab/flights?region=x", "flights"),
        ("data/*/part-*.parquet", "data"),
        ("../my data/x y.parquet", "x-y"),
        (".", "job"),
    ],
)
def test_a_run_is_named_after_its_data(path: str, name: str) -> None:
    from linreg_dist.jobspec import run_name

    assert run_name(path) == name
