"""An exact fit in this process, and all that looks at a model or at data, loads neither torch nor ray."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.parquet import linear_columns, write_parquet

_PROGRAM = """
import sys
from linreg_dist.cli.main import main
try:
    main()
except SystemExit as ended:
    code = ended.code or 0
print(code, *sorted({name.partition(".")[0] for name in sys.modules} & {"torch", "ray"}), file=sys.stderr)
"""


def light(*arguments: str | Path) -> str:
    """Run a verb in a process of its own, see that it loads neither, and return what it prints."""
    ran = subprocess.run(
        [sys.executable, "-c", _PROGRAM, *map(str, arguments)], capture_output=True, text=True, check=False
    )
    assert ran.stderr.splitlines()[-1] == "0", ran.stderr
    return ran.stdout


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with data, a spec for it, and the run of that spec."""
    root = tmp_path_factory.mktemp("light")
    columns = {**linear_columns(600, 2), "s": np.array(["a", "b", "c"] * 200), "g": np.arange(600) % 40}
    write_parquet(root / "data" / "a.parquet", columns, row_group_size=200)
    spec = {
        "name": "r",
        "data": {"path": str(root / "data"), "target": "y", "features": ["x0", "x1", "s"]},
        "run": {"storage_path": str(root / "runs")},
    }
    (root / "job.json").write_text(json.dumps(spec))
    result = json.loads(light("train", root / "job.json", "--json"))
    assert result["solver"]["name"] == "exact"
    assert result["metrics"]["validation"]["r2"] > 0.5
    assert (root / "runs" / "r" / "report.html").exists()
    return root


@pytest.mark.parametrize(
    "settings",
    [
        ["data.validation.method=none", "model.covariance=HC3"],
        ["data.cluster=g", "model.covariance=cluster"],
        ["model.l1=0.01"],
        ["tune={folds: 3, l2: [0.01, 1.0]}"],
        ["scaling.memory_budget=0"],
    ],
)
def test_every_kind_of_exact_fit(root: Path, settings: list[str]) -> None:
    sets = [word for setting in ["outputs.report=false", *settings] for word in ("--set", setting)]
    found = json.loads(light("train", root / "job.json", "--json", "--fresh", "--set", "name=other", *sets))
    assert found["status"] == "succeeded"


def test_show(root: Path) -> None:
    shown = json.loads(light("show", root / "runs" / "r", "--json"))
    assert [row["feature"] for row in shown["coefficients"]] == ["x0", "x1", "s=b", "s=c"]


def test_inspect(root: Path) -> None:
    assert json.loads(light("inspect", root / "data", "--json"))["rows"] == 600


def test_evaluate(root: Path) -> None:
    found = json.loads(light("evaluate", root / "runs" / "r", "--data", root / "data", "--json"))
    assert found["rows"] == 600
    assert found["metrics"]["r2"] > 0.5


def test_predict(root: Path) -> None:
    found = light("predict", root / "runs" / "r", "--data", root / "data", "--output", root / "out", "--json")
    assert json.loads(found)["rows"] == 600


def test_validate_with_data(root: Path) -> None:
    light("validate", root / "job.json", "--data")


def test_statistics_are_solved_again(root: Path) -> None:
    solved = json.loads(light("stats", "solve", root / "runs" / "r" / "statistics.safetensors", "--json"))
    assert len(solved["coefficients"]) == 4
