"""What is damaged, and what has to hold: no exit code but 0, 2 and 3, and no other numbers without a word."""

from __future__ import annotations

import io
import json
import os
import random
import shutil
import traceback
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from safetensors.torch import load, save

import linreg_dist as lr
from linreg_dist.cluster.log_lines import LogLines
from linreg_dist.console import ProgressDisplay
from linreg_dist.data.reader import RowGroupReader
from linreg_dist.data.source.footers import describe_chunks
from linreg_dist.data.source.manifest import read_manifest
from linreg_dist.documents import EpochLine
from linreg_dist.errors import DataError, LinregDistError
from linreg_dist.model.linear_model import LinearModel
from linreg_dist.page import epoch_lines
from linreg_dist.training.checkpoints.checkpoint import CheckpointStore, Progress
from linreg_dist.wording.events import parse_event
from tests.fuzz.mutations import damage_bytes, damage_json, to_text
from tests.fuzz.verbs import verb, within_bounds

Target = Callable[[Path, random.Random], None]

SPEC = """
version: 1
name: flights
data:
  path: [rows.parquet, s3://bucket/key]
  target: arr_delay
  features: [dep_delay, "distance", carrier]
  filter: [[dep_delay, "<", 600], [carrier, in, [AA, UA]]]
  categorical: {carrier: [AA, UA, DL], month: auto}
  validation: &v {method: hash, fraction: 0.25, seed: 3}
model: {loss: squared, l2: 1.0e-3, covariance: HC1}
solver: {name: auto, epochs: 10, early_stop: {patience: 3}}
tune: null
scaling: {num_workers: [1, 2], resources_per_worker: {CPU: 1}, memory_budget: 4GiB}
run: {storage_path: "${HOME}/runs", timeout_s: 60.5, max_failures: -1}
cluster: {env: {A: "${HOME}"}}
matrix: {model.l1: [0.0, 0.1], solver.seed: [1, 2, 3]}
"""


def spec(folder: Path, rng: random.Random) -> None:
    """A spec is valid or refused by lines that name the file."""
    content = SPEC.encode()
    if rng.random() < 0.3:
        import yaml

        content = to_text(damage_json(yaml.safe_load(SPEC), rng))
    else:
        content = damage_bytes(content, rng)
    file = folder / "job.yaml"
    file.write_bytes(content)
    done = verb("validate", file, "--resolved")
    assert done.code in (0, 2), done
    if done.code == 2:
        lines = done.err.splitlines()
        assert all(line.startswith((str(file), "and ", "combination ")) for line in lines), done.err
        return
    (folder / "again.yaml").write_text(done.out)
    again = verb("validate", folder / "again.yaml", "--resolved")
    assert (again.code, again.out) == (0, done.out)


@cache
def _run(root: Path) -> Path:
    """Train a small model once, with levels, several targets, folds and everything else that is written."""
    generator = np.random.default_rng(0)
    n = 120
    rows = {
        "x": generator.normal(size=n),
        "z": generator.normal(size=n),
        "c": np.array(["a", "b", "c"])[np.arange(n) % 3],
    }
    rows["y"] = 1 + rows["x"] - 2 * rows["z"] + generator.normal(size=n)
    rows["t"] = 3 - rows["x"] + generator.normal(size=n)
    pq.write_table(pa.table(rows), root / "rows.parquet", row_group_size=50)
    job = {
        "name": "base",
        "data": {"path": str(root / "rows.parquet"), "target": ["y", "t"], "validation": {"fraction": 0.2}},
        "run": {"storage_path": str(root)},
    }
    return Path(str(lr.train(job).path))


def _base(folder: Path) -> Path:
    return _run(folder.parent)


