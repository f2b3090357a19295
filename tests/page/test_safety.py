"""Nothing of the data or the spec acts on the page, nothing is fetched, and nothing secret stands on it."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from linreg_dist.run.finished_run import Run
from tests.page.document import Document
from tests.parquet import linear_columns, write_parquet

Train = Callable[..., Run]
_ALLOWED = {
    *("html", "head", "meta", "title", "style", "body", "main", "header", "section", "div", "h1", "h2", "p"),
    *("ul", "li", "table", "caption", "thead", "tbody", "tr", "th", "td", "pre", "figure", "figcaption"),
    *("svg", "path", "text", "rect", "circle", "nav", "ol", "a", "dl", "dt", "dd", "details", "summary"),
}
NASTY = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "</style><b>",
    "{{ 7 * 7 }}",
    "a $x^2$ & b",
    "line\nbreak\x07",
    "温度",
    "&lt;script&gt;",
]


def assert_self_contained(page: Document) -> None:
    assert {tag for tag, _ in page.tags} <= _ALLOWED
    for tag, attributes in page.tags:
        assert not any(name.startswith("on") for name in attributes)
        for name in ("href", "src", "xlink:href", "action", "data"):
            value = attributes.get(name)
            assert value is None or (tag == "a" and value.startswith("#")), (tag, name, value)
    assert re.findall(r"url\((?!#)", page.html) == []
    assert "@import" not in page.html
    assert "http:" not in page.html
    assert "https:" not in page.html


def test_names_of_columns_and_levels_are_text(tmp_path: Path, train_here: Train) -> None:
    columns = linear_columns(400, len(NASTY))
    data = {name: columns[f"x{i}"] for i, name in enumerate(NASTY)}
    data["kind"] = np.array(["<i>base</i>", "<script>level</script>"])[np.arange(400) % 2]
    data["<b>y</b>"] = columns["y"] + (np.arange(400) % 2)
    path = write_parquet(tmp_path / "d" / "a.parquet", pa.table(data))
    run = train_here(path, data={"target": "<b>y</b>", "validation": {"method": "hash"}})
    assert run.result["report"], run.result.get("report_reason")
    page = Document.of(run.path)
    assert_self_contained(page)
    assert "<script" not in page.html
    shown = list(page.table("Coefficients").rows)
    for name in NASTY:
        assert name.replace("\n", " ").replace("\x07", " ").strip() in shown
    assert "kind=<script>level</script>" in shown
    drawn = page.texts["text"]
    assert "a $x^2$ & b" in drawn
    assert "温度" in drawn
    assert "Coefficients for <b>y</b>" in page.headings


def test_secrets_and_hosts_of_the_cluster_are_not_on_the_page(
    tmp_path: Path, train_here: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PASSWORD_OF_THE_TEST", "hunter2")
    path = write_parquet(tmp_path / "d" / "a.parquet", linear_columns())
    env = {"TOKEN": "${PASSWORD_OF_THE_TEST}", "OTHER": "correct horse"}
    run = train_here(path, cluster={"env": env, "runtime_env": {"env_vars": {"A": "battery staple"}}})
    page = Document.of(run.path)
    for secret in ("hunter2", "correct horse", "battery staple", "TOKEN"):
        assert secret not in page.html


@pytest.mark.parametrize("solver", ["exact", "adam"])
def test_nothing_is_fetched(tmp_path: Path, train_here: Train, solver: str) -> None:
    path = write_parquet(tmp_path / "d" / "a.parquet", linear_columns())
    run = train_here(path, solver={"name": solver, "epochs": 4})
    assert_self_contained(Document.of(run.path))


def test_options_of_a_uri_name_hosts_and_are_left_out() -> None:
    from linreg_dist.page.source import without_options

    uri = "s3://lab/runs?endpoint_override=http://minio.example:9000&region=x"
    assert without_options(f"path: ['{uri}', other]") == "path: ['s3://lab/runs', other]"
    assert without_options(uri) == "s3://lab/runs"
    assert without_options("what? nothing") == "what? nothing"
