"""Text that others wrote, in names, levels, paths and what jobs say, steers no terminal."""

from __future__ import annotations

import json
import os
import pty
import select
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from linreg_dist.errors import DataError
from linreg_dist.run.finished_run import Run
from tests.parquet import linear_columns, write_parquet

NASTY = {
    "title and clear": "\x1b]0;PWN\x07\x1b[2J",
    "C1": "\x9b2J",
    "colour": "\x1b[31mred",
    "link": "\x1b]8;;http://evil\x1b\\here",
    "bidi": "\u202etxt\u202c",
    "zero width": "a\u200b\u2060b",
    "line break": "x\nError: forged\r",
    "markup": "[bold red]x[/] [link=http://evil]y",
}


def terminal_output(arguments: list[str], cwd: Path) -> str:
    """Return what a command writes to a terminal."""
    master, slave = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "PYTHONWARNINGS": "ignore"}
    process = subprocess.Popen(
        [sys.executable, "-m", "linreg_dist", *arguments],
        stdin=slave, stdout=slave, stderr=slave, cwd=cwd, env=environment,
    )  # fmt: skip
    os.close(slave)
    found, deadline = b"", time.monotonic() + 120
    while time.monotonic() < deadline:
        if not select.select([master], [], [], 0.2)[0]:
            if process.poll() is not None:
                break
            continue
        try:
            piece = os.read(master, 1 << 16)
        except OSError:  # the last one has closed it
            break
        found += piece
    process.wait()
    os.close(master)
    return found.decode()