def model(folder: Path, rng: random.Random) -> None:
    """A model predicts what it did, or is refused; one of an earlier version is at least no failure."""
    base = _base(folder)
    copy = _fresh_copy(base / "model", folder / "model")
    shutil.copy(base / "result.json", folder)  # of which `show` has the seconds of the run
    config = json.loads((copy / "config.json").read_text())
    old = rng.random() < 0.4
    if old:
        del config["checksum"]
        (copy / "config.json").write_text(json.dumps(config))
    name = rng.choice(["config.json", "config.json", "model.safetensors", "covariance.safetensors"])
    content = (copy / name).read_bytes()
    if name == "config.json" and rng.random() < 0.7:
        (copy / name).write_bytes(to_text(damage_json(config, rng)))
    else:
        (copy / name).write_bytes(damage_bytes(content, rng))
    rows = pq.read_table(base.parent / "rows.parquet")
    refusal: LinregDistError | None = None
    try:
        with within_bounds():
            predicted = LinearModel.load(copy).predict(rows)
            if not old:
                np.testing.assert_array_equal(predicted, LinearModel.load(base / "model").predict(rows))
    except LinregDistError as error:
        refusal = error
    assert refusal is None or refusal.exit_code in (2, 3), refusal
    for arguments in (["show", copy, "--json"], ["show", copy], ["show", copy, "--covariance"]):
        done = verb(*arguments)
        assert done.code in (0, 2, 3), done
        if done.code == 0 and not old:
            assert done.out == _shown(base / "model", *map(str, arguments[2:])), "it shows other numbers"


@cache
def _shown(folder: Path, *options: str) -> str:
    return verb("show", folder, *options).out


def statistics(folder: Path, rng: random.Random) -> None:
    """Statistics give the model that they gave, or are refused."""
    base = _base(folder) / "statistics.safetensors"
    content, old = base.read_bytes(), rng.random() < 0.4
    if rng.random() < 0.6:
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
        metadata = json.loads(header["__metadata__"]["linreg_dist"])
        if old:
            del metadata["checksum"]
        tensors = load(content)
        if rng.random() < 0.5:
            metadata = damage_json(metadata, rng)
        else:
            name = rng.choice(sorted(tensors))
            tensors[name] = _damaged(tensors[name], rng)
        content = save(tensors, {"linreg_dist": json.dumps(metadata)})
    else:
        content, old = damage_bytes(content, rng), False
    file = folder / "statistics.safetensors"
    file.write_bytes(content)
    done = verb("stats", "solve", file, "--json")
    assert done.code in (0, 2, 3), done
    if done.code == 0 and not old:
        assert done.out == _solved(base), "it gives other numbers"


@cache
def _solved(file: Path) -> str:
    return verb("stats", "solve", file, "--json").out


def _damaged(tensor: torch.Tensor, rng: random.Random) -> torch.Tensor:
    kind = rng.randrange(5)
    if kind == 0:
        return tensor.to(rng.choice([torch.float32, torch.int32, torch.bool, torch.bfloat16]))
    if kind == 1:
        return tensor.reshape(-1)[: max(0, tensor.numel() - 1)].clone()
    if kind == 2:
        return torch.cat([tensor, tensor])
    changed = tensor.clone().reshape(-1)
    if kind == 3 and tensor.dtype == torch.float64:
        changed[rng.randrange(changed.numel())] = rng.choice([float("nan"), float("inf"), -1e300, 1e-9, 7.0])
    else:
        changed[rng.randrange(changed.numel())] *= -1
    return changed.reshape(tensor.shape)


def checkpoint(folder: Path, rng: random.Random) -> None:
    """A damaged newest checkpoint is the one before; a whole one is what was saved."""
    store = CheckpointStore(_emptied(folder / "checkpoints"), 3)
    for epoch in (0, 1):
        history = [EpochLine(epoch=i, train_mse=0.5) for i in range(epoch)]
        progress = Progress(epoch, 4, 32, "job", [1.0, 2.0], 1, history, 0.25, 0)
        store.save(progress, {"coef": torch.full((3, 1), float(epoch))})
    newest = folder / "checkpoints" / "epoch000001-step000000004"
    file = newest / rng.choice(["progress.json", "state.safetensors"])
    if file.name == "progress.json" and rng.random() < 0.6:
        file.write_bytes(to_text(damage_json(json.loads(file.read_text()), rng)))
    else:
        file.write_bytes(damage_bytes(file.read_bytes(), rng))
    with within_bounds():
        found = store.latest("job")
    assert found is not None
    progress, tensors = found
    assert tensors["coef"].tolist() == [[float(progress.epoch)]] * 3
    assert (progress.step, progress.best, progress.stale) == (4, 0.25, 0)
    assert [line.epoch for line in progress.history] == list(range(progress.epoch))


METRICS = (
    '{"progress": 0.5, "phase": "train", "of_epoch": 1, "rows": 10, "rows_per_s": 2e6, "loss": 1.5, '
    '"eta_s": 3.0}\n'
    '{"epoch": 0, "rows": 10, "rows_per_s": 5.0, "seconds": 2.0, "train_mse": 1.0, "validation_mse": 2.0}\n'
    "some text\n"
    '{\n  "status": "failed",\n  "error": {\n    "message": "m",\n    "exit_code": 3\n  }\n}\n'
)


