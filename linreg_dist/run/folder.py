"""A run's folder: its layout, when a name may be used again, and files that appear whole or not at
all.
"""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from linreg_dist.documents import ResultDocument
from linreg_dist.errors import LimitError, SpecError
from linreg_dist.jobspec import JobSpec, diff_specs, load_spec, resolved_yaml, spec_hash
from linreg_dist.run.ours import clear, mark, refuse_inputs_inside, require_usable
from linreg_dist.storage import Location, as_location, copy_file, one_line, read_file, write_whole
from linreg_dist.wording.json_text import parse_object
from linreg_dist.wording.streams import get_logger

logger = get_logger(__name__)

_OF_FIRST_PASS = ("first_pass", "moments")  # folders below checkpoints/
_WHERE_DATA_IS = {"data.path", "data.version"}
SUCCEEDED, FAILED, INTERRUPTED = "succeeded", "failed", "interrupted"


@dataclass(frozen=True)
class RunFolder:
    """``<storage_path>/<name>`` and the files in it."""

    path: Location

    @classmethod
    def of(cls, spec: JobSpec) -> RunFolder:
        """Return the folder of a job.

        Raises:
            SpecError: ``run.storage_path`` is a URI that cannot be used.

        """
        storage = as_location(spec.run.storage_path)
        return cls((storage.absolute() if isinstance(storage, Path) else storage) / spec.name)

    @property
    def job_yaml(self) -> Location:
        """The resolved spec."""
        return self.path / "job.yaml"

    @property
    def result_json(self) -> Location:
        """Written last; its presence says that the run ended."""
        return self.path / "result.json"

    @property
    def metrics_jsonl(self) -> Location:
        """A line per epoch and ticks in between."""
        return self.path / "metrics.jsonl"

    @property
    def report(self) -> Location:
        """The run on one page."""
        return self.path / "report.html"

    @property
    def diagnostics(self) -> Location:
        """What the page says of the residuals, for it to be drawn again."""
        return self.path / "diagnostics.json"

    @property
    def statistics(self) -> Location:
        """The exact solver's sufficient statistics."""
        return self.path / "statistics.safetensors"

    @property
    def model(self) -> Location:
        """The model's folder."""
        return self.path / "model"

    @property
    def exports(self) -> Location:
        """The folder of the model in other forms."""
        return self.path / "export"

    @property
    def ray_storage(self) -> Location:
        """Where Ray Train keeps its own bookkeeping while the run lasts."""
        return self.path / ".ray"

    @property
    def _identity(self) -> Location:
        """Hashes of the spec and the data that the checkpoints belong to."""
        return self.path / "checkpoints" / "identity.json"

    @property
    def has_succeeded(self) -> bool:
        """Whether a run has succeeded here."""
        result = self.result() if self.path.is_dir() else None
        return result is not None and result.status == SUCCEEDED

    def result(self) -> ResultDocument | None:
        """Return result.json, or None if the run has not ended.

        Raises:
            SpecError: it is no file that can be read.

        """
        try:
            document = _object(self.result_json)
            if not isinstance(document.get("status"), str):
                raise ValueError("it has no status of a run")
            return ResultDocument.from_json(document)
        except FileNotFoundError:
            return None
        except ValueError as error:
            raise _damaged(self.result_json, one_line(error)) from error

    def result_here(self) -> ResultDocument | None:
        """Return `result` with the paths of today: the folder may have been moved since it was written."""
        result = self.result()
        if result is None:
            return None
        return result.model_copy(
            update={
                "model": result.model and str(self.model),
                "report": result.report and str(self.report),
                "exports": {
                    form: str(self.exports / place.rpartition(f"/{self.exports.name}/")[2])
                    for form, place in result.exports.items()
                },
            }
        )

    def require_usable(self, spec: JobSpec, *, fresh: bool) -> None:
        """See, before anything is written, that the folder is a run's or nobody's, and holds no input.

        Raises:
            SpecError: it does not exist for a run alone; the message says what is there and what to do.

        """
        require_usable(self.path)
        paths = [("data.path", path) for path in spec.data.paths]
        paths += [("data.validation.path", path) for path in spec.data.validation.paths]
        # A finished run's own job.yaml may be run again; but --fresh deletes it.
        paths += [("the spec", file) for file in spec.files if fresh]
        refuse_inputs_inside(self.path, paths)

    def spec(self) -> JobSpec:
        """Return the spec of the run in this folder.

        Raises:
            SpecError: it cannot be read again.

        """
        content = _read(self.job_yaml)
        if isinstance(self.job_yaml, Path):
            return load_spec(self.job_yaml)
        with tempfile.TemporaryDirectory() as scratch:
            copy = Path(scratch) / self.job_yaml.name
            copy.write_bytes(content)
            return load_spec(copy)

    def begin(self, spec: JobSpec, manifest_digest: str, *, fresh: bool) -> ResultDocument | None:
        """Prepare the folder for a run of ``spec``.

        Returns:
            The result, if this very job has already succeeded here; else None, and the folder is ready: a job
            that was interrupted or failed keeps its checkpoints. An attempt that left neither model nor
            checkpoint does not stand in the way of another spec: it is replaced, and the log says so.

        Raises:
            SpecError: the name was used by another spec or on other data; the message lists what differs. Or
                ``fresh`` finds files in it that no run writes, and deletes nothing.

        """
        if fresh and self.path.exists():
            clear(self.path)
        mark(self.path)
        identity = {"spec": spec_hash(spec), "data": manifest_digest}
        if self.job_yaml.exists():
            if self._left_nothing():
                self._tell_replaced(spec, identity)
            else:
                self._refuse_other(spec, identity)
            earlier = self.result_here()
            if earlier is not None and earlier.status == SUCCEEDED:
                return earlier
            self.result_json.unlink(missing_ok=True)
        self._record(spec, identity)
        return None

    def change(self, spec: JobSpec, manifest_digest: str) -> Literal["spec", "data"] | None:
        """Return what of the run in this folder is another than now; None if nothing is, or nothing is here
        that could be used or continued. Another ``data.path`` or ``data.version`` is other data.
        """
        if not self.job_yaml.exists() or self._left_nothing():
            return None
        recorded = _object(self._identity) if self._identity.exists() else {}
        if recorded.get("spec") != spec_hash(spec):
            fields = {line.partition(":")[0] for line in self._changes(spec)}
            return "data" if fields and fields <= _WHERE_DATA_IS else "spec"
        return None if recorded.get("data") == manifest_digest else "data"

    def begin_update(self) -> None:
        """Keep what the finished run in this folder left, in ``history/<number>``, before it is updated in
        place. Its result stands until the update has succeeded.
        """
        history = self.path / "history"
        history.mkdir(exist_ok=True)
        numbers = sorted(int(path.name) for path in history.iterdir() if path.name.isdigit())
        if numbers:
            last = history / f"{numbers[-1]:04d}" / self.result_json.name
            if last.exists() and last.read_bytes() == self.result_json.read_bytes():
                return  # kept already, by an update that did not succeed
        kept = history / f"{(numbers[-1] if numbers else 0) + 1:04d}"
        kept.mkdir()
        for file in (self.result_json, self.metrics_jsonl, self.job_yaml, self.report, self.diagnostics):
            if file.exists():
                copy_file(file, kept / file.name)

    def finish_update(self, spec: JobSpec, manifest_digest: str, result: ResultDocument) -> None:
        """Record that the run in this folder is now one of ``spec`` on more data."""
        self._record(spec, {"spec": spec_hash(spec), "data": manifest_digest})
        self.finish(result)

    def _record(self, spec: JobSpec, identity: dict[str, str]) -> None:
        self._identity.parent.mkdir(parents=True, exist_ok=True)
        write_whole(self._identity, json.dumps(identity))
        write_whole(self.job_yaml, resolved_yaml(spec))

    def fail_early(self, result: ResultDocument) -> None:
        """Record a failure from before `begin`, unless the folder holds a run already, which is left
        alone.
        """
        if not self.job_yaml.exists():
            mark(self.path)
            self.finish(result)

    def finish(self, result: ResultDocument) -> None:
        """Write result.json, last and whole."""
        write_whole(self.result_json, json.dumps(result.to_json(), indent=2) + "\n")

    def _refuse_other(self, spec: JobSpec, identity: dict[str, str]) -> None:
        recorded = _object(self._identity) if self._identity.exists() else {}
        if recorded.get("spec") != identity["spec"]:
            changes = "\n".join(f"  {line}" for line in self._changes(spec))
            raise SpecError(
                f"{self.path} holds a run of another spec:\n{changes}\n"
                "Choose another name, or start over with --fresh"
            )
        if recorded.get("data") != identity["data"]:
            raise SpecError(
                f"{self.path} holds a run of the same spec on other data: files were added, removed or "
                "rewritten since. Choose another name, or start over with --fresh"
            )

    def _left_nothing(self) -> bool:
        """Return whether the run here has not succeeded and left nothing that could be used or continued.

        Sums of a first pass over data that does not fit the spec, or the machine, are nothing: another spec
        is what helps, and the same one goes on with them.
        """
        result = self.result()
        if result is not None and result.status == SUCCEEDED:
            return False
        error = None if result is None else result.error
        hopeless = error is not None and (error.exit_code in (2, 3) or error.type == LimitError.__name__)
        checkpoints = self._identity.parent
        ignored = {self._identity.name, *(_OF_FIRST_PASS if hopeless else ())}
        kept = checkpoints.is_dir() and any(path.name not in ignored for path in checkpoints.iterdir())
        left = (self.model, self.statistics, self.path / "history")
        return not kept and not any(path.exists() for path in left)

    def _tell_replaced(self, spec: JobSpec, identity: dict[str, str]) -> None:
        """Say that another spec, or other data, takes the place of an attempt that left nothing."""
        try:
            self._refuse_other(spec, identity)
        except SpecError:
            logger.warning(
                "%s holds an attempt that did not succeed and left neither a model nor a checkpoint; it is "
                "replaced",
                self.path,
            )

    def _changes(self, spec: JobSpec) -> list[str]:
        try:
            return diff_specs(self.spec(), spec, result_only=True)
        except SpecError as error:  # an environment variable that it was written with may be gone
            return [f"(the earlier spec cannot be read again: {error})"]


def _object(file: Location) -> dict[str, Any]:
    """Return the JSON object in a file of a run; raises as `_read`, and SpecError if it holds none."""
    try:
        return parse_object(_read(file))
    except ValueError as error:
        raise _damaged(file, str(error)) from error


def _damaged(file: Location, why: str) -> SpecError:
    return SpecError(
        f"{file} is damaged: {why}. Remove it and start the job again, start over with --fresh, or choose "
        "another name"
    )


def _read(file: Location) -> bytes:
    """Return the content of a file of a run.

    Raises:
        FileNotFoundError: there is none.
        SpecError: it is no file that can be read.

    """
    try:
        return read_file(file)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise SpecError(
            f"{file} cannot be read: {error.strerror or error}. Remove it, or choose another name"
        ) from error
