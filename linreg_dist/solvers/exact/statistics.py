"""The sums of an exact fit as an artefact: what they were made of, and how two of them become one.

A piece is the row groups of one file that were summed, as ranges of their numbers in it: a list entry per row
group would outgrow the header of a safetensors file for large data sets. What the rows became stands beside
the file's digest, so the counts of merged or subtracted statistics are sums over their pieces.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from linreg_dist.data.design.columns import Columns
from linreg_dist.data.source.manifest import Manifest, ParquetFileInfo
from linreg_dist.data.summary import RowCounts
from linreg_dist.errors import DataError, RunFailedError
from linreg_dist.jobspec import JobSpec
from linreg_dist.solvers.exact.sums.moment_sums import ExactSums
from linreg_dist.stats.artefact import Artefact, load_artefact, merge_artefacts, save_artefact
from linreg_dist.stats.moments import Moments
from linreg_dist.storage.free_space import describe_room
from linreg_dist.training.checkpoints.row_counts import counts_from_json, counts_to_json, total_counts
from linreg_dist.training.job import TrainJob
from linreg_dist.training.prepare import OpenData
from linreg_dist.training.united import in_one_encoding
from linreg_dist.training.worker import Worker


def content_of(file: ParquetFileInfo) -> str:
    """Return a digest of what the footer says of a file: its size, rows, row groups, column chunks and their
    statistics.
    """
    return hashlib.sha256(f"{file.size}:{file.footer_sha256}".encode()).hexdigest()[:32]


def contents_of(manifest: Manifest) -> dict[str, str]:
    """Return the digest of each file with rows by its key; equal files of one data set are numbered."""
    seen: Counter[str] = Counter()
    contents = {}
    for file in manifest.files:
        if file.num_rows:
            content = content_of(file)
            contents[file.key] = f"{content}#{seen[content]}" if seen[content] else content
            seen[content] += 1
    return contents


def artefact_of(job: TrainJob, data: OpenData, sums: ExactSums) -> Artefact:
    """Return the sums with all that is needed to merge, subtract and solve them later."""
    spec = job.spec
    return Artefact(
        moments=sums.train,
        folds=sums.folds,
        validation=sums.validation,
        schema=schema_of(spec, job.columns),
        encodings=data.encoding.to_json(),
        consumed=tuple(_pieces(job, sums.groups)),
        extra={
            "name": spec.name,
            "model": spec.model.model_dump(mode="json"),
            "tune": None if spec.tune is None else spec.tune.model_dump(mode="json"),
            "weight_type": spec.data.weight_type,
            "cluster": spec.data.cluster,
            "path": spec.shown_paths(),
            "tables": [table.to_json() for table in job.manifest.table_documents(spec.shown_names())],
            "listed": [
                name
                for name, levels in spec.data.categorical.items()
                if levels != "auto" and spec.data.unseen == "zero"
            ],
        },
    )


def schema_of(spec: JobSpec, columns: Columns) -> dict[str, Any]:
    """Return what decides which rows and columns are summed, beside the encoding; equal to be merged."""
    rules = spec.data.model_dump(mode="json", include={"filter", "missing", "validation"})
    rules["validation"].pop("path")  # where held-out files lie does not change what is summed
    return {
        "targets": list(columns.targets),
        "features": list(columns.features),
        "weight": columns.weight,
        **rules,
    }


def sums_of(artefact: Artefact, groups: Mapping[int, RowCounts] | None = None) -> ExactSums:
    """Return what `artefact_of` was made from; ``groups`` are the row groups that were read for it."""
    names = artefact.moments.feature_names, artefact.moments.target_names
    counts = total_counts(counts_from_json(piece) for piece in artefact.consumed)
    if groups:  # an error names the row group that it was found in
        counts.first_missing |= total_counts(groups.values()).first_missing
    return ExactSums(
        groups=dict(groups or {}),
        counts=counts,
        train=artefact.moments,
        validation=artefact.validation or Moments.empty(*names),
        folds=artefact.folds,
    )


def add_earlier(
    worker: Worker, job: TrainJob, artefact: Artefact, removed: ExactSums | None = None
) -> Artefact:
    """Return the statistics of this run's rows together with those that it adds to.

    Args:
        worker: this one, among its peers.
        job: says which files are no longer part of a table.
        artefact: of this run's rows.
        removed: the sums of the rows of those files.

    Raises:
        DataError: on every worker alike: the earlier statistics are gone, or were made in another way.

    """
    path = job.update_from
    if path is None:
        return artefact
    earlier = worker.together(lambda: load_artefact(path) if worker.rank == 0 else None)[0]
    if earlier is None:
        raise DataError(f"rank 0 returned no statistics from {path}")
    if not artefact.folds:  # the folds are of use only to a run that tunes
        earlier = replace(earlier, folds=())
    names = f"the statistics of {path.parent}", "the new files"
    earlier, artefact = in_one_encoding(earlier, artefact, names, "merge")
    if removed is not None:
        earlier = _without(earlier, removed, job.dropped)
    merged = merge_artefacts(earlier, _numbered_after(artefact, earlier), names)
    return replace(merged, extra=artefact.extra)


def _without(artefact: Artefact, removed: ExactSums, dropped: frozenset[str]) -> Artefact:
    """Return the statistics less the rows of files that are no longer part of a table."""
    return replace(
        artefact,
        moments=artefact.moments.subtract(removed.train),
        folds=tuple(all_.subtract(gone) for all_, gone in zip(artefact.folds, removed.folds, strict=False)),
        validation=None if artefact.validation is None else artefact.validation.subtract(removed.validation),
        consumed=tuple(piece for piece in artefact.consumed if piece["file"] not in dropped),
    )


def _numbered_after(artefact: Artefact, earlier: Artefact) -> Artefact:
    """Return the statistics of new files, those that are equal to an earlier file numbered after it."""
    known = {piece["file"]: piece["content"] for piece in earlier.consumed}
    taken, consumed = {*known.values()}, []
    for piece in artefact.consumed:
        content, number = piece["content"], 0
        if piece["file"] not in known:
            while content in taken:
                number += 1
                content = f"{piece['content'].partition('#')[0]}#{number}"
        taken.add(content)
        consumed.append({**piece, "content": content})
    return replace(artefact, consumed=tuple(consumed))


def _pieces(job: TrainJob, groups: Mapping[int, RowCounts]) -> Iterable[dict[str, Any]]:
    manifest = job.manifest
    contents = contents_of(job.added)
    by_file: dict[int, list[tuple[int, RowCounts]]] = {}
    for index, counts in groups.items():
        group = manifest.row_groups[index]
        by_file.setdefault(group.file, []).append((group.ordinal, counts))
    for number, parts in sorted(by_file.items()):
        file, total = manifest.files[number], total_counts(counts for _, counts in parts)
        yield {
            "file": file.key,
            "content": contents[file.key],
            "role": file.role,
            "row_groups": _ranges({ordinal for ordinal, _ in parts}),  # of a slice, that of its row group
            **counts_to_json(total),
        }


def save_statistics(artefact: Artefact, job: TrainJob) -> None:
    """Write what counts as the run's statistics once it has succeeded.

    Raises:
        RunFailedError: there is no room for it.
        StorageError: an object store does not take it.

    """
    try:
        save_artefact(artefact, job.pending_statistics)
    except OSError as error:
        room = describe_room(job.pending_statistics, error)
        raise RunFailedError(
            f"the statistics could not be written to {job.pending_statistics}: {error}; {room}. "
            "Make room and start the same job again: it continues from the sums that it has written"
        ) from error


def _ranges(numbers: Iterable[int]) -> list[list[int]]:
    """Return numbers as half-open ranges: 0, 1, 2, 5 are [[0, 3], [5, 6]]."""
    ranges: list[list[int]] = []
    for number in sorted(numbers):
        if ranges and ranges[-1][1] == number:
            ranges[-1][1] = number + 1
        else:
            ranges.append([number, number + 1])
    return ranges
