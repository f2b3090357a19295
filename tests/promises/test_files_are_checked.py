"""A file that was damaged, mixed up or changed is refused by its name; one of an earlier version is read."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from safetensors.numpy import load, save

import linreg_dist as lr
from linreg_dist.errors import DataError, SpecError
from linreg_dist.model.covariance import CoefficientCovariance
from linreg_dist.model.linear_model import LinearModel
from linreg_dist.run.folder import RunFolder
from linreg_dist.run.lock.owner import Owner, read_owner
from linreg_dist.storage.tensors import digest_of, read_metadata
from linreg_dist.verbs.stats import merge_statistics, open_statistics, solve_statistics

Change = Callable[[dict[str, Any], dict[str, Any]], None]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("checked")
    rng = np.random.default_rng(0)
    rows = {
        "x": rng.normal(size=90),
        "z": rng.normal(size=90),
        "c": np.array(["a", "b", "c"])[np.arange(90) % 3],
    }
    rows["y"] = 1 + 2 * rows["x"] - rows["z"] + 0.1 * rng.normal(size=90)
    pq.write_table(pa.table(rows), folder / "rows.parquet")
    job = {
        "data": {"path": str(folder / "rows.parquet"), "target": "y"},
        "run": {"storage_path": str(folder)},
        "tune": {"l2": [0.1, 1.0], "folds": 3},
        "outputs": {"report": False},
    }
    lr.train({**job, "name": "r"})
    lr.train({**job, "name": "plain", "tune": None})
    return folder


@pytest.fixture
def copy(run: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(run, tmp_path / "copy"))


def rewrite_model(folder: Path, change: Change, *, checksum: bool = False) -> None:
    """Change a model's config and tensors, without a checksum as versions wrote it that had none."""
    config = json.loads((folder / "config.json").read_text())
    tensors = dict(load((folder / "model.safetensors").read_bytes()))
    if not checksum:
        del config["checksum"]
    change(config, tensors)
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "model.safetensors").write_bytes(save(tensors, {"format": "linreg_dist", "version": "1"}))


def rewrite_statistics(file: Path, change: Change, *, checksum: bool = False) -> None:
    metadata = read_metadata(file.read_bytes())
    tensors = dict(load(file.read_bytes()))
    if not checksum:
        del metadata["checksum"]
    change(metadata, tensors)
    file.write_bytes(save(tensors, {"linreg_dist": json.dumps(metadata)}))


def nothing(document: dict[str, Any], tensors: dict[str, Any]) -> None:
    pass


def setting(key: str, value: Any) -> Change:
    return lambda document, tensors: document.update({key: value})


def tensor(name: str, change: Callable[[Any], Any]) -> Change:
    return lambda document, tensors: tensors.update({name: change(tensors[name])})


MODEL_CHANGES: dict[str, Change] = {
    "columns reversed": lambda config, tensors: config["columns"].reverse(),
    "a level more": lambda config, tensors: config["columns"][2]["levels"].append("d"),
    "levels swapped": lambda config, tensors: config["columns"][2]["levels"].reverse(),
    "a column less": lambda config, tensors: config["columns"].pop(),
    "names reversed": lambda config, tensors: config["feature_names"].reverse(),
    "no columns": lambda config, tensors: config.pop("columns"),
    "another kind": setting("model_type", "tree"),
    "two targets": setting("targets", ["y", "t"]),
    "no targets": setting("targets", []),
    "missing": setting("missing", "ignore"),
    "means": setting("scaling", {"x_mean": [0.0]}),
    "metrics": setting("metrics", {"train": "good"}),
    "NaN": tensor("coef", lambda coef: coef * np.nan),
    "bools": tensor("coef", lambda coef: coef > 0),
    "wide": tensor("coef", lambda coef: np.hstack([coef, coef])),
    "two rows": tensor("coef", lambda coef: np.vstack([coef, coef])),
    "many intercepts": tensor("intercept", lambda b: np.zeros(200)),
    "no intercept": lambda config, tensors: tensors.pop("intercept"),
}


