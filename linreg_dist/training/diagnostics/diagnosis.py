"""`diagnose`: the pass over the rows of a finished fit, within its share of the run's time."""

from __future__ import annotations

import contextvars
import hashlib
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import zip_longest

from linreg_dist import limits
from linreg_dist.data.capacity import at_once, decoded_nbytes, require_room
from linreg_dist.data.design.columns import Columns
from linreg_dist.data.source.manifest import Manifest, RowGroup
from linreg_dist.data.store import bounded_map
from linreg_dist.documents import (
    Cause,
    Diagnostics,
    DiagnosticsCost,
    FeatureRange,
    ResultDocument,
    SplitMetrics,
)
from linreg_dist.errors import DataError
from linreg_dist.jobspec import DataSpec
from linreg_dist.kernels.blas import one_blas_thread
from linreg_dist.model.linear_model import LinearModel
from linreg_dist.training.diagnostics.influence import (
    Influence,
    causes_of,
    correlation,
    describe_rows,
    inflation,
)
from linreg_dist.training.diagnostics.look import Looker
from linreg_dist.training.diagnostics.part import Part, Row
from linreg_dist.training.diagnostics.question import MOST_SQUARED, Question, question_of
from linreg_dist.training.diagnostics.residuals import target_diagnostics

_MOST_ROWS = 1_000_000
_MOST_VALUES = 1 << 25  # encoded, of all rows that are looked at
_SMALL_VALUES = 1 << 20  # what is always looked at: some hundredths of a second
_ONE_OF = 50  # values of larger data: a pass over all of them costs a fit several times as much
_SHARE = 0.08  # of the run's time until then, after which no further row group is read
_FEWEST_HELD_OUT = 500
_SAMPLED = 150
_MOST_FEATURES = 200


@dataclass(frozen=True)
class Subject:
    """A finished fit and the rows behind it.

    Attributes:
        manifest, columns, data: what was read, and by which rules.
        model: the fitted model.
        result: what is known of the run.

    """

    manifest: Manifest
    columns: Columns
    data: DataSpec
    model: LinearModel
    result: ResultDocument


