"""What a model and a run show of themselves, in text and as HTML, whatever the names in the data are."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm

import linreg_dist as lr
from tests.parquet import linear_columns

COLUMNS = linear_columns(200, 2, seed=1)
EVIL = "<script>alert(1)</script>\x1b[2J\u202e"
QUIET: dict[str, Any] = {"progress": False, "outputs": {"report": False}}


class Tags(HTMLParser):
    """Checks that every tag is closed, and keeps the text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.opened: list[str] = []
        self.seen: set[str] = set()
        self.text = ""
        self.feed(text)
        assert self.opened == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        self.opened.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.opened.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture(scope="module")
def run() -> lr.Run:
    return lr.fit(pd.DataFrame(COLUMNS), "y", progress=False, **{"data.validation.method": "none"})


def test_intervals_are_those_of_statsmodels(run: lr.Run) -> None:
    design = sm.add_constant(np.column_stack([COLUMNS["x0"], COLUMNS["x1"]]))
    expected = sm.OLS(COLUMNS["y"], design).fit()
    np.testing.assert_allclose(run.model.conf_int(), expected.conf_int(), rtol=1e-8)
    np.testing.assert_allclose(run.model.conf_int(0.99), expected.conf_int(alpha=0.01), rtol=1e-8)


def test_intervals_that_do_not_exist_say_why(run: lr.Run) -> None:
    for level in (0.0, 1.0, 95):
        with pytest.raises(lr.SpecError, match="expected a probability between 0 and 1"):
            run.model.conf_int(level)
    with pytest.raises(lr.SpecError, match="no target 'z'; expected one of y"):
        run.model.conf_int(target="z")
    ridge = lr.fit(COLUMNS, "y", model={"l2": 1.0}, **QUIET).model
    with pytest.raises(lr.SpecError, match=r"no confidence intervals: .*penal"):
        ridge.conf_int()
    assert "No standard errors" in str(ridge.summary())
    assert re.search(r"^penalty +l1 0, l2 1$", str(ridge.summary()), re.M)
    assert "<svg" in ridge.plot()._repr_html_()


def test_a_summary_has_coefficients_fit_and_provenance_in_text_and_html(run: lr.Run) -> None:
    summary = run.model.summary()
    assert re.search(r"^feature +coef +std err +t +p +CI low +CI high$", str(summary), re.M)
    assert re.search(r"^x1 +2\.0", str(summary), re.M)
    assert repr(summary) == str(summary)
    shown = Tags(summary._repr_html_())
    assert {"x0", "x1"} <= set(re.findall(r"x\d", shown.text))
    assert repr(run.model) == f"<LinearModel of y: 2 coefficients, R² {run.metrics['train']['r2']:.4f}>"


def test_a_run_shows_metrics_and_what_it_did(run: lr.Run) -> None:
    assert re.fullmatch(r"<Run fit-\S+: succeeded, train R² 0\.99\d\d; \S+>", repr(run))
    text = str(run.summary())
    assert re.search(r"^rows +200$", text, re.M)
    assert re.search(r"^solver +exact \(auto: ", text, re.M)
    assert re.search(r"^time +start-up .* in all$", text, re.M)
    assert "how it was made" in Tags(run._repr_html_()).text


def test_the_report_of_a_run_is_a_page_that_can_be_saved(run: lr.Run, tmp_path: Path) -> None:
    run.report.save(tmp_path / "report.html")
    assert (tmp_path / "report.html").read_text() == run.report.html
    frame = run.report._repr_html_()
    assert frame.startswith("<iframe sandbox srcdoc=")
    Tags(frame)
    without = lr.fit(COLUMNS, "y", **QUIET)
    with pytest.raises(lr.SpecError, match="has no report: "):
        without.report  # noqa: B018 (the look is what raises)


def test_every_target_is_apart() -> None:
    columns = {**COLUMNS, "z": -3.0 * COLUMNS["y"]}
    run = lr.fit(columns, ["y", "z"], **QUIET)
    for text in (str(run.summary()), str(run.model.summary())):
        assert text.index("target y") < text.index("target z")
    np.testing.assert_allclose(run.model.conf_int(target="z")[0, ::-1], -3.0 * run.model.conf_int()[0])
    assert "Effect on z" in run.model.plot("z").title


@pytest.mark.parametrize("of", ["model", "run"])
def test_names_are_text_and_no_markup_and_steer_no_terminal(of: str) -> None:
    columns = {EVIL: COLUMNS["x0"], "x1": COLUMNS["x1"], f"y{EVIL}": COLUMNS["y"]}
    run = lr.fit(columns, f"y{EVIL}", **QUIET)
    shown = run if of == "run" else run.model
    for text in (str(shown.summary()), repr(shown), shown._repr_html_(), run.model.plot().svg):
        assert not set(text) & set("\x1b\u202e")
    assert "script" not in Tags(shown._repr_html_()).seen


def test_a_plot_is_a_drawing_with_every_effect_named(run: lr.Run, tmp_path: Path) -> None:
    plot = run.model.plot()
    root = ElementTree.fromstring(plot.svg)  # noqa: S314 (our own)
    assert root.tag.endswith("svg")
    hints = [each.text or "" for each in root.iter() if each.tag.endswith("title")][1:]
    assert [hint.split(":")[0] for hint in hints] == ["x1", "x0"]  # the largest effect first
    assert all("95 % interval" in hint for hint in hints)
    plot.save(tmp_path / "effects.svg")
    assert (tmp_path / "effects.svg").read_text() == plot.svg
    assert "1 smaller ones are not drawn" in run.model.plot(most=1).svg
