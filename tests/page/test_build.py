"""What stands on a page, without its HTML."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from linreg_dist.documents import EpochLine, ResultDocument
from linreg_dist.model.describe import describe
from linreg_dist.page import Source, build_page, epoch_lines, render_page
from linreg_dist.page.coefficients import _reach
from linreg_dist.page.plots import Curves, Effect
from linreg_dist.page.source import shorten, some
from linreg_dist.page.view import Figure, Items, Page
from tests.parquet import linear_columns, write_parquet

STUCK = {
    "rank": 1,
    "world_size": 2,
    "host": "node-7.lab",
    "ip": "10.1.2.3",
    "pid": 4711,
    "doing": "reading s3://lab/part-1.parquet?endpoint_override=minio.lab:9000",
    "how": "no progress for 106 s",
    "process_state": None,
    "stack": "File reader.py",
}


@pytest.fixture
def source(tmp_path: Path, train_here: Any) -> Source:
    path = write_parquet(tmp_path / "d" / "a.parquet", linear_columns())
    run = train_here(path, outputs={"report": False})
    spec_yaml = (run.path / "job.yaml").read_text()
    return Source(run.document, describe(run.model), run.model, [], str(run.path), spec_yaml)


def with_result(source: Source, **changes: Any) -> Source:
    return replace(source, result=ResultDocument.from_json({**source.result.to_json(), **changes}))


def notes(page: Page) -> str:
    (section,) = [section for section in page.sections if section.heading == "Worth knowing"]
    (items,) = section.blocks
    assert isinstance(items, Items)
    return " ".join(items.items)


def figures(page: Page) -> dict[str, Figure]:
    blocks = [block for section in page.sections for block in section.blocks]
    return {block.name: block for block in blocks if isinstance(block, Figure)}


def test_lost_and_stuck_workers_are_told_without_their_hosts(source: Source) -> None:
    source = with_result(source, worker_groups=[2, 1], num_workers=1, stuck=[STUCK])
    page = build_page(source)
    assert "The workers were started 2 times, with 2, 1 workers." in notes(page)
    assert (
        "Worker 1 of 2 was stuck: no progress for 106 s; it was at: reading s3://lab/part-1.parquet."
        in notes(page)
    )
    html = render_page(page)
    for host in ("node-7", "10.1.2.3", "minio"):
        assert host not in html


def test_rows_that_took_no_part_are_noted(source: Source) -> None:
    rows = {"train": 400, "validation": 0, "dropped": {"filter": 100, "missing": 500}}
    source = with_result(source, rows=rows, skipped_columns={"when": "a timestamp"})
    found = notes(build_page(source))
    assert "60% of the rows that were read (600 of 1,000) took no part." in found
    assert "These columns of the data are no features: when (a timestamp)." in found


def test_a_long_history_is_thinned_and_keeps_its_ends(source: Source) -> None:
    epochs = [EpochLine(epoch=i, train_mse=10.0 / (i + 1), validation_mse=None) for i in range(5000)]
    solver = {**source.solver.to_json(), "name": "sgd"}
    page = build_page(replace(with_result(source, solver=solver), epochs=epochs))
    plot = figures(page)["loss"].plot
    assert isinstance(plot, Curves)
    (curve,) = plot.curves
    assert len(curve.x) == 200
    assert (curve.x[0], curve.x[-1]) == (1, 5000)
    assert plot.log_y
    assert len(render_page(page)) < 80_000


def test_epoch_lines_are_taken_once_and_torn_ones_left_out() -> None:
    lines = ['{"epoch": 1, "rows": 2}', '{"progress": 0.5}', '{"epoch": 0}', '{"epoch": 1, "rows": 3}', "[]"]
    torn = '{"epoch": 2, "ro'
    assert epoch_lines("\n".join([*lines, torn])) == [
        EpochLine(epoch=0),
        EpochLine(epoch=1, rows=3),
    ]


@pytest.mark.parametrize(
    ("values", "reach"),
    [([1, 1, 1], None), ([40, 2, 1, 1, 1], 2.3), ([40, 30, 1], None), ([5], None), ([-40, 1, -1.5], 1.725)],
)
def test_a_few_large_effects_do_not_hide_the_others(values: list[float], reach: float | None) -> None:
    found = _reach([Effect(str(value), value, None, None) for value in values])
    assert found == (None if reach is None else pytest.approx(reach))


def test_names_are_cut_to_a_line() -> None:
    assert shorten("a\nb\tc") == "a b c"
    assert shorten("x" * 81) == "x" * 79 + "…"
    assert some(["a", "b", "c"], 2) == "a, b and 1 more"
    assert some([]) == ""


def test_a_model_without_features_or_intervals_has_a_page(source: Source) -> None:
    """What an intercept alone would leave: no effect to draw, no row but the intercept's."""
    document = source.description.model_copy(update={"coefficients": []})
    page = build_page(replace(source, description=document))
    assert not figures(page)
    assert "(intercept)" in render_page(page)
