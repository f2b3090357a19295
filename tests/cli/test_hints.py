"""An option or a verb that does not exist is answered by what was meant, never by one that deletes."""

from __future__ import annotations

from pathlib import Path

import pytest

from linreg_dist.cli import main as cli_main


def message(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert cli_main.run(arguments) == 2
    return capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize(
    ("options", "advice"),
    [
        (
            ["--workers", "2"],
            "there is no option --workers; fields of the spec are set by --set scaling.num_workers=2",
        ),
        (["--epochs=3"], "--set solver.epochs=3"),
        (["--num-workers", "2"], "--set scaling.num_workers=2"),
        (["--learning-rate"], "--set solver.learning_rate=VALUE"),
        (["--lr", "0.1"], "--set solver.learning_rate=0.1"),
        (["--model-l2", "0.1"], "--set model.l2=0.1"),
        (["--frehs"], "did you mean --fresh?"),
        (["--targets", "y"], "did you mean --target?"),
        (["--xyzzy"], "there is no option --xyzzy; linreg-dist train --help lists those it has"),
    ],
)
def test_an_option_that_is_a_field_is_shown_as_one(
    capsys: pytest.CaptureFixture[str], options: list[str], advice: str
) -> None:
    assert message(capsys, "train", "job.yaml", *options).endswith(advice)


def test_a_verb_without_fields_lists_its_options(capsys: pytest.CaptureFixture[str]) -> None:
    assert message(capsys, "show", "m", "--epochs", "3").endswith(
        "linreg-dist show --help lists those it has"
    )


@pytest.mark.parametrize(
    ("verb", "meant"),
    [("help", "--help"), ("fit", "train"), ("run", "train"), ("score", "predict"), ("merge", "stats merge")],
)
def test_another_word_for_a_verb_is_understood(
    capsys: pytest.CaptureFixture[str], verb: str, meant: str
) -> None:
    assert message(capsys, verb).endswith(f'there is no verb "{verb}"; did you mean "linreg-dist {meant}"?')


@pytest.mark.parametrize(
    ("setting", "advice"),
    [
        ('version="1"', 'found "1", expected 1; remove the quotes @ version'),
        ("data.filter=dep_delay > 100", 'write [[column, "<", value]], a list of conditions @ data.filter'),
        ("data.features=x0", "write [x0] @ data.features"),
    ],
)
def test_what_a_setting_should_be_is_right(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, setting: str, advice: str
) -> None:
    (tmp_path / "job.yaml").write_text("data: {path: a, target: y}")
    assert message(capsys, "validate", str(tmp_path / "job.yaml"), "--set", setting).endswith(advice)


@pytest.mark.parametrize("text", ["a,b\n1,2\n", "a,b\n"])
def test_texts_in_place_of_parquet_are_told_how_to_become_parquet(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, text: str
) -> None:
    (tmp_path / "d.csv").write_text(text)
    assert cli_main.run(["inspect", str(tmp_path / "d.csv")]) == 3
    err = capsys.readouterr().err
    assert "is no Parquet file; expected Parquet. Convert it once" in err
    assert "pyarrow.csv.read_csv" in err


def test_a_hub_is_no_file_system(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli_main.run(["inspect", "hf://datasets/a/b"]) == 2
    assert "download it first" in capsys.readouterr().err
