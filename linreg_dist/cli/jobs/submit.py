"""``linreg-dist submit``."""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NoReturn

import click

from linreg_dist.cli.options import (
    add_option,
    dry_run_option,
    fresh_option,
    if_changed_option,
    json_option,
    overrides_option,
    server_address_option,
    spec_argument,
    verbosity_options,
)
from linreg_dist.cli.output import print_json, result_alone
from linreg_dist.errors import InterruptedRunError
from linreg_dist.wording.secrets import show_uri

if TYPE_CHECKING:
    from linreg_dist.cluster import Ending, JobServer
    from linreg_dist.verbs.updating.changed import IfChanged


@click.command
@spec_argument
@overrides_option
@server_address_option
@click.option("--no-wait", is_flag=True, help="Return once the job is sent; print its id.")
@click.option("--ship-package", is_flag=True, help="Send linreg_dist too, for a cluster that lacks it.")
@fresh_option
@if_changed_option
@add_option
@dry_run_option
@click.option(
    "-o",
    "--output",
    type=click.Choice(["rayjob"]),
    help="With --dry-run: print a RayJob manifest for Kubernetes with KubeRay.",
)
@click.option("--image", metavar="IMAGE", help="With -o rayjob: a container image that has linreg_dist.")
@click.option(
    "--volume",
    "volumes",
    metavar="CLAIM:PATH",
    multiple=True,
    help="With -o rayjob: a persistent volume claim, mounted at PATH into every pod; :ro after it mounts it "
    "for reading alone. Repeatable.",
)
@click.option("--service-account", metavar="NAME", help="With -o rayjob: of the pods, for a cloud's storage.")
@click.option(
    "--retries",
    type=click.IntRange(min=0),
    default=0,
    help="With -o rayjob: how often KubeRay starts a failed job again, on a new cluster; the run continues.",
)
@json_option
@verbosity_options
def submit(
    spec: str,
    overrides: tuple[str, ...],
    address: str | None,
    no_wait: bool,
    ship_package: bool,
    fresh: bool,
    if_changed: IfChanged,
    add: tuple[str, ...],
    dry_run: bool,
    output: str | None,
    image: str | None,
    volumes: tuple[str, ...],
    service_account: str | None,
    retries: int,
    as_json: bool,
    quiet: bool,
    verbose: bool,
) -> None:
    """Send the job in the file SPEC to a Ray cluster's job server, and follow it until it ends.

    The same job again is not sent twice: one that runs is followed, one that has succeeded is reported. The
    exit code is that of the job.
    """
    from linreg_dist.cluster import JobServer, job_server_address, pack, rayjob_manifest
    from linreg_dist.cluster import submit as send
    from linreg_dist.cluster.rayjob import SPEC_FOLDER, Pods, Volume
    from linreg_dist.jobspec import load_spec

    checked = load_spec(spec, overrides)
    if output is not None:
        if not dry_run or image is None:
            raise click.UsageError(
                "-o rayjob prints a manifest and sends nothing; give --dry-run and --image with it"
            )
        packed = pack(
            checked, fresh=fresh, if_changed=if_changed, add=add, spec_path=f"{SPEC_FOLDER}/job.yaml"
        )
        pods = Pods(image, [Volume.parse(text) for text in volumes], service_account)
        click.echo(rayjob_manifest(checked, packed, pods, retries=retries), nl=False)
        return
    if volumes or service_account is not None or retries:
        raise click.UsageError("--volume, --service-account and --retries are for a manifest: -o rayjob")
    server_url = job_server_address(address or checked.cluster.address)
    shown_url = show_uri(server_url)
    shipment = pack(checked, fresh=fresh, if_changed=if_changed, add=add, ship_package=ship_package)
    if dry_run:
        _print_dry_run({"status": "dry run", "address": shown_url, **shipment.shown()}, as_json)
        return
    with result_alone():
        server = JobServer(server_url)
        submission = send(server, shipment, fresh=fresh)
    job = submission.job
    if not quiet:
        what = "sent to" if submission.is_new else f"is there already ({job.state}) at"
        click.echo(f"{job.id} {what} {shown_url}", err=True)
    if no_wait:
        if as_json:
            from linreg_dist.cluster.status import job_document

            print_json({**job_document(job).to_json(), "address": shown_url, "is_new": submission.is_new})
        else:
            click.echo(job.id)
        return
    try:
        with result_alone():
            ending = _watch(server, job.id, quiet=quiet, verbose=verbose)
    except KeyboardInterrupt:
        _detach_or_stop(server, job.id)
    _report(ending, as_json)


def _print_dry_run(document: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(document)
        return
    click.echo(f"would send {document['name']} to {document['address']}")
    click.echo(f"entrypoint: {document['entrypoint']}")
    click.echo(f"runtime_env: {document['runtime_env']}")
    for name, text in document["files"].items():
        click.echo(f"\n{name}:\n{text}", nl=False)


def _watch(server: JobServer, job_id: str, *, quiet: bool, verbose: bool) -> Ending:
    from linreg_dist.cluster import follow
    from linreg_dist.console import ProgressDisplay
    from linreg_dist.documents import Tick

    def show(line: str) -> None:
        if verbose:
            click.echo(line, err=True)

    with ProgressDisplay(sys.stderr, quiet=quiet, verbose=verbose) as display:
        display.event(Tick(progress=0.0, phase="waiting for the job to start"))
        return follow(server, job_id, on_event=display.event, on_text=show)


def _detach_or_stop(server: JobServer, job_id: str) -> NoReturn:
    """Ask what an interrupt means; where nobody can answer, it never means to stop the job."""
    stop = False
    if sys.stdin.isatty() and sys.stderr.isatty():
        click.echo(err=True)
        with suppress(click.Abort):  # a second Ctrl-C: away from here, and the job goes on
            answer = click.prompt(
                f"{job_id} is running. Detach from it, or stop it?",
                type=click.Choice(["detach", "stop"]),
                default="detach",
                err=True,
            )
            stop = answer == "stop"
    if stop:
        server.stop(job_id)
        raise InterruptedRunError(f"{job_id} was stopped; submit it again to continue from its checkpoints")
    raise InterruptedRunError(
        f"detached; {job_id} goes on. See it with `linreg-dist status {job_id}`, follow it by submitting it "
        f"again, end it with `linreg-dist stop {job_id}`"
    )


def _report(ending: Ending, as_json: bool) -> None:
    from linreg_dist.cluster import job_error
    from linreg_dist.console import print_renderable, result_table
    from linreg_dist.errors import RunFailedError

    error = job_error(ending)
    if error is not None:
        raise error
    if ending.result is None:
        raise RunFailedError(
            f"{ending.job.id} succeeded, but its log has no result; look at it with `linreg-dist logs "
            f"{ending.job.id}`"
        )
    if as_json:
        print_json(ending.result)
    else:
        print_renderable(result_table(ending.result), sys.stdout)