def diagnose(subject: Subject, run_s: float) -> Diagnostics:
    """Return what one pass over the rows says of the fit.

    Small data is looked at whole. Of larger data a sample of row groups is, in an order that depends on the
    files alone: up to a number of rows, and no further once the pass has taken its share of the run's time.

    Args:
        subject: the fit.
        run_s: seconds that the run has taken until now.

    Raises:
        DataError: the rows cannot be read, or there are none.

    """
    began = time.perf_counter()
    manifest, model = subject.manifest, subject.model
    rows = subject.result.rows
    train_rows, held_out = (rows.train, rows.validation) if rows else (manifest.num_rows, 0)
    split = "validation" if held_out >= _FEWEST_HELD_OUT else "train"
    width = max(model.encoding.num_encoded, 1)
    most_values = min(max(_SMALL_VALUES, manifest.num_rows * width // _ONE_OF), _MOST_VALUES)
    most_rows = max(min(_MOST_ROWS, most_values // width), 1)
    order = sampled_order(manifest)
    groups = _within(order, most_rows)
    chosen_rows = sum(group.num_rows for group in groups)
    stride = -(-chosen_rows // max(most_rows, 1)) or 1
    seen_share = chosen_rows / max(manifest.num_rows, 1) / stride
    every = max(1, round(train_rows * seen_share / _SAMPLED))
    question = question_of(model, manifest, split, every=every)
    looker = Looker(manifest, subject.columns, subject.data, model.encoding, question, stride)
    until = None if most_values <= _SMALL_VALUES else began + _SHARE * run_s
    with one_blas_thread():
        part, num_groups = _pass(looker, question, groups, subject, until)
    if not part.fitted_KN or not sum(piece.shape[1] for piece in part.fitted_KN) or not part.train_rows:
        raise DataError("the row groups that were looked at hold no rows that were used")
    stopped = None
    if num_groups < len(groups):
        stopped = f"after {_SHARE:.0%} of the run's time"
    elif len(groups) < len(order):
        stopped = f"after {most_rows:,} rows"
    if stride > 1:
        stopped = f"one row of {stride:,} was looked at" + (f", {stopped}" if stopped else "")
    document = _document(subject, question, part, split)
    seconds = time.perf_counter() - began
    cost = DiagnosticsCost(
        seconds=seconds,
        share=seconds / max(run_s + seconds, 1e-9),
        rows=part.rows,
        row_groups=num_groups,
        of_row_groups=len(order),
        stopped=stopped,
    )
    return replace(document, cost=cost)


def sampled_order(manifest: Manifest) -> list[RowGroup]:
    """Return the row groups that have rows to look at, in an order that looks random and never changes.

    Row groups that train and those that validate take turns, where whole files do either.
    """

    def place(group: RowGroup) -> bytes:
        text = f"{manifest.files[group.file].key}:{group.ordinal}"
        text += "" if group.span is None else f":{group.span[0]}"
        return hashlib.blake2b(text.encode(), digest_size=8).digest()

    filled = [
        group for group in manifest.row_groups if group.num_rows and group.index not in manifest.ruled_out
    ]
    by_role = [
        sorted((group for group in filled if manifest.role(group) == role), key=place)
        for role in ("train", "validation")
    ]
    return [group for turn in zip_longest(*by_role) for group in turn if group is not None]


def _within(order: list[RowGroup], most_rows: int) -> list[RowGroup]:
    """Return the first row groups that together have at most so many rows; one of each role at least."""
    total = 0
    for number, group in enumerate(order):
        total += group.num_rows
        if total > most_rows and number > 1:
            return order[:number]
    return order


def _pass(
    looker: Looker, question: Question, groups: list[RowGroup], subject: Subject, until: float | None
) -> tuple[Part, int]:
    """Return what was found in the row groups until the time was up, and in how many."""
    if not groups:
        return Part.empty(question), 0
    manifest, columns = subject.manifest, subject.columns
    largest = max(decoded_nbytes(manifest, group, columns.to_read) for group in groups)
    require_room(largest, "a row group", "the page can do without its diagnostics")
    context = contextvars.copy_context()
    total, number = Part.empty(question), 0

    def look(group: RowGroup) -> Part:
        return context.copy().run(looker.look, group)

    # A small sample is soon looked at, and a run that was short of memory has none for several row groups.
    wanted = 1 if until is None else min(limits.available_cpus(), len(groups))
    threads = at_once(2 * largest, wanted)
    with ThreadPoolExecutor(threads, thread_name_prefix="diagnose") as pool:
        found: Iterator[Part] = bounded_map(pool, look, groups, threads)
        for part in found:
            total.merge(part)
            number += 1
            if until is not None and time.perf_counter() > until and number > 1:
                break
    return total, number


def _document(subject: Subject, question: Question, part: Part, split: str) -> Diagnostics:
    model, names = subject.model, subject.model.encoding.names
    targets = [model.targets[k] for k in question.targets]
    train_mse = _mse_of(subject.result.metrics, targets)
    influence, reason = None, None
    if not model.is_linear:
        reason = "it is that of a linear fit, and this is a module of your own"
    elif not question.has_all_squared:
        reason = f"there are {len(names):,} columns, more than {MOST_SQUARED}"
    elif train_mse is None:
        reason = "the errors of the training rows are not known"
    elif names:
        influence = Influence(question, part, _train_rows(subject, part), train_mse)
    documents = []
    for k, target in enumerate(targets):

        def causes(row: Row, k: int = k) -> list[Cause]:
            return causes_of(question, model.encoding, row, k)

        largest = describe_rows(subject.manifest, part.largest[k], k, influence, causes)
        rows = _training_rows([*part.largest[k], *(row for _, row in part.far), *part.sampled])
        single = describe_rows(subject.manifest, rows, k, influence) if influence else []
        documents.append(target_diagnostics(question, part, k, target, largest, single))
    factors = inflation(question, part)
    return Diagnostics(
        cost=DiagnosticsCost(seconds=0.0, share=0.0, rows=0, row_groups=0, of_row_groups=0),
        split=split,
        weighted=subject.columns.weight is not None,
        targets=documents,
        features=[
            FeatureRange(
                feature=name,
                low=float(part.low_D[i]),
                high=float(part.high_D[i]),
                mean=float(question.mean_D[i]),
                sd=float(question.std_D[i]),
                vif=factors.get(i),
            )
            for i, name in enumerate(names[:_MOST_FEATURES])
        ],
        correlation=correlation(question, part, names),
        leverage_reason=reason,
    )


def _train_rows(subject: Subject, part: Part) -> int:
    return subject.result.rows.train if subject.result.rows else part.train_rows


def _mse_of(metrics: SplitMetrics | None, targets: list[str]) -> list[float] | None:
    train = None if metrics is None else metrics.train
    if train is None:
        return None
    each = train.per_target
    return [train.mse if each is None else each[target].mse for target in targets]


def _training_rows(rows: list[Row]) -> list[Row]:
    """Return the training rows among these, each once."""
    return list({(row.group, row.number): row for row in rows if row.split == "train"}.values())
