"""The options that several verbs share, each as a decorator; a verb names the ones it takes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

_Function = Callable[..., Any]
_Decorator = Callable[[_Function], _Function]

overrides_option: _Decorator = click.option(
    "--set",
    "overrides",
    metavar="PATH=VALUE",
    multiple=True,
    help="Set a field of the spec: --set model.l2=0.1. Repeatable; values are YAML.",
)
"""``overrides: tuple[str, ...]``, for `linreg_dist.jobspec.load_spec`."""

address_option: _Decorator = click.option(
    "--address",
    metavar="ADDRESS",
    help="Ray cluster to use instead of the spec's cluster.address.",
)
"""``address: str | None``"""

server_address_option: _Decorator = click.option(
    "--address",
    metavar="URL",
    help="Job server of the cluster, http://host:8265; default: RAY_API_SERVER_ADDRESS, or this machine's.",
)
"""``address: str | None``, for `linreg_dist.cluster.job_server_address`."""

job_argument: _Decorator = click.argument("job", metavar="JOB")
"""``job: str``, a submission id or a run's name"""

json_option: _Decorator = click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="Print one JSON document on stdout; everything else goes to stderr.",
)
"""``as_json: bool``"""

dry_run_option: _Decorator = click.option(
    "--dry-run", is_flag=True, help="Say what would be done, and do nothing."
)
"""``dry_run: bool``"""

fresh_option: _Decorator = click.option(
    "--fresh", is_flag=True, help="Start over: delete an earlier run of the same name."
)
"""``fresh: bool``"""

if_changed_option: _Decorator = click.option(
    "--if-changed",
    type=click.Choice(["refuse", "update", "fresh"]),
    default="refuse",
    show_default=True,
    help="Where the run of this name has another spec or other data: update reads only what is new if that "
    "is possible and starts over if not, fresh starts over.",
)
"""``if_changed: str``, for `linreg_dist.train`"""

add_option: _Decorator = click.option(
    "--add",
    metavar="KEY",
    multiple=True,
    help="Read only this file, folder or glob below data.path (month=3), and add it to what the run of this "
    "name has read before. Repeatable.",
)
"""``add: tuple[str, ...]``, for `linreg_dist.train`"""

spec_argument: _Decorator = click.argument("spec", metavar="SPEC", type=click.Path())
"""``spec: str``, the path of a spec file; whether it exists is checked where it is read."""


def verbosity_options(function: _Function) -> _Function:
    """Add ``quiet: bool`` and ``verbose: bool``, which exclude each other."""
    quiet = click.option(
        "-q", "--quiet", is_flag=True, callback=_refuse_both, help="Print results and errors only."
    )
    verbose = click.option(
        "-v",
        "--verbose",
        is_flag=True,
        callback=_refuse_both,
        help="Print more, Ray's log and tracebacks too.",
    )
    return quiet(verbose(function))


def _refuse_both(ctx: click.Context, param: click.Parameter, value: bool) -> bool:
    if value:
        other = ctx.meta.setdefault(__name__, param.name)
        if other != param.name:
            raise click.UsageError("-q and -v exclude each other; give one of them", ctx)
    return value


model_argument: _Decorator = click.argument("model", metavar="MODEL", type=click.Path())
"""``model: str``, a model's folder or its run's"""

data_option: _Decorator = click.option(
    "--data",
    required=True,
    multiple=True,
    metavar="PATH",
    help="Parquet: a file, a folder, a glob or a URI. Repeatable.",
)
"""``data: tuple[str, ...]``"""

allow_module_option = click.option(
    "--allow-module",
    is_flag=True,
    help="For a module of one's own: import its class, which runs its code. Only for models that you trust.",
)
