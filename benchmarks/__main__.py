"""``python -m benchmarks``: run a grid, write the report, see how cost grows and how fast the loss falls."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from benchmarks.contenders import CONTENDERS
from benchmarks.grids import GRIDS
from benchmarks.problems import DATA_ROOT, PROBLEMS

_RAW = DATA_ROOT / "runs"


@click.group()
def cli() -> None:
    """Benchmarks of linreg_dist; benchmarks/README.md says what is measured and how to read it."""


@cli.command()
@click.option("--rounds", type=click.IntRange(min=1), default=5, show_default=True)
def startup(rounds: int) -> None:
    """Time whole commands on a small job, from the start of the process to its end."""
    from benchmarks.startup import measure, table

    click.echo(table(measure(rounds, say=lambda line: click.echo(line, err=True))))


@cli.command()
@click.option("--grid", "grid_name", type=click.Choice(list(GRIDS)), default="small", show_default=True)
@click.option("--contenders", help="Only these, separated by commas; also ones that the grid leaves out.")
@click.option("--problems", help="Only these, separated by commas; also ones that the grid leaves out.")
@click.option("--rounds", type=click.IntRange(min=1), help="Instead of the grid's number.")
@click.option("--epochs", type=click.IntRange(min=1), help="Instead of the grid's number.")
@click.option(
    "--scale", type=click.FloatRange(min=0, min_open=True), help="Rows times this, instead of the grid's."
)
def run(
    grid_name: str,
    contenders: str | None,
    problems: str | None,
    rounds: int | None,
    epochs: int | None,
    scale: float | None,
) -> None:
    """Run a grid and print the table; `report` then writes it up."""
    from benchmarks.machine import describe_machine
    from benchmarks.report import render_markdown
    from benchmarks.summary import judge, summarise
    from benchmarks.sweep import run_grid

    grid = GRIDS[grid_name]
    chosen: dict[str, Any] = {
        "contenders": _names(contenders, CONTENDERS, "contender"),
        "problems": _names(problems, PROBLEMS, "problem"),
        "rounds": rounds,
        "epochs": epochs,
        "scale": scale,
    }
    grid = replace(grid, **{name: value for name, value in chosen.items() if value is not None})
    raw = _RAW / f"{datetime.now():%Y-%m-%dT%H%M%S}_{grid.name}.jsonl"
    records = run_grid(grid, raw, say=lambda line: click.echo(line, err=True))
    rows = summarise(records)
    click.echo(render_markdown(rows, judge(rows), describe_machine(), ()))
    click.echo(f"raw records: {raw}; write them up with: python -m benchmarks report {raw}", err=True)
    failed = sorted({record.contender for record in records if record.status == "failed"})
    if failed:
        raise click.ClickException(f"failed: {', '.join(failed)} (reasons above)")


@cli.command()
@click.argument("raw", nargs=-1, type=click.Path(exists=True, dir_okay=False, path_type=Path))
def report(raw: tuple[Path, ...]) -> None:
    """Write benchmarks/results/ from the records of RAW…, or of the latest run."""
    from benchmarks.report import write_report
    from benchmarks.sweep import load_records

    chosen = raw or tuple(sorted(_RAW.glob("*.jsonl"))[-1:])
    if not chosen:
        raise click.UsageError("nothing has been run yet; start with: python -m benchmarks run --grid small")
    records = [record for path in chosen for record in load_records(path)]
    for path in write_report(records):
        click.echo(path)


@cli.command()
@click.option("--base-rows", type=click.IntRange(min=1_000), default=500_000, show_default=True)
@click.option("--rounds", type=click.IntRange(min=1), default=3, show_default=True)
def scaling(base_rows: int, rounds: int) -> None:
    """Measure rows, columns, workers and steps, fit the cost model, write benchmarks/scaling.md."""
    from benchmarks.scaling import measure_and_write

    for path in measure_and_write(base_rows, rounds, say=lambda line: click.echo(line, err=True)):
        click.echo(path)


@cli.command()
@click.option("--rows", type=click.IntRange(min=1_000), default=2_000_000, show_default=True)
@click.option("--epochs", type=click.IntRange(min=1), default=5, show_default=True)
def convergence(rows: int, epochs: int) -> None:
    """Measure loss against wall time for synchronisation and batch size, write benchmarks/convergence.md."""
    from benchmarks.convergence import measure_and_write

    for path in measure_and_write(rows, epochs, say=lambda line: click.echo(line, err=True)):
        click.echo(path)


@cli.command()
@click.option("--rows", type=click.IntRange(min=1_000), default=2_000_000, show_default=True)
@click.option("--rounds", type=click.IntRange(min=1), default=5, show_default=True)
def scoring(rows: int, rounds: int) -> None:
    """Time `predict` against bare pyarrow that reads and writes the same, interleaved."""
    from benchmarks.scoring import measure

    found = measure(rows, rounds=rounds)
    for name, seconds in (("bare read and write", found.bare_s), ("predict", found.ours_s)):
        click.echo(f"{name}: {', '.join(f'{each:.2f}' for each in seconds)} s")
    click.echo(f"predict is at {found.share:.2f} of the bare rate, of the medians")


def _names(text: str | None, known: Mapping[str, object], kind: str) -> tuple[str, ...] | None:
    if text is None:
        return None
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    unknown = [name for name in names if name not in known]
    if unknown or not names:
        found = ", ".join(unknown) or "in an empty list"
        raise click.BadParameter(f"no {kind} {found}; there are {', '.join(known)}")
    return names


if __name__ == "__main__":
    cli(prog_name="python -m benchmarks")
