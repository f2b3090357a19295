from __future__ import annotations

import io
import re
from collections.abc import Callable
from typing import Any

import pytest
from rich.console import RenderableType

from linreg_dist.console import coefficient_table, print_renderable, result_table
from linreg_dist.documents import ResultDocument, TargetDescription

RESULT: dict[str, Any] = {
    "status": "succeeded",
    "name": "flights",
    "solver": {"name": "sgd", "reason": "solver.name is sgd", "stopped": "epochs: all 20 were run"},
    "model": "runs/flights/model",
    "report": "runs/flights/report.html",
    "rows": {"train": 261_826, "validation": 65_520, "dropped": {"missing": 9_430, "filter": 0}},
    "metrics": {
        "train": {"mse": 313.204, "rmse": 17.69757, "mae": 12.30123, "r2": 0.842199},
        "validation": {"mse": 1312.951, "rmse": 36.2346, "mae": 12.2875, "r2": 0.842310},
    },
    "timing": {"startup_s": 0.41, "train_s": 1.9, "teardown_s": 0.01, "rows_per_s": 1.4e6},
    "versions": {},
    "error": None,
}
NO_INFERENCE: dict[str, Any] = {"std_err": None, "t": None, "p": None, "ci_low": None, "ci_high": None}
DOCUMENT: dict[str, Any] = {
    "target": "arr_delay",
    "intercept": -15.5,
    "intercept_inference": {},
    "coefficients": [
        {
            "feature": "dep_delay",
            "coef": 1.01874,
            "std_err": 0.000851,
            "t": 1197.0,
            "p": 0.0,
            "ci_low": 1.0171,
            "ci_high": 1.0204,
        },
        {
            "feature": "carrier=a carrier with a name that goes on",
            "coef": -0.00123456,
            "std_err": 0.1,
            "t": -0.01,
            "p": 0.9901,
            "ci_low": -0.2,
            "ci_high": 0.2,
        },
    ],
    "fit": {
        "r2": 0.8421988,
        "adj_r2": 0.84218,
        "sigma": 17.6976,
        "f": 83201.2,
        "aic": 2808432.1,
        "bic": None,
        "n": 261_826,
        "df_resid": 261_804,
        "condition_number": 31.2,
    },
}


def show_result(document: dict[str, Any]) -> RenderableType:
    return result_table(ResultDocument.from_json(document))


def show_coefficients(document: dict[str, Any]) -> RenderableType:
    return coefficient_table(TargetDescription.from_json(document))


ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
RESULT_TEXT = """\
flights: succeeded

                      train      validation
───────────────────────────────────────────
rows         261,826          65,520
MSE              313.204        1312.95
RMSE              17.6976         36.2346
MAE               12.3012         12.2875
R²                 0.842199        0.842310

solver      sgd (solver.name is sgd)
stopped     epochs: all 20 were run
dropped     9,430 rows (missing: 9,430)
time        start-up 0.4 s, training 1.9 s, teardown 0.0 s
speed       1.40 Mrow/s
model       runs/flights/model
report      runs/flights/report.html
"""
COEFFICIENT_TEXT = """\
feature                                             coef    std err        t       p   CI low  CI high
──────────────────────────────────────────────────────────────────────────────────────────────────────
(intercept)                                 -15.5000      –             –      –       –       –
dep_delay                                     1.01874     0.0008510  1197.00  <0.001   1.017   1.020
carrier=a carrier with a name that goes on   -0.00123456  0.1000       -0.01   0.990  -0.2000  0.2000

rows           261,826   sigma                  17.6976
residual df    261,804   F                      83201.2
R²            0.842199   AIC                2.80843e+06
adjusted R²   0.842180   condition number       31.2000
"""


def plain(renderable: Any) -> str:
    stream = io.StringIO()
    print_renderable(renderable, stream)
    return stream.getvalue()


def visible(terminal: io.StringIO) -> str:
    return ESCAPES.sub("", terminal.getvalue())