def metrics(folder: Path, rng: random.Random) -> None:
    """Whoever follows the lines of a job goes on, whatever they are."""
    if rng.random() < 0.5:
        line = damage_json(json.loads(rng.choice(METRICS.splitlines()[:2])), rng)
        text = json.dumps(line) + "\n" + METRICS
    else:
        text = damage_bytes(METRICS.encode(), rng).decode(errors="replace")
    with within_bounds():
        lines = LogLines()
        shown: list[Any] = []
        for start in range(0, len(text), 50):
            shown += lines.feed(text[start : start + 50])
        shown += lines.close()
        with ProgressDisplay(io.StringIO(), verbose=True) as display:
            for line in text.splitlines():
                event = parse_event(line)
                if event is not None:
                    display.event(event)
        epoch_lines(text)
    assert len(shown) <= len(text.split("\n"))


def result(folder: Path, rng: random.Random) -> None:
    """A run with a damaged result is reported, or refused with the name of the file; so is its batch."""
    base = _base(folder)
    copy = folder / "runs" / "base"
    if not copy.exists():
        shutil.copytree(base, copy)
    name = rng.choice(["result.json", "result.json", "checkpoints/identity.json", "job.yaml"])
    content = (base / name).read_bytes()
    if name != "job.yaml" and rng.random() < 0.6:
        damaged = to_text(damage_json(json.loads(content), rng))
    else:
        damaged = damage_bytes(content, rng)
    (copy / name).write_bytes(damaged)
    job = folder / "job.json"
    document = {
        "name": "base",
        "data": {
            "path": str(base.parent / "rows.parquet"),
            "target": ["y", "t"],
            "validation": {"fraction": 0.2},
        },
        "run": {"storage_path": str(copy.parent)},
    }
    job.write_text(json.dumps(document))
    try:
        done = verb("train", job, *rng.choice([["--json"], []]))
    finally:
        shutil.rmtree(copy, ignore_errors=True)
    assert done.code in (0, 2, 3), done


def parquet(folder: Path, rng: random.Random) -> None:
    """A damaged Parquet file is read or refused, and ends no process but one that is made for it."""
    base = _base(folder).parent / "rows.parquet"
    content = base.read_bytes()
    footer = len(content) - 8 - int.from_bytes(content[-8:-4], "little")
    start, stop = rng.choice([(footer, len(content)), (footer, len(content)), (0, len(content))])
    files = []
    for number in range(10):
        file = folder / f"damaged-{number}.parquet"
        file.write_bytes(damage_bytes(content, rng, start, stop))
        files.append(file)
    pid = os.fork()
    if pid == 0:
        os._exit(_read_all(files))
    status = os.waitpid(pid, 0)[1]
    assert status == 0, f"reading {files} ended with status {status}"
    for file in files[:1]:  # a process each
        said = _refusal(lambda file=file: describe_chunks([(str(file), file.read_bytes())]))
        assert said.startswith((str(file), "[[")), said


def _read_all(files: list[Path]) -> int:
    try:
        with within_bounds():
            for file in files:
                assert str(file) in _refusal(lambda file=file: _read_one(file))
    except Exception:
        traceback.print_exc()
        return 1
    return 0


def _read_one(file: Path) -> str:
    manifest = read_manifest([str(file)])
    reader = RowGroupReader(manifest, manifest.schema.names, ["c"])
    for group in manifest.row_groups:
        if group.num_rows < 10**6:
            reader.read(group)
    return str(file)


def _refusal(function: Callable[[], Any]) -> str:
    """Return what a `DataError` of the function says; else what it returns, as text."""
    try:
        return str(function())
    except DataError as error:
        return str(error)


TARGETS: dict[str, tuple[Target, int]] = {
    "spec": (spec, 200),
    "model": (model, 120),
    "statistics": (statistics, 200),
    "checkpoint": (checkpoint, 200),
    "metrics": (metrics, 400),
    "result": (result, 60),
    "parquet": (parquet, 10),
}
"""Each target and its rounds within the suite; a round of parquet damages ten files."""


def _fresh_copy(source: Path, target: Path) -> Path:
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target)
    return target


def _emptied(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    return folder
