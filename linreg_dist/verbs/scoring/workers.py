"""Scoring on Ray: each worker scores its share of the files, with all the cores that it is given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from linreg_dist.data.source.manifest import Manifest
from linreg_dist.errors import LinregDistError, RunFailedError, from_record, to_record
from linreg_dist.jobspec import JobSpec
from linreg_dist.verbs.scoring.job import Scored, ScoringJob

Answer = tuple[Scored, dict[str, object] | None]


def shares_of(manifest: Manifest, numbers: Sequence[int], workers: int) -> list[list[int]]:
    """Return the files of each worker, by their numbers: about as many rows for each, none without a file.

    The largest files are dealt first, each to the worker that has the fewest rows.
    """
    shares: list[list[int]] = [[] for _ in range(min(workers, len(numbers)))]
    loads = [0] * len(shares)
    for number in sorted(numbers, key=lambda each: (-manifest.files[each].num_rows, each)):
        least = min(range(len(shares)), key=lambda at: (loads[at], len(shares[at]), at))
        shares[least].append(number)
        loads[least] += manifest.files[number].num_rows
    return [sorted(share) for share in shares]


def run_on_workers(job: ScoringJob, numbers: Sequence[int], spec: JobSpec) -> Scored:
    """Score the files of these numbers on the workers that a spec's ``scaling`` asks for.

    Raises:
        DataError, StorageError: as of `ScoringJob.run`, on one of the workers.
        ClusterError: the cluster cannot be reached, or is too small.
        RunFailedError: workers were lost, more often than ``run.max_failures``.

    """
    shares = shares_of(job.manifest, numbers, spec.scaling.max_workers)
    if not shares:
        return Scored()
    from linreg_dist.run.guest import settings_kept
    from linreg_dist.run.ray.session import environment_of_workers, ray_session

    with settings_kept(), ray_session(spec, verbose=False):
        import ray
        import ray.exceptions

        resources = dict(spec.scaling.resources_per_worker)
        task = ray.remote(
            num_cpus=resources.pop("CPU", 1.0),
            num_gpus=resources.pop("GPU", 0.0),
            resources=resources,
            max_retries=spec.run.max_failures,
            runtime_env=environment_of_workers(spec),
        )(_run_share)
        # The current directory of a worker is another one.
        folder = job.folder.absolute() if isinstance(job.folder, Path) else job.folder
        shared = ray.put(replace(job, folder=folder))
        running = [task.remote(shared, share) for share in shares]
        try:
            answers: list[Answer] = ray.get(running)
        except ray.exceptions.RayError as error:
            raise RunFailedError(
                f"the predictions could not be finished: {error}. Finished files stay; run the same again"
            ) from error
        finally:
            for each in running:
                ray.cancel(each, force=True)
    errors = [error for _, error in answers if error is not None]
    if errors:
        raise from_record(errors[0])
    return Scored(sum(scored.rows for scored, _ in answers), sum(scored.nulls for scored, _ in answers))


def _run_share(job: ScoringJob, numbers: list[int]) -> Answer:
    """Score files in a worker; what is wrong with the data is an answer, and not to be tried again."""
    try:
        return job.run(numbers), None
    except LinregDistError as error:
        return Scored(), to_record(error)
