"""``train --update`` reads only what is new and gives what a run over everything gives."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import linreg_dist.data.reader
from linreg_dist.cli import main as cli_main
from linreg_dist.errors import DataError, SpecError
from linreg_dist.stats.artefact import merge_artefacts, subtract_artefacts
from linreg_dist.verbs import train as train_job
from linreg_dist.verbs.stats import open_statistics
from linreg_dist.verbs.train import train
from tests.solvers.problems import Problem, features_of, make_problem


@pytest.fixture
def problem(tmp_path: Path) -> Problem:
    """A problem of three files, the last of which is not delivered yet."""
    made = make_problem(tmp_path / "d")
    (tmp_path / "later").mkdir()
    shutil.move(made.path / "part-2.parquet", tmp_path / "later" / "part-2.parquet")
    return made


def _deliver(problem: Problem) -> None:
    shutil.copy2(problem.path.parent / "later" / "part-2.parquet", problem.path / "part-2.parquet")


def _spec(problem: Problem, name: str = "job", **sections: Any) -> dict[str, Any]:
    data = {
        "path": str(problem.path),
        "target": "y",
        "features": features_of(problem),
        **sections.pop("data", {}),
    }
    runs = {"storage_path": str(problem.path.parent / "runs")}
    return {"name": name, "data": data, "run": runs, **sections}


@pytest.mark.parametrize("name", ["job", "next"])
def test_an_update_gives_the_run_over_everything_and_reads_only_the_new_file(
    problem: Problem, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = train(_spec(problem))
    _deliver(problem)
    read: list[str] = []
    read_row_group = linreg_dist.data.reader.RowGroupReader._read_pieces

    def note(self: Any, group: Any, pieces: Any) -> Any:
        read.append(self._manifest.files[group.file].key)
        return read_row_group(self, group, pieces)

    monkeypatch.setattr(linreg_dist.data.reader.RowGroupReader, "_read_pieces", note)
    run = train(_spec(problem, name), update=base.path)
    assert set(read) == {"part-2.parquet"}
    whole = train(_spec(problem, "whole"))
    np.testing.assert_allclose(run.model.coef_, whole.model.coef_, rtol=1e-11)
    np.testing.assert_allclose(run.model.intercept_, whole.model.intercept_, rtol=1e-11)
    assert run.result["rows"] == whole.result["rows"]
    for split in ("train", "validation"):
        assert run.metrics[split]["mse"] == pytest.approx(whole.metrics[split]["mse"], rel=1e-9)
    assert run.result["update"]["files"] == 1
    lines = [json.loads(line) for line in (run.path / "metrics.jsonl").read_text().splitlines()]
    read_rows = whole.result["rows"]["train"] - base.result["rows"]["train"]
    assert [line["rows"] for line in lines if "epoch" in line] == [read_rows]
    assert open_statistics(run.path).moments.n == open_statistics(whole.path).moments.n


def test_updating_in_place_keeps_the_history(problem: Problem) -> None:
    base = train(_spec(problem))
    _deliver(problem)
    run = train(_spec(problem), update=base.path)
    assert run.path == base.path
    kept = json.loads((run.path / "history" / "0001" / "result.json").read_text())
    assert kept["rows"] == base.result["rows"]
    assert run.result["rows"]["train"] > base.result["rows"]["train"]
    assert train(_spec(problem)).already_finished  # the run is now one of all files


def test_without_new_files_nothing_is_done(problem: Problem) -> None:
    base = train(_spec(problem))
    again = train(_spec(problem), update=base.path)
    assert again.already_finished
    assert again.result == base.result
    assert not (base.path / "history").exists()


def test_the_same_update_twice_counts_no_row_twice(problem: Problem) -> None:
    base = train(_spec(problem))
    _deliver(problem)
    first = train(_spec(problem), update=base.path)
    second = train(_spec(problem), update=base.path)
    assert second.already_finished
    assert second.result["rows"] == first.result["rows"]


def test_files_that_changed_or_vanished_are_refused_by_name(problem: Problem) -> None:
    base = train(_spec(problem))
    _deliver(problem)
    part = problem.path / "part-1.parquet"
    table = pq.read_table(part)
    pq.write_table(table.slice(0, 200), part)
    with pytest.raises(DataError, match=r"1 file\(s\).*have changed: part-1\.parquet"):
        train(_spec(problem), update=base.path)
    part.unlink()
    with pytest.raises(DataError, match=r"1 file\(s\).*are gone: part-1\.parquet"):
        train(_spec(problem), update=base.path)
    assert json.loads((base.path / "result.json").read_text()) == base.result


def test_a_new_level_of_a_new_file_gets_a_coefficient(problem: Problem) -> None:
    features = [*features_of(problem), "firm"]
    base = train(_spec(problem, data={"features": features}))
    _deliver(problem)
    part = problem.path / "part-2.parquet"
    table = pq.read_table(part)
    firms = ["newcomer", *table.column("firm").to_pylist()[1:]]
    place = table.column_names.index("firm")
    pq.write_table(table.set_column(place, "firm", [firms]), part)
    before = set(base.model.encoding.names)
    run = train(_spec(problem, data={"features": features}), update=base.path)
    assert set(run.model.encoding.names) - before == {"firm=newcomer"}


def test_an_update_that_fails_leaves_the_run_as_it_was_and_one_history(problem: Problem) -> None:
    base = train(_spec(problem))
    part = problem.path / "part-2.parquet"
    hole = pq.read_table(problem.path.parent / "later" / "part-2.parquet")
    column = pa.array([None, *hole.column("x0").to_pylist()[1:]], pa.float64())
    pq.write_table(hole.set_column(hole.column_names.index("x0"), "x0", column), part)
    for _ in range(2):
        with pytest.raises(DataError, match=r"part-2\.parquet.*'x0' has 1 null"):
            train(_spec(problem), update=base.path)
    assert [path.name for path in (base.path / "history").iterdir()] == ["0001"]
    assert json.loads((base.path / "result.json").read_text()) == base.result
    assert open_statistics(base.path).moments.n == base.result["rows"]["train"]
    _deliver(problem)
    assert train(_spec(problem), update=base.path).result["update"]["files"] == 1


def test_merged_statistics_can_be_updated_too(problem: Problem) -> None:
    base = train(_spec(problem))
    with pytest.raises(DataError, match="no new file to add"):
        train(_spec(problem, "next"), update=base.path / "statistics.safetensors")
    _deliver(problem)
    run = train(_spec(problem, "next"), update=base.path / "statistics.safetensors")
    assert run.result["rows"] == train(_spec(problem, "whole")).result["rows"]


def test_a_spec_that_reads_other_rows_is_refused(problem: Problem) -> None:
    base = train(_spec(problem))
    _deliver(problem)
    with pytest.raises(SpecError, match=r"filter: \[\] -> \[\[\"x0\""):
        train(_spec(problem, data={"filter": [["x0", "<", 1.0]]}), update=base.path)
    with pytest.raises(SpecError, match="expected exact"):
        train(_spec(problem, solver={"name": "sgd"}), update=base.path)


def test_an_update_may_change_the_penalty_and_says_what_it_cannot_know(problem: Problem) -> None:
    base = train(_spec(problem))
    _deliver(problem)
    run = train(_spec(problem, "next", model={"covariance": "HC1"}), update=base.path)
    assert "train again without --update" in run.model.details.inference.reason
    ridge = train(_spec(problem, "ridge", model={"l2": 0.1}), update=base.path)
    expected = train(_spec(problem, "whole", model={"l2": 0.1}))
    np.testing.assert_allclose(ridge.model.coef_, expected.model.coef_, rtol=1e-11)


def test_the_command_line_updates(problem: Problem, capsys: pytest.CaptureFixture[str]) -> None:
    base = train(_spec(problem))
    spec = problem.path.parent / "job.yaml"
    spec.write_text(json.dumps(_spec(problem)))
    assert cli_main.run(["train", str(spec), "--update", str(base.path), "--json"]) == 0
    assert "no file is new" in capsys.readouterr().err
    _deliver(problem)
    assert cli_main.run(["train", str(spec), "--update", str(base.path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["update"]["files"] == 1


def test_the_statistics_name_the_row_groups_and_an_update_reads_those_that_they_lack(
    problem: Problem, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = train(_spec(problem))
    assert [piece["row_groups"] for piece in open_statistics(whole.path).consumed] == [[[0, 2]], [[0, 2]]]
    read_data = train_job.read_data

    def without_the_first_row_group(spec: Any) -> Any:
        manifest, columns = read_data(spec)
        groups = [replace(group, index=i) for i, group in enumerate(manifest.row_groups[1:])]
        return replace(manifest, row_groups=tuple(groups)), columns

    with monkeypatch.context() as patch:
        patch.setattr(train_job, "read_data", without_the_first_row_group)
        part = train(_spec(problem, "part"))
    assert [piece["row_groups"] for piece in open_statistics(part.path).consumed] == [[[1, 2]], [[0, 2]]]
    with pytest.raises(DataError, match="overlap: 2 piece"):
        merge_artefacts(open_statistics(whole.path), open_statistics(part.path))
    with pytest.raises(DataError, match="not in the left side"):
        subtract_artefacts(open_statistics(whole.path), open_statistics(part.path))
    run = train(_spec(problem, "all"), update=part.path)
    assert run.result["rows"] == whole.result["rows"]
    np.testing.assert_allclose(run.model.coef_, whole.model.coef_, rtol=1e-11)
    with pytest.raises(DataError, match="no new file to add"):
        train(_spec(problem, "more"), update=run.path / "statistics.safetensors")