def without_our_styles(text: str) -> str:
    """Leave out the sequences that rich writes by itself: styles of few digits, the cursor, line ends."""
    import re

    return re.sub(r"\x1b\[(?:[0-9;]*m|\?25[lh]|2K|1A|[0-9]*G)|\r", "", text)


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a run whose columns and levels have hostile names, and data without them."""
    from linreg_dist.verbs.train import train

    folder = tmp_path_factory.mktemp("hostile")
    rng = np.random.default_rng(0)
    columns: dict[str, Any] = {f"{what}{text}": rng.normal(size=80) for what, text in NASTY.items()}
    columns["level"] = [list(NASTY.values())[i % len(NASTY)] for i in range(80)]
    columns["y"] = rng.normal(size=80)
    write_parquet(folder / "data.parquet", columns)
    write_parquet(folder / "other.parquet", {"q" + NASTY["title and clear"]: [1.0, 2.0], "y": [1.0, 2.0]})
    train(
        {
            "name": "r",
            "data": {"path": str(folder / "data.parquet"), "target": "y"},
            "run": {"storage_path": str(folder / "runs")},
        }
    )
    return folder


@pytest.mark.parametrize(
    "arguments",
    [
        ["show", "runs/r"],
        ["show", "runs/r", "--covariance"],
        ["show", "runs/r", "--json"],
        ["inspect", "data.parquet"],
        ["inspect", "data.parquet", "--json"],
        ["evaluate", "runs/r", "--data", "data.parquet"],
        ["evaluate", "runs/r", "--data", "other.parquet"],
        ["evaluate", "runs/r", "--data", "other.parquet", "--json"],
        ["predict", "runs/r", "--data", "other.parquet", "--output", "o"],
        ["stats", "solve", "runs/r"],
        ["stats", "solve", "runs/r", "--features", "\x1b[2J"],
        ["validate", "runs/r/job.yaml", "--resolved"],
        ["validate", "\x1b[2J\u202e.yaml"],
        ["train", "\x1b[2J.yaml"],
        ["train", "runs/r/job.yaml", "--set", "data.target=\x1b[2J"],
        ["train", "runs/r/job.yaml", "--dry-run"],
        ["batch", "runs/r/job.yaml", "--set", "data.path=\x1b[2J\u202e"],
        ["show", "\x1b[2J"],
        ["\x1b[2J"],
        ["list", "--address", "http://\x1b[2J:1"],
    ],
    ids=lambda arguments: " ".join(arguments).encode("ascii", "backslashreplace").decode(),
)
def test_no_verb_sends_text_of_others_to_a_terminal_as_it_is(hostile: Path, arguments: list[str]) -> None:
    seen = without_our_styles(terminal_output(arguments, hostile))
    assert seen.strip()
    assert not set(seen) & set("\x1b\x07\x9b\u202e\u202c\u200b\u2060")
    assert not any(line.startswith("Error: forged") for line in seen.splitlines())


def test_json_has_the_exact_names_as_escapes(hostile: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "linreg_dist", "inspect", "data.parquet", "--json"],
        cwd=hostile, capture_output=True, check=True, text=True,
    )  # fmt: skip
    names = {column["name"] for column in json.loads(done.stdout)["columns"]}
    assert names >= {f"{what}{text}" for what, text in NASTY.items()}
    assert not set(done.stdout) & set("\x1b\x9b\u202e\u200b")


@pytest.mark.parametrize("file", ["model/README.md", "job.yaml", "result.json", "model/config.json"])
def test_no_file_for_people_has_an_unsafe_character(hostile: Path, file: str) -> None:
    text = (hostile / "runs/r" / file).read_text()
    assert not set(text) & set("\x1b\x07\x9b\u202e\u202c\u200b\u2060")


def test_the_model_card_is_one_table_whatever_a_feature_is_called(
    tmp_path: Path, train_here: Callable[..., Run]
) -> None:
    names = ["a`b", "c|d", "e\nf", "<script>alert(1)</script>", "g\\|h", "# head", "x](http://evil)", " "]
    columns = dict(zip(names, np.random.default_rng(0).normal(size=(len(names), 50)), strict=True))
    write_parquet(tmp_path / "d.parquet", {**columns, "y": np.arange(50.0)})
    run = train_here(tmp_path / "d.parquet")
    card = (Path(str(run.path)) / "model" / "README.md").read_text()
    rows = card.partition("| feature | coefficient |\n|---|---|\n")[2].partition("\n\n")[0].splitlines()
    assert len(rows) == len(names)
    assert all(row.count("|") == 3 for row in rows)
    for row in rows:
        code = row.split(" | ")[0].removeprefix("| ")
        assert (code[0] == code[-1] == "`" and "`" not in code[1:-1]) or (
            code.startswith("<code>") and not set("<>`[]#") & set(code[6:-7].replace("&#", ""))
        )


@pytest.mark.parametrize("covariance", ["nonrobust", "HC1"])
def test_a_column_called_intercept_leaves_the_intercepts_inference_alone(
    tmp_path: Path, train_here: Callable[..., Run], covariance: str
) -> None:
    from linreg_dist.model.describe import describe
    from linreg_dist.model.linear_model import LinearModel

    columns = linear_columns(num_features=2)
    found = {}
    for name in ("x0", "(intercept)", "((intercept))"):
        renamed = {name: columns["x0"], "x1": columns["x1"], "y": columns["y"]}
        path = write_parquet(tmp_path / f"{name}.parquet", renamed)
        run = train_here(path, name=f"r{len(name)}", model={"covariance": covariance})
        model = LinearModel.load(Path(str(run.path)))
        found[name] = describe(model).to_json()
        assert len(set(model.cov_names)) == 3
    for name, document in found.items():
        assert document["intercept_inference"] == found["x0"]["intercept_inference"]
        ours, theirs = document["coefficients"][0], found["x0"]["coefficients"][0]
        assert {**ours, "feature": "x0"} == theirs
        assert ours["feature"] == name


@pytest.mark.parametrize("name", ["__row_number__", "row", "row_", "prediction", "(intercept)", "?"])
def test_no_name_of_a_column_meets_one_of_our_own(
    tmp_path: Path, train_here: Callable[..., Run], name: str
) -> None:
    from linreg_dist.verbs.score import evaluate, predict

    columns = linear_columns(num_features=2)
    path = write_parquet(
        tmp_path / "d.parquet", {name: columns["x0"], "x1": columns["x1"], "y": columns["y"]}
    )
    filtered = {"filter": [[name, "<", 0.5]], "missing": "mean"}
    run = train_here(path, data=filtered)
    expected = train_here(
        write_parquet(tmp_path / "e.parquet", columns), name="plain",
        data={"filter": [["x0", "<", 0.5]], "missing": "mean"},
    )  # fmt: skip
    assert run.metrics["train"] == pytest.approx(expected.metrics["train"])
    assert evaluate(run.model, str(path)).metrics.mse > 0
    assert predict(run.model, str(path), tmp_path / "out").rows == 400


def test_two_coefficients_of_one_name_are_refused_with_both_columns(
    tmp_path: Path, train_here: Callable[..., Run]
) -> None:
    path = write_parquet(
        tmp_path / "d.parquet",
        {"a": ["b", "c"] * 20, "a=c": np.arange(40.0) % 7, "y": np.arange(40.0)},
    )
    with pytest.raises(DataError, match=r"'a' and 'a=c' both have a coefficient named 'a=c'"):
        train_here(path)


FORGED = "x\nError: forged\ty"


@pytest.fixture
def forged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder whose name, and names in which, have a line break that begins a message."""
    from tests.parquet import write_parquet

    place = tmp_path / FORGED
    write_parquet(place / "good" / "a.parquet", linear_columns(60, 2))
    (place / "bad").mkdir()
    (place / "bad" / f"{FORGED}.parquet").write_bytes(b"PAR1 and no more")
    write_parquet(place / "other" / f"{FORGED}.parquet", {"q": [1.0, 2.0], "y": [1.0, 2.0]})
    for name in ("good", "bad", "other", "missing"):
        spec = {
            "name": "r",
            "data": {"path": name, "target": "y"},
            "run": {"storage_path": str(place / "runs")},
        }
        (place / f"{name}.json").write_text(json.dumps(spec | {"outputs": {"report": False}}))
    (place / "unknown.json").write_text('{"nonsense": 1}')
    monkeypatch.chdir(place)
    return place