@pytest.mark.parametrize("name", MODEL_CHANGES)
def test_a_model_that_does_not_fit_together_is_refused(name: str, copy: Path) -> None:
    rewrite_model(copy / "r" / "model", MODEL_CHANGES[name])
    with pytest.raises(SpecError) as caught:
        LinearModel.load(copy / "r")
    assert str(caught.value).startswith(f"the model at {copy / 'r'} cannot be ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "change",
    [
        tensor("coef", lambda coef: coef * (1 + 1e-12)),
        tensor("intercept", lambda b: b + 1),
        lambda config, tensors: config["columns"][2].update(unseen="zero"),
        setting("missing", "drop"),
        setting("rows", {"train": 1}),
    ],
)
def test_a_number_that_was_changed_is_found_by_the_checksum(change: Change, copy: Path) -> None:
    rewrite_model(copy / "r" / "model", change, checksum=True)
    with pytest.raises(SpecError, match="its checksum is another"):
        LinearModel.load(copy / "r")


def test_the_weights_of_another_model_are_found_by_the_checksum(copy: Path) -> None:
    shutil.copy(copy / "plain" / "model" / "model.safetensors", copy / "r" / "model")
    with pytest.raises(SpecError, match="its checksum is another"):
        LinearModel.load(copy / "r")


def test_files_of_versions_without_checksums_are_read(copy: Path, run: Path) -> None:
    rewrite_model(copy / "r" / "model", nothing)
    rewrite_statistics(copy / "r" / "statistics.safetensors", nothing)
    old, new = LinearModel.load(copy / "r"), LinearModel.load(run / "r")
    np.testing.assert_array_equal(old.coef_KD, new.coef_KD)
    assert old.details.to_json() == new.details.to_json()
    solved = [solve_statistics(folder / "r").coef_KD for folder in (copy, run)]
    np.testing.assert_array_equal(*solved)
    rows = pq.read_table(run / "rows.parquet")
    pq.write_table(rows.slice(0, 40), copy / "more.parquet")
    job = {
        "name": "r",
        "data": {"path": [str(run / "rows.parquet"), str(copy / "more.parquet")], "target": "y"},
        "run": {"storage_path": str(copy)},
        "tune": {"l2": [0.1, 1.0], "folds": 3},
        "outputs": {"report": False},
    }
    updated = lr.train(job, update=copy / "r")
    counts = updated.result["rows"]
    assert counts["train"] + counts["validation"] == 130


STATISTICS_CHANGES: dict[str, Change] = {
    "encodings reversed": lambda document, tensors: document["encodings"].reverse(),
    "names reversed": lambda document, tensors: document["feature_names"].reverse(),
    "a name twice": lambda document, tensors: document.update(feature_names=["x"] * 4),
    "targets": lambda document, tensors: document["schema"].update(targets=["t"]),
    "folds": setting("num_folds", 2),
    "many folds": setting("num_folds", 10**9),
    "no extra": setting("extra", []),
    "no schema": setting("schema", None),
    "rows of a piece": lambda document, tensors: document["consumed"][0].update(train=7),
    "a piece": lambda document, tensors: document["consumed"].append(1),
    "row groups": lambda document, tensors: document["consumed"][0].update(row_groups=[[3, 1]]),
    "counts": tensor("counts", lambda counts: counts + np.array([1, 0])),
    "negative counts": tensor("counts", lambda counts: -counts),
    "counts of floats": tensor("counts", lambda counts: counts.astype(float)),
    "NaN": tensor("cross", lambda cross: cross * np.nan),
    "not symmetric": tensor("cross", lambda cross: cross + np.triu(np.ones_like(cross))),
    "negative": tensor("fold.1.cross", lambda cross: -cross),
    "sums": tensor("sums", lambda sums: -sums),
    "shape": tensor("shift", lambda shift: shift[:-1]),
    "float32": tensor("validation.cross", lambda cross: cross.astype(np.float32)),
    "no fold": lambda document, tensors: tensors.pop("fold.2.cross"),
}


