"""The shipment of a job to a cluster: the resolved spec as a file, and secrets as environment variables."""

from __future__ import annotations

import hashlib
import os
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from linreg_dist._version import __version__
from linreg_dist.cluster.interpreter import SCRIPT, SCRIPT_FILE
from linreg_dist.errors import SpecError
from linreg_dist.jobspec import JobSpec, load_spec, resolved_yaml, spec_hash
from linreg_dist.jobspec.reading.interpolation import uninterpolated
from linreg_dist.run.folder import RunFolder
from linreg_dist.verbs.updating.changed import IfChanged

SPEC_FILE = "job.yaml"
METADATA_NAME = "linreg_dist.name"
METADATA_SPEC = "linreg_dist.spec_hash"
METADATA_FOLDER = "linreg_dist.run_folder"
METADATA_OPTIONS = "linreg_dist.options"
METADATA_REQUEST = "linreg_dist.request"

_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_VARIABLE = re.compile(r"(?<!\$)\$\{([A-Za-z_][A-Za-z0-9_]*)")


@dataclass(frozen=True)
class Shipment:
    """A job ready to be sent.

    Attributes:
        name: the run's name.
        spec_yaml: the resolved spec; values from the environment are written in it as ``${VAR}``. Empty for a
            verb that has none.
        environment: the variables that the spec reads and those of ``cluster.env``, with their values.
        runtime_env: Ray's runtime_env from the spec, without the two above.
        shown_runtime_env: the same as it was written, with ``${VAR}`` for what came from the environment.
        entrypoint: the command, run in a folder that has `files`.
        metadata: what the job server stores with the job, to find it again.

    """

    name: str
    spec_yaml: str
    environment: Mapping[str, str]
    runtime_env: Mapping[str, Any]
    shown_runtime_env: Mapping[str, Any]
    entrypoint: str
    metadata: Mapping[str, str]

    def shown(self) -> dict[str, Any]:
        """Return it as plain data for a person: of environment variables only the names."""
        hidden = dict.fromkeys(sorted(self.environment), "***")
        return {
            "name": self.name,
            "entrypoint": self.entrypoint,
            "runtime_env": {**self.shown_runtime_env, "env_vars": hidden},
            "metadata": dict(self.metadata),
            "files": self.files,
        }

    @property
    def files(self) -> dict[str, str]:
        """The files in the folder that the job runs in, by name."""
        return ({SPEC_FILE: self.spec_yaml} if self.spec_yaml else {}) | {SCRIPT_FILE: SCRIPT}


def pack(
    spec: JobSpec,
    *,
    fresh: bool = False,
    if_changed: IfChanged = "refuse",
    add: Sequence[str] = (),
    request: str | None = None,
    ship_package: bool = False,
    environ: Mapping[str, str] | None = None,
    spec_path: str = SPEC_FILE,
) -> Shipment:
    """Make a job ready to be sent.

    Args:
        spec: the job; paths must be absolute or URIs, which those from `load_spec` are.
        fresh: start over where a run of this name exists.
        if_changed, add: as in `linreg_dist.verbs.train.train`.
        request: names who asks for the job, such as a run of an orchestrator: a job that has succeeded stands
            for the same request alone. Without it, it stands for every later submission of the same spec.
        ship_package: send this package too, for clusters that lack it; its dependencies must be there.
        environ: where the values of ``${VAR}`` are taken from; by default the environment of this process.
        spec_path: where the entrypoint finds the spec; elsewhere than beside `Shipment.files`, the job is run
            by the ``python`` on the PATH.

    Raises:
        SpecError: the spec has a matrix, a relative path, or variables that contradict each other.

    """
    if spec.matrix is not None:
        raise SpecError(
            "the spec has a matrix, which is many jobs; expected one. Run it with `linreg-dist batch "
            "--address ...`, or choose one combination with --set"
        )
    _check_paths(spec)
    environment = _environment(spec, os.environ if environ is None else environ)
    runtime_env = {key: value for key, value in spec.cluster.runtime_env.items() if key != "env_vars"}
    environment |= {
        str(key): str(value) for key, value in spec.cluster.runtime_env.get("env_vars", {}).items()
    }
    if "working_dir" in runtime_env:
        raise SpecError(
            "cluster.runtime_env.working_dir cannot be used with submit, which sends the spec that way; put "
            "code into cluster.runtime_env.py_modules instead"
        )
    if ship_package:
        runtime_env["py_modules"] = [*runtime_env.get("py_modules", []), _package()]
    # On the cluster the job finds Ray by itself, and what was set for the job holds for its workers too.
    cluster = {"address": None, "runtime_env": {}, "env": {key: f"${{{key}}}" for key in spec.cluster.env}}
    sent = load_spec(spec, {"cluster": cluster}, environ=environment)
    options = [*(["--if-changed", if_changed] if if_changed != "refuse" else [])]
    for key in add:
        options += ["--add", key]
    extra = {METADATA_OPTIONS: shlex.join(options)} if options else {}
    extra |= {} if request is None else {METADATA_REQUEST: request}
    python = f"sh {SCRIPT_FILE}" if spec_path == SPEC_FILE else "python"  # elsewhere only the spec is there
    return Shipment(
        name=spec.name,
        spec_yaml=resolved_yaml(sent),
        environment=environment,
        runtime_env=runtime_env,
        shown_runtime_env=_shown_runtime_env(spec, runtime_env),
        entrypoint=f"{python} -P -m linreg_dist train {spec_path} --json --progress jsonl"
        + (" --fresh" if fresh else "")
        + (f" {shlex.join(options)}" if options else ""),
        metadata={
            METADATA_NAME: spec.name,
            METADATA_SPEC: spec_hash(spec),
            METADATA_FOLDER: str(RunFolder.of(spec).path),
            "linreg_dist.version": __version__,
            **extra,
        },
    )


