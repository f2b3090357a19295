"""The operators: `LinregTrainOperator`, `LinregPredictOperator`, `LinregEvaluateOperator`."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from linreg_dist.integrations.airflow.base import LinregOperator

if TYPE_CHECKING:
    from linreg_dist.cluster import Shipment
    from linreg_dist.jobspec import JobSpec
    from linreg_dist.verbs.updating.changed import IfChanged


class LinregTrainOperator(LinregOperator):
    """Train a model; the XCom is the run's result.json.

    Args:
        spec: a spec file, or the spec itself as a map. Templates in it may stand anywhere: what one gives is
            typed as YAML, so ``"{{ params.epochs }}"`` becomes a number.
        overrides: ``{"model.l2": 0.1}`` or ``["model.l2=0.1"]``, over the spec.
        run_name: the run's name instead of the spec's; runs of different data need different names:
            ``"flights-{{ ds }}"``. What a name cannot have, as ``{{ run_id }}`` has it, becomes a hyphen.
        fresh: start over where a run of this name exists. A retry continues nevertheless.
        if_changed: where the run of this name has another spec or other data: refuse it, ``update`` it (read
            only what is new if that is possible) or start ``fresh``. For a job that runs every night.
        add: read the parts of the data with these keys alone, ``["day={{ ds }}"]``, and add them to the run.
        kwargs: as of `LinregOperator`.

    """

    template_fields: Sequence[str] = (*LinregOperator.template_fields, "spec", "overrides", "run_name", "add")
    template_fields_renderers: ClassVar[dict[str, str]] = {
        **LinregOperator.template_fields_renderers,
        "spec": "yaml",
        "overrides": "yaml",
    }

    def __init__(
        self,
        *,
        spec: str | os.PathLike[str] | Mapping[str, Any],
        overrides: Mapping[str, Any] | Sequence[str] | None = None,
        run_name: str | None = None,
        fresh: bool = False,
        if_changed: IfChanged = "refuse",
        add: Sequence[str] = (),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.spec = spec
        self.overrides = overrides
        self.run_name = run_name
        self.fresh = fresh
        self.if_changed = if_changed
        self.add = add

    def render_template(
        self, content: Any, context: Any, jinja_env: Any = None, seen_oids: set[int] | None = None
    ) -> Any:
        """Render templates, and give values of the spec their types."""
        rendered = super().render_template(content, context, jinja_env, seen_oids)
        if isinstance(content, Mapping) and (content is self.spec or content is self.overrides):
            from linreg_dist.integrations.airflow.templates import typed

            return typed(content, rendered)
        return rendered

    def starts_over(self, context: Any) -> bool:
        """Return whether this try is the first since the task was last cleared, and is to start over."""
        ti = context["ti"]
        return self.fresh and bool(ti.try_number == self.tries_before(context) + 1)

    def shipment(self, context: Any) -> Shipment:
        """Return the job for the cluster."""
        from linreg_dist.cluster import pack

        packed = pack(
            self._loaded(),
            fresh=self.starts_over(context),
            if_changed=self.if_changed,
            add=list(self.add),
            request=self.request(context),
            ship_package=self.ship_package,
            environ=self._environ(),
        )
        return replace(packed, environment={**packed.environment, **self.variables()})

    @contextmanager
    def command(self, context: Any) -> Iterator[list[str]]:
        """Yield the command for this machine."""
        from linreg_dist.integrations.command import train_command
        from linreg_dist.jobspec import resolved_yaml

        with tempfile.TemporaryDirectory(prefix="linreg-dist-airflow-") as folder:
            file = Path(folder, "job.yaml")
            file.write_text(resolved_yaml(self._loaded()))
            options = [
                "--if-changed",
                self.if_changed,
                *(text for key in self.add for text in ("--add", key)),
            ]
            yield train_command(str(file), fresh=self.starts_over(context), options=options)

    def _loaded(self) -> JobSpec:
        from linreg_dist.integrations.airflow.templates import as_run_name
        from linreg_dist.jobspec import load_spec

        spec = load_spec(self.spec, self.overrides or (), environ=self._environ())
        return load_spec(spec, {"name": as_run_name(self.run_name)}) if self.run_name else spec

    def _environ(self) -> dict[str, str]:
        return {**os.environ, **self.variables()}


class _ModelOperator(LinregOperator):
    """A verb on a model and data."""

    verb: ClassVar[str]
    template_fields: Sequence[str] = (*LinregOperator.template_fields, "model", "data")

    def __init__(self, *, model: str, data: str | Sequence[str], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.model = model
        self.data = data

    def arguments(self) -> list[str]:
        """Return the verb with its arguments."""
        paths = [self.data] if isinstance(self.data, str) else list(self.data)
        return [self.verb, str(self.model), *(text for path in paths for text in ("--data", str(path)))]

    def shipment(self, context: Any) -> Shipment:
        """Return the job for the cluster, by a name that all tries since the last clearing share."""
        from linreg_dist.cluster import pack_verb

        place = [self.request(context), self.arguments()]
        digest = hashlib.sha256(json.dumps(place).encode()).hexdigest()[:12]
        return pack_verb(
            f"{self.verb}-{digest}",
            self.arguments(),
            environment=self.variables(),
            ship_package=self.ship_package,
        )

    @contextmanager
    def command(self, context: Any) -> Iterator[list[str]]:
        """Yield the command for this machine."""
        from linreg_dist.integrations.command import linreg_dist_command

        yield linreg_dist_command(*self.arguments(), "--json")


class LinregPredictOperator(_ModelOperator):
    """Score Parquet, row for row; the XCom says what was written.

    Args:
        model: a model's folder or its run's: ``"{{ ti.xcom_pull('train')['model'] }}"``.
        data: a path, or several, as the cluster sees them.
        output_path: the folder to write into (``output`` is Airflow's own: the XCom).
        keep: input columns to carry over.
        overwrite: write over files that are there.
        kwargs: as of `LinregOperator`.

    """

    verb = "predict"
    template_fields: Sequence[str] = (*_ModelOperator.template_fields, "output_path", "keep")

    def __init__(
        self, *, output_path: str, keep: Sequence[str] = (), overwrite: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.output_path = output_path
        self.keep = keep
        self.overwrite = overwrite

    def arguments(self) -> list[str]:
        """Return the verb with its arguments."""
        arguments = [*super().arguments(), "--output", str(self.output_path)]
        if self.keep:
            arguments += ["--keep", ",".join(self.keep)]
        return [*arguments, *(["--overwrite"] if self.overwrite else [])]


class LinregEvaluateOperator(_ModelOperator):
    """Measure a model on Parquet that has its target; the XCom has the metrics.

    Args:
        model: a model's folder or its run's.
        data: a path, or several, as the cluster sees them.
        kwargs: as of `LinregOperator`.

    """

    verb = "evaluate"