def test_a_result_shows_rows_metrics_time_and_where_the_model_lies() -> None:
    assert plain(show_result(RESULT)) == RESULT_TEXT


def test_a_failed_result_shows_the_message_as_written() -> None:
    failed = {
        **dict.fromkeys(RESULT),
        "status": "failed",
        "name": "flights",
        "solver": {"name": "auto"},
        "error": {
            "type": "DataError",
            "message": "data: column 'a' [not there]\nuse [b]b[/b]",
            "exit_code": 3,
        },
    }
    assert (
        plain(show_result(failed))
        == "flights: failed\ndata: column 'a' [not there]\nuse [b]b[/b]\n\nsolver      auto\n"
    )


def test_a_result_without_validation_has_one_column() -> None:
    text = plain(show_result({**RESULT, "metrics": {**RESULT["metrics"], "validation": None}}))
    assert "train" in text
    assert "validation" not in text


@pytest.mark.parametrize(
    ("dropped", "line"),
    [
        ({"missing": 9_430, "filter": 70}, "dropped     9,500 rows (missing: 9,430, filter: 70)"),
        ({"missing": 0}, "dropped     0 rows"),
    ],
)
def test_dropped_rows_are_counted_by_rule(dropped: Any, line: str) -> None:
    assert line in plain(show_result({**RESULT, "rows": {**RESULT["rows"], "dropped": dropped}})).splitlines()


def test_a_long_model_path_is_never_cut(make_terminal: Callable[[int], io.StringIO]) -> None:
    path = "/a/long/way/" * 12 + "model"
    terminal = make_terminal(80)
    print_renderable(show_result({**RESULT, "model": path}), terminal)
    assert path in "".join(visible(terminal).split())
    assert path in plain(show_result({**RESULT, "model": path}))


def test_coefficients_are_aligned_and_complete_in_a_pipe() -> None:
    assert plain(show_coefficients(DOCUMENT)) == COEFFICIENT_TEXT


def test_without_inference_the_reason_stands_below() -> None:
    document = {
        **DOCUMENT,
        "coefficients": [{**row, **NO_INFERENCE} for row in DOCUMENT["coefficients"]],
        "inference_reason": "the coefficients are penalised (l2 = 0.001)",
    }
    text = plain(show_coefficients(document))
    assert "std err" not in text.split("\n\n")[0]
    assert text.endswith(
        "\nNo standard errors, t, p or confidence intervals: the coefficients are penalised (l2 = 0.001).\n"
    )


def test_an_intercept_with_inference_of_its_own_fills_its_row() -> None:
    intercept = {"std_err": 0.25, "t": -62.0, "p": 0.5, "ci_low": -16.0, "ci_high": -15.0}
    row = plain(show_coefficients({**DOCUMENT, "intercept_inference": intercept})).splitlines()[2]
    assert row.split() == ["(intercept)", "-15.5000", "0.2500", "-62.00", "0.500", "-16.00", "-15.00"]


@pytest.mark.parametrize("width", [52, 60, 72, 80, 120])
def test_a_narrow_terminal_never_cuts_a_number(
    make_terminal: Callable[[int], io.StringIO], width: int
) -> None:
    terminal = make_terminal(width)
    print_renderable(show_coefficients(DOCUMENT), terminal)
    words = set(visible(terminal).split())
    assert {"1.01874", "-0.00123456", "0.0008510", "1197.00", "<0.001"} <= words
    assert {"1.017", "1.020", "-0.2000"} <= words or "--json" in words


def test_coefficients_keep_the_documents_order() -> None:
    names = [f"x{i}" for i in (3, 1, 2)]
    document = {
        **DOCUMENT,
        "fit": {},
        "intercept": 0.0,
        "coefficients": [{"feature": name, "coef": 1.0, **NO_INFERENCE} for name in names],
    }
    lines = plain(show_coefficients(document)).splitlines()
    assert [line.split()[0] for line in lines[2:6]] == ["(intercept)", *names]