def pack_verb(
    name: str,
    arguments: Sequence[str],
    *,
    environment: Mapping[str, str] | None = None,
    ship_package: bool = False,
) -> Shipment:
    """Make a verb without a spec, such as ``predict``, ready to be sent.

    Args:
        name: what stands for it on the cluster: the same name and arguments are not sent twice.
        arguments: ``["predict", MODEL, "--data", PATH, "--output", DIR]``; paths are the cluster's.
        environment: variables for it.
        ship_package: as in `pack`.

    """
    command = shlex.join([*arguments, "--json"])
    return Shipment(
        name=name,
        spec_yaml="",
        environment=dict(environment or {}),
        runtime_env={"py_modules": [_package()]} if ship_package else {},
        shown_runtime_env={},
        entrypoint=f"sh {SCRIPT_FILE} -P -m linreg_dist {command}",
        metadata={
            METADATA_NAME: name,
            METADATA_SPEC: hashlib.sha256(command.encode()).hexdigest(),
            "linreg_dist.version": __version__,
        },
    )


def _package() -> str:
    return str(Path(__file__).resolve().parents[1])


def _shown_runtime_env(spec: JobSpec, runtime_env: Mapping[str, Any]) -> dict[str, Any]:
    """Return a runtime_env with what came from the environment as it was written."""
    record, place = spec.interpolated(), ("cluster", "runtime_env")
    return {key: uninterpolated(value, (*place, key), record) for key, value in runtime_env.items()}


def _environment(spec: JobSpec, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables the spec was read with, and those of ``cluster.env``."""
    # cluster.env itself is sent by value, so what its templates name need not travel.
    names = {
        name
        for path, item in spec.interpolated().items()
        if path[:2] != ("cluster", "env")
        for name in _VARIABLE.findall(item.template)
    }
    found = {name: environ[name] for name in sorted(names) if name in environ}
    for name, value in spec.cluster.env.items():
        if found.get(name, value) != value:
            raise SpecError(
                f"cluster.env.{name} differs from the environment variable {name}, which the spec reads too; "
                "on the cluster they would be one. Give one of them another name"
            )
    return {**found, **spec.cluster.env}


def _check_paths(spec: JobSpec) -> None:
    paths = [("data.path", path) for path in spec.data.paths]
    paths += [("data.validation.path", path) for path in spec.data.validation.paths]
    paths.append(("run.storage_path", spec.run.storage_path))
    for field, path in paths:
        if not (os.path.isabs(path) or _URI.match(path)):
            raise SpecError(
                f'{field} is "{path}"; expected an absolute path or a URI, because the job runs elsewhere'
            )
