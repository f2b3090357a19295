"""Saved statistics without their data: merge, subtract, and solve again under another penalty or with fewer
columns.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from linreg_dist.data.design.encoding import Encoding
from linreg_dist.documents import DataDocument
from linreg_dist.errors import DataError, SpecError
from linreg_dist.jobspec import JobSpec, load_spec
from linreg_dist.jobspec.reading.interpolation import escape
from linreg_dist.model.details import model_of
from linreg_dist.model.linear_model import LinearModel
from linreg_dist.run.ending.versions import versions_of
from linreg_dist.run.outputs import is_same_file, refuse_in_run
from linreg_dist.solvers import Choice
from linreg_dist.solvers.exact.inference import NO_ROWS, RobustTests
from linreg_dist.solvers.exact.moment_metrics import NOT_READ
from linreg_dist.solvers.exact.penalty import choose_penalty
from linreg_dist.solvers.exact.solution import fit_of, metrics_of, solve_sums
from linreg_dist.solvers.exact.solver import Exact
from linreg_dist.solvers.exact.statistics import sums_of
from linreg_dist.solvers.exact.sums.moment_sums import ExactSums
from linreg_dist.stats.artefact import (
    Artefact,
    load_artefact,
    merge_artefacts,
    save_artefact,
    subtract_artefacts,
)
from linreg_dist.stats.inference import Refusal, refusal
from linreg_dist.storage import Location, ObjectPath, as_location
from linreg_dist.training.fit import Fit, found_of
from linreg_dist.training.united import in_one_encoding
from linreg_dist.verbs.stats_documents import check_documents
from linreg_dist.wording.names import some_names

FILE_NAME = "statistics.safetensors"

_EXACT = Choice(Exact(), "solved from statistics; no data was read")
_SETTABLE = ("model.", "tune", "data.weight_type", "name")


def statistics_path(source: str | Path | ObjectPath) -> Location:
    """Return the statistics file that ``source`` means: itself, or the one in a run's folder."""
    path = as_location(source)
    return path / FILE_NAME if path.is_dir() else path


def open_statistics(source: str | Path | ObjectPath) -> Artefact:
    """Read the statistics of a run's folder, or a statistics file.

    Raises:
        DataError: there are none.

    """
    path = statistics_path(source)
    if not path.exists():
        raise DataError(
            f"no statistics at {source}: expected a statistics file, or the folder of a run of the exact "
            f"solver, which holds {FILE_NAME}"
        )
    artefact = load_artefact(path)
    check_documents(artefact, str(path))
    return artefact


def merge_statistics(sources: Sequence[str | Path], output: str | Path) -> Artefact:
    """Write the statistics of several disjoint sets of data.

    Raises:
        DataError: a source has none, they overlap, or they were made in different ways.
        SpecError: the output is one of the sources, or would replace what is no statistics file.

    """
    _refuse_output(output, sources)
    merged, *others = [open_statistics(source) for source in sources]
    shown = str(sources[0])
    for source, other in zip(sources[1:], others, strict=True):
        names = shown, str(source)
        merged = merge_artefacts(*in_one_encoding(merged, other, names, "merge"), names)
        shown = "what was merged before it" if len(sources) > 2 else shown
    save_artefact(merged, output)
    return merged


def subtract_statistics(left: str | Path, right: str | Path, output: str | Path) -> Artefact:
    """Write the statistics of the data of ``left`` without that of ``right``.

    Raises:
        DataError: a source has none, ``right`` is no part of ``left``, or they were made in different ways.
        SpecError: the output is one of the sources, or would replace what is no statistics file.

    """
    _refuse_output(output, (left, right))
    names = str(left), str(right)
    both = in_one_encoding(open_statistics(left), open_statistics(right), names, "subtract")
    rest = subtract_artefacts(*both, names)
    save_artefact(rest, output)
    return rest


def _refuse_output(output: str | Path, sources: Sequence[str | Path]) -> None:
    """Refuse to write statistics over an input, into a run, or over a file that is something else.

    Raises:
        SpecError: which of these it is.

    """
    place = as_location(output)
    for source in sources:
        if is_same_file(place, statistics_path(source)):
            raise SpecError(f"-o {output} is one of the statistics that are read; choose another file")
    refuse_in_run(place, "-o")
    if isinstance(place, Path) and place.is_dir():
        raise SpecError(f"-o {output} is a folder; expected a file, such as {Path(output) / FILE_NAME}")
    if not place.exists():
        return
    try:
        is_statistics = bool(load_artefact(place))
    except DataError:
        is_statistics = False
    if not is_statistics:
        raise SpecError(
            f"-o {output} exists and is not a statistics file; it would be overwritten. Choose another file, "
            "or remove it"
        )


