"""Whatever a job prints, whoever follows it goes on and sees the rest."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from linreg_dist.cluster.follow import Ending, job_error
from linreg_dist.cluster.log_lines import LogLines, as_result
from linreg_dist.cluster.server import Job
from linreg_dist.cluster.shipment import METADATA_FOLDER
from linreg_dist.cluster.status import status_document
from linreg_dist.errors import RunFailedError, SpecError

RESULT: dict[str, Any] = {
    "status": "failed",
    "rows": {"train": 1, "validation": 0},
    "list": [1, -2.5, "x", None, True, {"a": []}],
    "error": {"message": "m", "exit_code": 3},
}


def lines_of(*texts: str) -> tuple[LogLines, list[Any]]:
    lines = LogLines()
    found = [item for text in texts for item in lines.feed(text)]
    return lines, [*found, *lines.close()]


def test_a_lone_brace_hides_nothing() -> None:
    lines = LogLines()
    shown = [item for text in ("{\n", *["line\n"] * 1000, "  File x, line 3\n") for item in lines.feed(text)]
    assert shown == ["{", *["line"] * 1000, "  File x, line 3"]
    assert list(lines.close()) == []


def test_a_result_is_found_although_others_print_in_the_middle_of_it() -> None:
    head, *rest = json.dumps(RESULT, indent=2).splitlines()
    text = "\n".join([head, rest[0], "(raylet) a warning", *rest[1:4], "another", *rest[4:]]) + "\n"
    lines, shown = lines_of(text)
    assert lines.result is not None
    assert lines.result.to_json() == RESULT
    assert shown == ["(raylet) a warning", "another"]


def test_a_second_beginning_gives_up_the_first() -> None:
    lines, shown = lines_of('{\n  "a": 1,\n', json.dumps(RESULT, indent=2) + "\n")
    assert lines.result is not None
    assert lines.result.to_json() == RESULT
    assert shown == ["{", '  "a": 1,']


def test_what_looks_like_a_document_and_never_ends_is_shown_after_all() -> None:
    lines = LogLines()
    shown = list(lines.feed("{\n" + '  "a": 1,\n' * 250_000))
    assert len(shown) >= 200_000
    assert len([*shown, *lines.close()]) == 250_001


@pytest.mark.parametrize(
    "text", ['{"a":' * 20_000 + "1" + "}" * 20_000, '{"progress": "abc"}', "{}", '{"x": 1}']
)
def test_a_line_that_is_nothing_known_is_text(text: str) -> None:
    lines, shown = lines_of(text + "\n")
    assert shown == [text]
    assert (lines.epoch, lines.tick, lines.result) == (None, None, None)


@pytest.mark.parametrize(
    "change",
    [
        {"status": 1},
        {"rows": [1]},
        {"metrics": "x"},
        {"error": "x"},
        {"error": {"message": 1}},
        {"error": {"message": "m", "exit_code": "zz"}},
        {"error": {"exit_code": 3}},
    ],
    ids=str,
)
def test_a_document_of_another_shape_is_no_result(change: dict[str, Any]) -> None:
    lines, _ = lines_of(json.dumps({**RESULT, **change}) + "\n")
    assert lines.result is None


@given(st.lists(st.sampled_from([*'{}[]":,\n \\u', "progress", "epoch", "status", "1", "  "]), max_size=60))
def test_any_text_is_taken_and_nothing_of_it_is_lost_but_results(pieces: list[str]) -> None:
    text = "".join(pieces)
    lines, shown = lines_of(*pieces)
    if (lines.result, lines.epoch, lines.tick) == (None, None, None):
        assert sorted("\n".join(shown)) == sorted(text.removesuffix("\n"))


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        ("x", RunFailedError, "j-1 failed: killed"),
        ({"message": "m", "exit_code": "zz"}, RunFailedError, "j-1 failed: killed"),
        ({"message": "m", "exit_code": 2}, SpecError, "j-1 failed: m"),
        ({"message": "m", "exit_code": 77}, RunFailedError, "j-1 failed: m"),
        ({"message": ["m"], "exit_code": [2]}, RunFailedError, "j-1 failed: killed"),
    ],
)
def test_an_error_of_any_shape_is_the_error_of_the_job(error: Any, kind: type, message: str) -> None:
    result = as_result({"status": "failed", "error": error})
    found = job_error(Ending(Job("j-1", "FAILED", "killed"), result))
    assert type(found) is kind
    assert str(found) == message


@pytest.mark.parametrize(
    "tick", ['{"progress": "abc"}', '{"progress": 1e999}', '{"progress": 7}', "{", "[[["]
)
@pytest.mark.parametrize(
    "result", ["", "[]", "{", '{"status": 1}', "[" * 10_000, '{"status": "failed", "x": NaN}']
)
def test_the_status_of_a_job_survives_what_is_in_its_folder(tick: str, result: str, tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_text(tick + "\n")
    (tmp_path / "result.json").write_text(result)

    class Server:
        def logs(self, job_id: str) -> str:
            return tick + "\n"

    job = Job("j-1", "FAILED", started_ms=1, metadata={METADATA_FOLDER: os.fspath(tmp_path)})
    document = status_document(Server(), job)  # type: ignore[arg-type]
    assert document.progress_percentage in (None, 100.0)
    json.dumps(document.to_json(), allow_nan=False)
