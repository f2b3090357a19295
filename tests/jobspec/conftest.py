from __future__ import annotations

import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from linreg_dist.errors import SpecError
from linreg_dist.jobspec import load_spec

MINIMAL = {"data": {"path": "flights", "target": "delay"}}


@pytest.fixture
def in_tmp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current directory, so that files are named by short relative paths."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def write(in_tmp: Path) -> Callable[[str, str], str]:
    """Write a file below the current directory and return its relative path."""

    def write_file(name: str, text: str) -> str:
        file = in_tmp / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(textwrap.dedent(text), encoding="utf-8")
        return name

    return write_file


@pytest.fixture
def errors_of() -> Callable[..., list[str]]:
    """Load something invalid and return the lines of the message."""

    def load(*args: Any, **kwargs: Any) -> list[str]:
        with pytest.raises(SpecError) as caught:
            load_spec(*args, **kwargs)
        return str(caught.value).splitlines()

    return load
