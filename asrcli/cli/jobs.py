"""`asrcli jobs`: a command with commands of its own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from asrcli.cli import options as opt
from asrcli.cli.options import option

if TYPE_CHECKING:
    from asrcli.cli.session import Session

__all__ = ["jobs"]

jobs = typer.Typer(
    name="jobs",
    no_args_is_help=True,
    help="""
    Jobs that services work on after `asrcli transcribe` has left: list, show, wait, cancel, forget.

    \b
    Examples:
      asrcli transcribe --detach -m fun-asr talk.mp3
      asrcli jobs list
      asrcli jobs wait
      asrcli jobs wait -f srt 3fb2 > talk.srt

    The beginning of an id is enough where no other one begins alike. A job that was submitted goes
    on at the service whatever happens here; the `transcribe` that began it waits for it, too.
    """,
)

One = Annotated[str, typer.Argument(metavar="ID", help="As `asrcli jobs list` shows it.")]
Several = Annotated[
    list[str], typer.Argument(metavar="ID...", help="As `asrcli jobs list` shows them.")
]
Maybe = Annotated[
    list[str] | None, typer.Argument(metavar="[ID]...", help="As `asrcli jobs list` shows them.")
]
Json = Annotated[bool, option("--json", help="As JSON, one record a line.")]


@jobs.command("list")
def list_(
    all_: Annotated[
        bool, option("--all", "-a", help="Those whose transcripts were fetched, too.")
    ] = False,
    refresh: Annotated[
        bool, option("--refresh", help="Ask the service how far they are; else what is known here.")
    ] = False,
    json: Json = False,
    state: opt.StatePath = None,
    base_url: opt.BaseURL = None,
    region: opt.Region = None,
    ca_bundle: opt.CABundle = None,
    insecure_http: opt.InsecureHTTP = False,
    offline: opt.Offline = False,
    timeout: opt.Timeout = 60.0,
    retries: opt.Retries = 4,
    quiet: opt.Quiet = False,
    verbose: opt.Verbose = False,
    color: opt.Color = "auto",
    debug: opt.Debug = False,
) -> None:
    """Show the jobs that were submitted from this computer, the newest first.

    \b
    Examples:
      asrcli jobs list
      asrcli jobs list --refresh
      asrcli jobs list --all --json
    """
    from asrcli.cli.job_lists import JobLists

    with _session(
        state, base_url, region, ca_bundle, insecure_http, offline, timeout, retries,
        quiet, verbose, color, debug,
    ) as session:  # fmt: skip
        status = JobLists(session, as_json=json).show_all(everything=all_, refresh=refresh)
    raise typer.Exit(status)


@jobs.command()
def show(
    identity: One,
    json: Json = False,
    state: opt.StatePath = None,
    base_url: opt.BaseURL = None,
    region: opt.Region = None,
    ca_bundle: opt.CABundle = None,
    insecure_http: opt.InsecureHTTP = False,
    offline: opt.Offline = False,
    timeout: opt.Timeout = 60.0,
    retries: opt.Retries = 4,
    quiet: opt.Quiet = False,
    verbose: opt.Verbose = False,
    color: opt.Color = "auto",
    debug: opt.Debug = False,
) -> None:
    """Show all that is known of a job; asks the service once, unless --offline.

    \b
    Examples:
      asrcli jobs show 3fb2
      asrcli jobs show --offline --json 3fb2
    """
    from asrcli.cli.job_lists import JobLists

    with _session(
        state, base_url, region, ca_bundle, insecure_http, offline, timeout, retries,
        quiet, verbose, color, debug,
    ) as session:  # fmt: skip
        status = JobLists(session, as_json=json).show(identity)
    raise typer.Exit(status)


@jobs.command()
def wait(
    identities: Maybe = None,
    format: Annotated[  # noqa: A002 - it is the option's name
        str,
        option("--format", "-f", metavar="FORMAT", help="text, json, jsonl, srt, vtt or tsv."),
    ] = "text",
    headings: Annotated[
        bool, option("--headings/--no-headings", help="==> NAME <== above several texts.")
    ] = True,
    job_timeout: Annotated[
        float,
        option(
            "--job-timeout",
            metavar="S",
            min=1,
            callback=opt.finite,
            panel=opt.SENDING,
            help="Longest wait for a job.",
        ),
    ] = 46_800.0,
    state: opt.StatePath = None,
    base_url: opt.BaseURL = None,
    region: opt.Region = None,
    ca_bundle: opt.CABundle = None,
    insecure_http: opt.InsecureHTTP = False,
    offline: opt.Offline = False,
    timeout: opt.Timeout = 600.0,
    retries: opt.Retries = 4,
    progress: opt.Progress = "auto",
    quiet: opt.Quiet = False,
    verbose: opt.Verbose = False,
    color: opt.Color = "auto",
    debug: opt.Debug = False,
) -> None:
    """Wait for jobs, all open ones by default, and print their transcripts.

    \b
    Examples:
      asrcli jobs wait
      asrcli jobs wait -f srt 3fb2 > talk.srt
      asrcli jobs wait --job-timeout 60 || asrcli jobs list
    """
    from asrcli.cli.job_lists import JobLists

    with _session(
        state, base_url, region, ca_bundle, insecure_http, offline, timeout, retries,
        quiet, verbose, color, debug, progress=progress, job_timeout=job_timeout,
    ) as session:  # fmt: skip
        status = JobLists(session).wait(identities or [], format, headings=headings)
    raise typer.Exit(status)


@jobs.command()
def cancel(
    identities: Several,
    state: opt.StatePath = None,
    base_url: opt.BaseURL = None,
    region: opt.Region = None,
    ca_bundle: opt.CABundle = None,
    insecure_http: opt.InsecureHTTP = False,
    offline: opt.Offline = False,
    timeout: opt.Timeout = 60.0,
    retries: opt.Retries = 4,
    quiet: opt.Quiet = False,
    verbose: opt.Verbose = False,
    color: opt.Color = "auto",
    debug: opt.Debug = False,
) -> None:
    """Take back jobs that have not begun; later than that, services finish and charge them.

    \b
    Examples:
      asrcli jobs cancel 3fb2
    """
    from asrcli.cli.job_lists import JobLists

    with _session(
        state, base_url, region, ca_bundle, insecure_http, offline, timeout, retries,
        quiet, verbose, color, debug,
    ) as session:  # fmt: skip
        status = JobLists(session).cancel(identities)
    raise typer.Exit(status)


@jobs.command()
def forget(
    identities: Maybe = None,
    all_: Annotated[bool, option("--all", "-a", help="All jobs.")] = False,
    everything: Annotated[
        bool, option("--everything", help="The whole state: answers, uploads and ledger as well.")
    ] = False,
    yes: Annotated[bool, option("--yes", "-y", help="Do not ask.")] = False,
    state: opt.StatePath = None,
    quiet: opt.Quiet = False,
    verbose: opt.Verbose = False,
    color: opt.Color = "auto",
    debug: opt.Debug = False,
) -> None:
    """Remove jobs from the state here, so that they can be submitted anew.

    The service is not told: a job that is under way goes on there, and is charged.

    \b
    Examples:
      asrcli jobs forget 3fb2
      asrcli jobs forget --everything
    """
    from asrcli.cli.job_lists import JobLists

    with _session(
        state, None, None, None, False, True, 60.0, 0, quiet, verbose, color, debug
    ) as session:  # fmt: skip
        status = JobLists(session).forget(
            identities or [], every_job=all_, everything=everything, yes=yes, ask=_ask
        )
    raise typer.Exit(status)


def _ask(question: str) -> bool:
    return typer.confirm(question, err=True)


def _session(
    state: Path | None,
    base_url: str | None,
    region: str | None,
    ca_bundle: Path | None,
    insecure_http: bool,
    offline: bool,
    timeout: float,
    retries: int,
    quiet: bool,
    verbose: bool,
    color: str,
    debug: bool,
    *,
    progress: str = "auto",
    job_timeout: float = 46_800.0,
) -> Session:
    from asrcli.cli.session import Network, Session, open_console

    console = open_console(
        quiet=quiet, verbose=verbose, debug=debug, color=color, progress=progress
    )
    network = Network(
        base_url=base_url,
        region=region,
        ca_bundle=ca_bundle,
        insecure_http=insecure_http,
        offline=offline,
        timeout=timeout,
        retries=retries,
        job_timeout=job_timeout,
        state=state,
    )
    return Session.open(console, network)