@pytest.mark.parametrize("name", STATISTICS_CHANGES)
def test_statistics_that_do_not_fit_together_are_refused(name: str, copy: Path) -> None:
    file = copy / "r" / "statistics.safetensors"
    rewrite_statistics(file, STATISTICS_CHANGES[name])
    for use in (lambda: open_statistics(file), lambda: merge_statistics([copy / "r"], copy / "merged")):
        with pytest.raises(DataError) as caught:
            use()
        assert str(caught.value).startswith(f"{file} is damaged: ")
        assert str(caught.value).endswith("; make the statistics again")


@pytest.mark.parametrize("change", [tensor("cross", lambda c: c * 1.5), setting("extra", {"name": "x"})])
def test_changed_statistics_are_found_by_the_checksum(change: Change, copy: Path) -> None:
    file = copy / "r" / "statistics.safetensors"
    rewrite_statistics(file, change, checksum=True)
    with pytest.raises(DataError, match="its checksum is another"):
        open_statistics(file)


COVARIANCE_CHANGES: dict[str, Change] = {
    "names": setting("names", ["x"]),
    "kind": setting("kind", "HC9"),
    "shape": tensor("matrix", lambda matrix: matrix[:, :2]),
    "negative": tensor("matrix", lambda matrix: -matrix),
    "not symmetric": tensor("matrix", lambda matrix: matrix + np.triu(np.ones_like(matrix))),
    "infinite": tensor("matrix", lambda matrix: matrix * np.inf),
    "scale": tensor("scale", lambda scale: scale * np.nan),
    "no scale": lambda document, tensors: tensors.pop("scale"),
}


@pytest.mark.parametrize("name", COVARIANCE_CHANGES)
def test_a_covariance_that_is_none_is_refused(name: str, copy: Path) -> None:
    file = copy / "plain" / "model" / "covariance.safetensors"
    rewrite_statistics(file, COVARIANCE_CHANGES[name])
    with pytest.raises(SpecError, match=f"the covariance at {file} cannot be read"):
        CoefficientCovariance.load(file)


def test_a_covariance_without_a_checksum_is_read_and_a_changed_one_is_not(copy: Path) -> None:
    file = copy / "plain" / "model" / "covariance.safetensors"
    before = CoefficientCovariance.load(file)
    rewrite_statistics(file, tensor("matrix", lambda matrix: matrix * 2), checksum=True)
    with pytest.raises(SpecError, match="its checksum is another"):
        CoefficientCovariance.load(file)
    rewrite_statistics(file, nothing)
    np.testing.assert_allclose(CoefficientCovariance.load(file).matrix_MQQ, 2 * before.matrix_MQQ)


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{", "[" * 10_000, "{}", '{"status": 1}', '{"status": "failed", "error": "x"}', "\ufffd{"],
)
def test_a_damaged_result_is_named(text: str, copy: Path) -> None:
    (copy / "r" / "result.json").write_text(text)
    with pytest.raises(SpecError, match=r"result\.json is damaged: .+ start over with --fresh"):
        RunFolder(copy / "r").result()


@pytest.mark.parametrize("text", ["", "[]", "{}", "[" * 10_000, '{"nonce": 1, "process": ["a", "b", "c"]}'])
def test_a_damaged_lock_is_named(text: str, tmp_path: Path) -> None:
    file = tmp_path / "lock.json"
    owner = Owner.this_process()
    file.write_bytes(owner.to_json())
    assert read_owner(file) == owner
    file.write_text(text)
    with pytest.raises(SpecError, match=r"lock\.json is not a lock that this version can read"):
        read_owner(file)


def test_the_checksum_is_over_all_that_is_written(run: Path) -> None:
    config = json.loads((run / "r" / "model" / "config.json").read_text())
    tensors = load((run / "r" / "model" / "model.safetensors").read_bytes())
    checksum = config.pop("checksum")
    assert checksum == digest_of(config, tensors)
