"""A run's folder: what lies where, when a name may be used again, and files that appear whole or not at
all.
"""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from linreg_dist.errors import SpecError
from linreg_dist.spec import JobSpec, diff_specs, load_spec, resolved_yaml, spec_hash

SUCCEEDED, FAILED, INTERRUPTED = "succeeded", "failed", "interrupted"


@dataclass(frozen=True)
class RunFolder:
    """``<storage_path>/<name>`` and the files in it."""

    path: Path

    @classmethod
    def of(cls, spec: JobSpec) -> RunFolder:
        """Return the folder of a job.

        Raises:
            SpecError: ``run.storage_path`` is a URI.

        """
        if "://" in spec.run.storage_path:
            raise SpecError(
                f"run.storage_path is {spec.run.storage_path}; expected a local or shared folder: runs are "
                f"written to a file system "
                "that all nodes mount. Copy the finished run to an object store from there"
            )
        return cls(Path(spec.run.storage_path).absolute() / spec.name)

    @property
    def job_yaml(self) -> Path:
        """The resolved spec."""
        return self.path / "job.yaml"

    @property
    def result_json(self) -> Path:
        """Written last; its presence says that the run ended."""
        return self.path / "result.json"

    @property
    def metrics_jsonl(self) -> Path:
        """A line per epoch and ticks in between."""
        return self.path / "metrics.jsonl"

    @property
    def model(self) -> Path:
        """The model's folder."""
        return self.path / "model"

    @property
    def ray_storage(self) -> Path:
        """Where Ray Train keeps its own bookkeeping while the run lasts."""
        return self.path / ".ray"

    @property
    def _data_digest(self) -> Path:
        return self.path / "checkpoints" / "data.sha256"

    def result(self) -> dict[str, Any] | None:
        """Return result.json, or None if the run has not ended."""
        try:
            document: dict[str, Any] = json.loads(self.result_json.read_text())
        except FileNotFoundError:
            return None
        return document

    def begin(self, spec: JobSpec, manifest_digest: str, *, fresh: bool) -> dict[str, Any] | None:
        """Prepare the folder for a run of ``spec``.

        Returns:
            The result, if this very job has already succeeded here; else None, and the folder is ready: a job
            that was interrupted or failed keeps its checkpoints.

        Raises:
            SpecError: the name was used by another spec or on other data; the message lists what differs.

        """
        if fresh and self.path.exists():
            if not self.job_yaml.exists() and any(self.path.iterdir()):
                raise SpecError(
                    f"{self.path} is not a run's folder (it has no job.yaml): --fresh will not delete it; "
                    f"choose another name or storage_path"
                )
            shutil.rmtree(self.path)
        if self.job_yaml.exists():
            self._refuse_other(spec, manifest_digest)
            earlier = self.result()
            if earlier is not None and earlier["status"] == SUCCEEDED:
                return earlier
            self.result_json.unlink(missing_ok=True)
        self._data_digest.parent.mkdir(parents=True, exist_ok=True)
        write_whole(self.job_yaml, resolved_yaml(spec))
        write_whole(self._data_digest, manifest_digest)
        return None

    def finish(self, result: dict[str, Any]) -> None:
        """Write result.json, last and whole."""
        write_whole(self.result_json, json.dumps(result, indent=2) + "\n")

    def _refuse_other(self, spec: JobSpec, manifest_digest: str) -> None:
        earlier = load_spec(self.job_yaml)
        if spec_hash(earlier) != spec_hash(spec):
            changes = "\n".join(f"  {line}" for line in diff_specs(earlier, spec))
            raise SpecError(
                f"{self.path} holds a run of another spec:\n{changes}\nChoose another name, or start over "
                f"with --fresh"
            )
        recorded = self._data_digest.read_text().strip() if self._data_digest.exists() else manifest_digest
        if recorded != manifest_digest:
            raise SpecError(
                f"{self.path} holds a run of the same spec on other data: files were added, removed or "
                f"rewritten since. "
                "Choose another name, or start over with --fresh"
            )


def write_whole(path: Path, text: str) -> None:
    """Write a file so that a reader sees the old content or all of the new, also after a crash."""
    temporary = path.with_name(f".{path.name}.tmp")
    with temporary.open("w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
