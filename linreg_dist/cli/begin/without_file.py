"""``--data`` and ``--target`` of ``train``: a job without a spec file."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from linreg_dist.errors import DataError

if TYPE_CHECKING:
    from linreg_dist.jobspec import JobSpec


def read_job(
    spec: str | None, data: Sequence[str], targets: Sequence[str], overrides: Sequence[str]
) -> JobSpec:
    """Return the job in a spec file, in which ``--data`` and ``--target`` go before what it says, or of these
    two alone.

    Raises:
        click.UsageError: there is neither a file nor both of them.
        SpecError: the spec is invalid.

    """
    from linreg_dist.jobspec import load_spec, run_name

    given: dict[str, Any] = {}
    if data:
        given["path"] = _one_or_more(data)
    if targets:
        given["target"] = _one_or_more(targets)
    if spec is not None:
        return load_spec(spec, [*_as_settings(given), *overrides])
    if len(given) < 2:
        raise click.UsageError(_advice(data, targets), click.get_current_context(silent=True))
    name = run_name(f"{run_name(data[0])}-{'-'.join(targets)}.yaml")
    return load_spec({"name": name, "data": given}, overrides, shown="the command line")


@contextmanager
def pointing_to_init(spec: str | None, data: Sequence[str], targets: Sequence[str]) -> Iterator[None]:
    """Let a job without a file that does not fit its data end with how to draft one that does."""
    try:
        yield
    except DataError as error:
        if spec is not None:
            raise
        words = ["linreg-dist", "init", *data, *(word for name in targets for word in ("--target", name))]
        raise DataError(
            f"{error}\nA spec that fits this data, to read and to change: {shlex.join(words)} -o job.yaml"
        ) from error


def _one_or_more(values: Sequence[str]) -> str | list[str]:
    return values[0] if len(values) == 1 else list(values)


def _as_settings(given: Mapping[str, Any]) -> list[str]:
    from linreg_dist.wording.text import safe_json

    return [f"data.{key}={safe_json(value)}" for key, value in given.items()]


def _advice(data: Sequence[str], targets: Sequence[str]) -> str:
    if data:
        return (
            f"--data without --target; add the column to predict, or draft a spec: linreg-dist init {data[0]}"
        )
    if targets:
        return "--target without --data; add the Parquet to train on, or a SPEC"
    return (
        "there is no SPEC; give the file of a job, or --data PATH --target COLUMN. linreg-dist init PATH "
        "drafts a spec from data, linreg-dist demo trains on samples"
    )