@pytest.mark.parametrize(
    "arguments",
    [
        ["train", "bad.json"],
        ["train", "{}/bad.json", "-v"],
        ["train", "{}/missing.json"],
        ["train", "{}/unknown.json"],
        ["train", "{}/nothing.json"],
        ["validate", "{}/other.json", "--data", "--set", "data.features=[a]"],
        ["inspect", "{}/bad"],
        ["inspect", "missing/{}"],
        ["show", "{}"],
        ["show", "{}/runs/r"],
        ["evaluate", "{}/good", "--data", "good"],
        ["evaluate", "runs/r", "--data", "{}/other"],
        ["evaluate", "runs/r", "--data", "bad"],
        ["predict", "runs/r", "--data", "{}/good", "--output", "{}/good"],
        ["predict", "runs/r", "--data", "other", "--output", "out"],
        ["export", "{}/bad", "--to", "sql", "-o", "m.sql"],
        ["report", "{}", "-o", "{}/bad.json"],
        ["stats", "solve", "{}/bad"],
        ["batch", "{}/bad.json", "{}/nothing.json"],
        ["init", "{}/bad"],
        ["train", "--data", "{}/other", "--target", "nothing"],
    ],
    ids=" ".join,
)
def test_no_name_of_a_file_begins_a_line_of_a_message(
    forged: Path, arguments: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    from tests.fuzz.verbs import verb

    if "runs/r" in arguments:
        assert verb("train", "good.json", "-q").code == 0
        capfd.readouterr()
    done = verb(*(argument.replace("{}", str(forged)) for argument in arguments))
    assert done.code in (1, 2, 3)
    lines = (done.out + done.err).splitlines()
    assert lines
    assert not [line for line in lines if line.startswith("Error: forged")]
