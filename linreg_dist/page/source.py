"""What a page is made from: the result, the model, and the epochs on the way."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from linreg_dist.model import LinearModel
from linreg_dist.wording.events import parse_event

_OPTIONS_OF_URI = re.compile(r"(\w+://[^\s?'\",\]]+)\?[^\s'\",\]]*")
_MOST_CHARACTERS = 80


@dataclass(frozen=True)
class Source:
    """A run that has succeeded.

    Attributes:
        result: the document of result.json, before it names the page.
        description: of the model, the document of ``show --json``.
        model: the fitted model.
        epochs: the epoch lines of metrics.jsonl; may be empty for the exact solver.
        folder: where the run lies.
        spec_yaml: the job as it ran.

    """

    result: Mapping[str, Any]
    description: Mapping[str, Any]
    model: LinearModel
    epochs: Sequence[Mapping[str, Any]]
    folder: str
    spec_yaml: str

    @property
    def targets(self) -> tuple[str, ...]:
        """Names of the targets."""
        return self.model.targets

    @property
    def is_iterative(self) -> bool:
        """Whether the loss was brought down epoch by epoch."""
        return bool(self.result["solver"]["name"] != "exact")

    @property
    def documents(self) -> Sequence[Mapping[str, Any]]:
        """The description of each target."""
        documents: Sequence[Mapping[str, Any]] = self.description.get("targets", [self.description])
        return documents


def epoch_lines(metrics_jsonl: str) -> list[dict[str, Any]]:
    """Return the epoch lines of metrics.jsonl in order; a line that is none, as a full disk leaves one, is
    left out.
    """
    epochs: dict[int, dict[str, Any]] = {}
    for line in metrics_jsonl.splitlines():
        event = parse_event(line)
        if event is not None and "progress" not in event:
            epochs[event["epoch"]] = event
    return [epochs[epoch] for epoch in sorted(epochs)]


def without_options(text: str) -> str:
    """Return a text whose URIs have lost their options, which name hosts: the page is shown to others."""
    return _OPTIONS_OF_URI.sub(r"\1", text)


def shorten(name: str, most: int = _MOST_CHARACTERS) -> str:
    """Return a name of the data on one line of at most so many characters."""
    plain = "".join(c if c.isprintable() else " " for c in name)
    return plain if len(plain) <= most else plain[: most - 1] + "…"


def some(names: Sequence[str], most: int = 12) -> str:
    """Return the first of many names, and how many more there are."""
    text = ", ".join(shorten(name) for name in names[:most])
    return f"{text} and {len(names) - most:,} more" if len(names) > most else text