def solve_statistics(
    source: str | Path,
    overrides: Mapping[str, Any] | Sequence[str] = (),
    features: Sequence[str] | None = None,
) -> LinearModel:
    """Fit a model from statistics alone.

    Args:
        source: a statistics file or a run's folder.
        overrides: other values for the spec's ``model`` and ``tune`` than the run had.
        features: columns to keep, a categorical one with all its levels; None keeps all.

    Raises:
        SpecError: an override is invalid, or changes what was summed.
        DataError: no statistics, no such column, or no rows.
        RunFailedError: coordinate descent did not converge.

    """
    artefact = open_statistics(source)
    spec = _spec(artefact, overrides)
    encoding = _select(Encoding.from_json(artefact.encodings), features)
    sums = _select_sums(sums_of(artefact), encoding.names)
    if spec.tune is not None and len(sums.folds) != spec.tune.folds:
        raise SpecError(
            f"{source} has the statistics of {len(sums.folds)} folds, and tune.folds is {spec.tune.folds}; "
            "cross-validation needs statistics that were made with this number of folds"
        )
    standardize = _EXACT.solver.standardize(spec)
    choice = choose_penalty(spec.model, spec.tune, sums.folds, standardize=standardize)
    solution = solve_sums(spec, sums, choice.penalty, standardize=standardize)
    tests: RobustTests | None = None
    if spec.model.covariance != "nonrobust" and refusal(solution, spec.data.weight_type) is None:
        tests = Refusal(NO_ROWS.format(kind=spec.model.covariance))
    fit = fit_of(spec, solution, choice, tests, passes=0, rows_per_s=0.0, train_s=0.0)
    return _model(spec, artefact, encoding, sums, fit)


def _spec(artefact: Artefact, overrides: Mapping[str, Any] | Sequence[str]) -> JobSpec:
    """Return the spec behind the statistics, with other penalties and the like."""
    paths = [str(item).partition("=")[0] for item in overrides]
    refused = [path for path in paths if not path.startswith(_SETTABLE)]
    if refused:
        raise SpecError(
            f"--set {refused[0]} would change what was summed; statistics can be solved with other "
            "model.* and tune.* only. For the rest train again"
        )
    extra, schema = artefact.extra, artefact.schema
    document = {
        "name": extra["name"],
        "data": {
            # No file is read: a ${VAR} in it, which the run kept as it was written, need not be set here.
            "path": [escape(path) for path in extra["path"]],
            "target": schema["targets"],
            "weight": schema["weight"],
            "weight_type": extra["weight_type"],
            "missing": schema["missing"],
        },
        "model": {**extra["model"]},
        "tune": extra["tune"],
    }
    if _covariance(extra["model"], overrides) == "cluster":
        document["data"]["cluster"] = extra["cluster"] or "(unknown)"
    if extra["tune"] is not None and any(path in ("model.l1", "model.l2") for path in paths):
        document["tune"] = None  # a penalty that is given is not to be chosen
    return load_spec(document, overrides)


def _covariance(model: Mapping[str, Any], overrides: Mapping[str, Any] | Sequence[str]) -> str:
    """Return the kind of standard errors that is asked for after the overrides."""
    given = (
        overrides if isinstance(overrides, Mapping) else dict(item.partition("=")[::2] for item in overrides)
    )
    return str(given.get("model.covariance", model["covariance"])).strip()


def _select(encoding: Encoding, features: Sequence[str] | None) -> Encoding:
    if features is None:
        return encoding
    columns = {column.name: column for column in encoding.columns}
    for name in features:
        if name not in columns:
            close = difflib.get_close_matches(name, columns, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"there are {some_names(columns)}"
            raise DataError(f"the statistics have no feature {name!r}; {hint}")
    return Encoding(tuple(columns[name] for name in features))


def _select_sums(sums: ExactSums, names: Sequence[str]) -> ExactSums:
    return replace(
        sums,
        train=sums.train.select(names),
        validation=sums.validation.select(names),
        folds=tuple(fold.select(names) for fold in sums.folds),
    )


def _model(spec: JobSpec, artefact: Artefact, encoding: Encoding, sums: ExactSums, fit: Fit) -> LinearModel:
    found = found_of(_EXACT, encoding, fit, sums.totals(), metrics_of(sums, fit, NOT_READ), read_s=0.0)
    return model_of(
        spec,
        found,
        targets=tuple(artefact.moments.target_names),
        data=DataDocument(path=artefact.extra["path"], files=_num_files(artefact)),
        versions=versions_of("torch", "numpy"),
        covariance=fit.covariance,
    )


def _num_files(artefact: Artefact) -> int:
    """Return how many files the statistics are of; a file may be there in several parts."""
    return len({(piece["file"], piece["content"]) for piece in artefact.consumed})
