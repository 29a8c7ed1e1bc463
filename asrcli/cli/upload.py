"""`asrcli upload`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from asrcli.cli import options as opt
from asrcli.cli.options import option

__all__ = ["upload"]


def upload(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Recordings to store.")],
    provider: opt.ProviderName = None,
    model: Annotated[
        str,
        option("--model", "-m", metavar="ID", help="The model that will read it (Qwen Cloud)."),
    ] = "qwen3-asr-flash",
    json: Annotated[
        bool, option("--json", help="One record a line: reference, path, bytes, sha256, expiry.")
    ] = False,
    jobs: Annotated[
        int, option("--jobs", "-j", metavar="N", min=1, panel=opt.SENDING, help="Files in flight.")
    ] = 4,
    state: opt.StatePath = None,
    cache: opt.Cache = True,
    base_url: opt.BaseURL = None,
    region: opt.Region = None,
    ca_bundle: opt.CABundle = None,
    insecure_http: opt.InsecureHTTP = False,
    offline: opt.Offline = False,
    timeout: opt.Timeout = 3600.0,
    retries: opt.Retries = 4,
    rpm: opt.RPM = None,
    progress: opt.Progress = "auto",
    quiet: opt.Quiet = False,
    verbose: opt.Verbose = False,
    color: opt.Color = "auto",
    debug: opt.Debug = False,
) -> None:
    """Store recordings at a service, and print one reference a line for `transcribe`.

    What was stored before, and is still there, is not sent again (--no-cache does).

    \b
    Examples:
      asrcli upload talk.mp3
      asrcli transcribe "$(asrcli upload talk.mp3)"
      asrcli upload -p onemin --json *.wav
    """
    from asrcli.cli.session import Network, Session, clamped_calls, open_console
    from asrcli.cli.storing import Storing

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
        rpm=rpm,
        calls=clamped_calls(jobs, console),
        state=state,
        remember=cache,
    )
    with Session.open(console, network) as session:
        status = Storing(session, as_json=json)(files, provider, model)
    raise typer.Exit(status)
