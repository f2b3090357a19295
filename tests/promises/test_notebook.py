"""A real notebook kernel: its event loop runs while a cell trains, and the next cell finds it as it was."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.parquet import linear_columns, write_parquet

jupyter_client = pytest.importorskip(
    "jupyter_client", reason="a notebook kernel needs ipykernel (extra test)"
)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
_TIMEOUT_S = 240  # a kernel and what it imports take their time on a machine that is busy


class Notebook:
    """Cells of one kernel."""

    def __init__(self, manager: Any, client: Any) -> None:
        self._manager = manager
        self._client = client

    def shown(self, cell: str) -> dict[str, list[str]]:
        """Run a cell and return all that it shows, by media type; changes of an output too."""
        found: dict[str, list[str]] = {}

        def hear(message: Any) -> None:
            content = message["content"]
            if message["msg_type"] in ("execute_result", "display_data", "update_display_data"):
                for kind, text in content["data"].items():
                    found.setdefault(kind, []).append(text)
            elif message["msg_type"] == "stream":
                found.setdefault(content["name"], []).append(content["text"])
            elif message["msg_type"] == "error":
                found.setdefault("error", []).append(f"{content['ename']}: {content['evalue']}")

        self._client.execute_interactive(cell, output_hook=hear, timeout=_TIMEOUT_S)
        return found

    def run(self, cell: str, interrupt_at: str | None = None) -> str:
        """Run a cell and return what it prints, an exception as its name and message.

        Args:
            cell: the code.
            interrupt_at: the stop button is pressed when the cell has printed this.

        """
        printed, is_pressed = "", False

        def hear(message: Any) -> None:
            nonlocal printed, is_pressed
            content = message["content"]
            if message["msg_type"] == "stream":
                printed += content["text"]
            elif message["msg_type"] == "error":
                printed += f"{content['ename']}: {content['evalue']}"
            if interrupt_at and interrupt_at in printed and not is_pressed:
                is_pressed = True
                self._manager.interrupt_kernel()

        self._client.execute_interactive(cell, output_hook=hear, timeout=_TIMEOUT_S)
        return printed


@pytest.fixture
def notebook(tmp_path: Path) -> Iterator[Notebook]:
    manager, client = jupyter_client.manager.start_new_kernel(_TIMEOUT_S, cwd=str(tmp_path))
    try:
        yield Notebook(manager, client)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def test_cells_train_one_after_another_are_interrupted_and_go_on(notebook: Notebook, tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "a.parquet", linear_columns(300, 2))
    told = notebook.run(f"""
import asyncio, signal, threading, logging
import torch, pyarrow as pa
import linreg_dist as lr
spec = {{"name": "r", "data": {{"path": {str(path)!r}, "target": "y"}}, "run": {{"storage_path": "runs"}}}}
torch.set_num_threads(2); pa.set_cpu_count(3)
def settings():
    loggers = logging.getLogger().level, len(logging.getLogger().handlers)
    loop = asyncio.get_running_loop().is_running(), threading.current_thread()
    return torch.get_num_threads(), pa.cpu_count(), signal.getsignal(signal.SIGINT), loggers, loop
before = settings()
""")
    assert "Error" not in told
    again = "for name in ('a', 'b'): print(lr.train(spec | {'name': name}).result['status'])"
    assert notebook.run(again).split() == ["succeeded", "succeeded"]
    assert notebook.run("print((await asyncio.to_thread(lr.train, spec)).result['status'])").split() == [
        "succeeded"
    ]
    assert notebook.run("print(settings() == before)") == "True\n"

    long = """
from contextlib import contextmanager
@contextmanager
def begun(metrics):
    print("training", flush=True)
    yield
endless = spec | {"name": "long", "solver": {"name": "sgd", "epochs": 10_000_000, "early_stop": None}}
from linreg_dist.verbs.train import train
train(endless, watch=begun)
"""
    told = notebook.run(long, interrupt_at="training")
    assert "InterruptedRunError: stopped by an interrupt" in told or "KeyboardInterrupt" in told
    assert (
        notebook.run("import json; print(json.load(open('runs/long/result.json'))['status'])")
        == "interrupted\n"
    )
    assert notebook.run("print(settings() == before)") == "True\n"
    assert notebook.run("print(lr.train(spec | {'name': 'c'}).result['status'])") == "succeeded\n"


def test_the_page_on_python_runs_cell_by_cell_and_shows_what_it_says(notebook: Notebook) -> None:
    text = (Path(__file__).parents[2] / "docs/python.md").read_text()
    cells = re.findall(r"^```python\n(.*?)^```$", text, re.M | re.S)
    shown = [notebook.shown(cell) for cell in cells]
    assert [each.get("error") for each in shown] == [None] * len(cells)
    assert [each.get("stderr") for each in shown] == [None] * len(cells)
    first = shown[0]
    progress = [each for each in first["text/html"] if "<progress" in each]
    assert "starting" in progress[0]
    assert any("loading libraries" in each for each in progress)
    assert "<th" in first["text/html"][-1]  # the run itself, as a table
    assert first["text/plain"][-1].startswith("<Run fit-")
    adam = shown[2]["text/html"][-1]  # what stays below the cell
    assert "train MSE" in adam
    assert "<progress" not in adam
    for expression, part in {
        "run.summary()": "how it was made",
        "run.report": "<iframe sandbox srcdoc=",
        "model.summary()": "distance",
        "model": "how it was made",
        "model.plot()": "<svg",
    }.items():
        assert part in notebook.shown(expression)["text/html"][-1]
    shown_model = notebook.shown("model")["text/plain"][-1]
    assert shown_model.startswith("<LinearModel of minutes: 3 coefficients, R² 0.9")
