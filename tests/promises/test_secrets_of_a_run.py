"""No value of the environment is in any file, message or process listing of a run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from linreg_dist.jobspec import load_spec
from linreg_dist.run.ray.session import environment_of_workers, ray_session
from linreg_dist.wording.secrets import with_templates
from tests.parquet import linear_columns, write_parquet

pytestmark = pytest.mark.slow  # each of them starts commands of its own

HUSH = "S3cr3tXYZ"
ENVIRONMENT = {**os.environ, "TOKEN": HUSH, "PLACE": f"long-{HUSH}", "PYTHONWARNINGS": "ignore"}


def call(folder: Path, *arguments: str) -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, "-m", "linreg_dist", *arguments],
        cwd=folder, env=ENVIRONMENT, capture_output=True, text=True,
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


def files_with(folder: Path, secret: str) -> list[str]:
    paths = [path for path in folder.rglob("*") if path.is_file()]
    return [str(path) for path in paths if secret.encode() in path.read_bytes()]


@pytest.mark.parametrize(
    ("path", "solver"),
    [
        ("data-${TOKEN}", "exact"),
        ("data-${TOKEN}/*.parquet", "exact"),
        ("${PLACE}", "sgd"),
        ("x/${TOKEN}/d.parquet", "sgd"),
    ],
)
def test_the_value_in_a_path_is_nowhere(tmp_path: Path, path: str, solver: str) -> None:
    value = path.replace("${TOKEN}", HUSH).replace("${PLACE}", f"long-{HUSH}")
    place = tmp_path / value.removesuffix("/*.parquet")
    write_parquet(place if place.suffix else place / "d.parquet", linear_columns(60))
    spec = {
        "name": "r",
        "data": {"path": path, "target": "y"},
        "solver": {"name": solver, "epochs": 2},
        "run": {"storage_path": "runs"},
    }
    (tmp_path / "j.json").write_text(json.dumps(spec))
    others = [
        ("show", "runs/r", "--json"),
        ("validate", "j.json", "--resolved", "--data"),
        ("batch", "j.json", "--json"),
        ("stats", "solve", "runs/r"),
    ]
    said = []
    for arguments in (
        ("train", "j.json", "--json"),
        ("show", "runs/r"),
        *(others if path == "data-${TOKEN}" else []),
    ):
        code, out, err = call(tmp_path, *arguments)
        assert code == 0, err
        said.append(out + err)
    assert files_with(tmp_path / "runs", HUSH) == []
    assert not any(HUSH in text for text in said)
    config = json.loads((tmp_path / "runs/r/model/config.json").read_text())
    assert config["data"]["path"] == [f"{tmp_path}/{path}"]
    assert f"{tmp_path}/{path}" in said[1]


@pytest.mark.parametrize("fault", ["nothing there", "no Parquet", "missing column", "null"])
def test_the_value_is_in_no_error(tmp_path: Path, fault: str) -> None:
    columns = linear_columns(60)
    if fault == "missing column":
        del columns["y"]
    if fault == "null":
        columns["x0"][3] = np.nan
    if fault == "no Parquet":
        (tmp_path / f"data-{HUSH}").mkdir()
        (tmp_path / f"data-{HUSH}" / "d.parquet").write_text("no")
    elif fault != "nothing there":
        write_parquet(tmp_path / f"data-{HUSH}" / "d.parquet", columns)
    spec = {"name": "r", "data": {"path": "data-${TOKEN}", "target": "y"}, "run": {"storage_path": "runs"}}
    (tmp_path / "j.json").write_text(json.dumps(spec))
    code, out, err = call(tmp_path, "train", "j.json", "--json", "-v")
    assert code == 3
    assert "data-${TOKEN}" in err
    assert HUSH not in out + err
    assert files_with(tmp_path / "runs", HUSH) == []
    assert "data-${TOKEN}" in (tmp_path / "runs/r/result.json").read_text()


def test_a_password_of_a_job_servers_address_is_in_no_message(tmp_path: Path) -> None:
    address = f"http://u:{HUSH}@127.0.0.1:9"
    write_parquet(tmp_path / "d.parquet", linear_columns(60))
    (tmp_path / "j.json").write_text(json.dumps({"data": {"path": "d.parquet", "target": "y"}}))
    for arguments in (
        ("list",), ("logs", "r"), ("submit", "j.json", "--dry-run", "--json"),
        ("list", "--json"), ("train", "j.json"),
    ):  # fmt: skip
        _, out, err = call(tmp_path, *arguments, "--address", address)
        assert HUSH not in out + err
        assert "127.0.0.1" in out + err or "cluster.address" in err
    code, out, err = call(tmp_path, "list", "--address", f"u:{HUSH}@host:8265")
    assert code == 2
    assert HUSH not in out + err


@pytest.mark.usefixtures("no_ray")
def test_workers_of_our_own_ray_inherit_variables_that_no_listing_shows(
    tmp_path: Path,
) -> None:
    import ray

    spec = load_spec(
        {
            "data": {"path": str(tmp_path), "target": "y"},
            "scaling": {"num_workers": 1},
            "cluster": {"env": {"LINREG_DIST_TEST_TOKEN": "${HUSH_TOKEN}"}},
        },
        environ={"HUSH_TOKEN": HUSH},
    )
    assert environment_of_workers(spec) == {"env_vars": {"LINREG_DIST_TEST_TOKEN": HUSH}}
    assert "LINREG_DIST_TEST_TOKEN" not in os.environ
    with ray_session(spec, verbose=False):
        assert environment_of_workers(spec) is None
        read = ray.remote(lambda: os.environ.get("LINREG_DIST_TEST_TOKEN")).options(num_cpus=0)
        assert ray.get(read.remote()) == HUSH
        listing = subprocess.run(
            ["ps", "axww", "-o", "args"], capture_output=True, text=True, check=True
        ).stdout
        assert HUSH not in listing
        session = Path(ray._private.worker._global_node.get_session_dir_path())
        assert files_with(session / "logs", HUSH) == []
    assert "LINREG_DIST_TEST_TOKEN" not in os.environ
    assert with_templates(HUSH) == "${HUSH_TOKEN}"
