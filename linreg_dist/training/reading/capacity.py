"""A worker's memory against what the job needs of it at least: refused before it is tried."""

from __future__ import annotations

from linreg_dist import limits
from linreg_dist.data.capacity import at_once, decoded_nbytes, require_room, value_nbytes
from linreg_dist.training.job import TrainJob
from linreg_dist.training.worker import Worker

_FLOAT64_BYTES = 8
_SMALLER_GROUPS = (
    "write the data with smaller row groups (row_group_size=1_000_000 in pyarrow), or use a machine with more"
)


def require_room_for_rows(job: TrainJob, num_columns: int, value_bytes: int) -> None:
    """Refuse a job whose largest row group cannot be held once it is decoded and encoded.

    Args:
        job: the job.
        num_columns: encoded columns of a row, as far as they are known.
        value_bytes: bytes of a number in a block.

    Raises:
        LimitError: names the row group, and the limit that is too low for it.

    """
    manifest = job.manifest
    largest = max(manifest.row_groups, key=lambda group: group.num_rows)
    # Before the first pass, the first row group is looked at in float64.
    for group, nbytes in ((largest, value_bytes), (manifest.row_groups[0], _FLOAT64_BYTES)):
        schema = manifest.files[group.file].schema
        # A block is made column by column, so one decoded column is there beside it.
        read = [schema.field(name).type for name in job.columns.to_read if name in schema.names]
        widest = max(map(value_nbytes, read), default=0.0)
        need = int(group.num_rows * (_width(job, num_columns) * nbytes + widest))
        what = f"{manifest.where(group)} has {group.num_rows:,} rows, which"
        require_room(need, what, _SMALLER_GROUPS)


def require_room_for_moments(job: TrainJob, worker: Worker, num_columns: int) -> None:
    """Refuse sums of products that cannot be held: the square of the columns, for each fold and lane.

    Raises:
        LimitError: says how many there are, and the limit that is too low for them.

    """
    folds = job.spec.tune.folds if job.spec.tune else 1
    lanes = len(job.lanes_of(worker.rank, worker.world_size))
    size = num_columns + len(job.columns.targets)
    what = f"the exact solver's sums over {num_columns:,} columns after encoding"
    if job.spec.tune:
        what += f" in {folds:,} folds"
    require_room(
        _FLOAT64_BYTES * size * size * (1 + folds) * max(1, lanes),
        f"{what} and {lanes:,} lanes",
        "use solver.name: lbfgs, fewer levels or columns, fewer tune.folds or scaling.virtual_shards, or a "
        "machine with more",
    )


def decode_threads(job: TrainJob, worker: Worker, num_columns: int, value_bytes: int) -> int:
    """Return how many row groups a worker may decode at a time: one per thread, if there is room for them."""
    group = max(job.manifest.row_groups, key=lambda group: group.num_rows)
    block = group.num_rows * _width(job, num_columns) * value_bytes
    nbytes = block + decoded_nbytes(job.manifest, group, job.columns.to_read)
    share = min(1.0, worker.num_threads / limits.machine_cpus()) if worker.world_size > 1 else 1.0
    # One more than threads is on its way, and each worker of a node has its share.
    return min(worker.num_threads, max(1, at_once(int(nbytes / share), worker.num_threads + 1) - 1))


def _width(job: TrainJob, num_columns: int) -> int:
    return num_columns + len(job.columns.targets) + bool(job.columns.weight)
