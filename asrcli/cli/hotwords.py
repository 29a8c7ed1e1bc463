"""`asrcli hotwords`: a command with commands of its own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from asrcli.cli import options as opt
from asrcli.cli.options import option

if TYPE_CHECKING:
    from asrcli.cli.session import Session

__all__ = ["hotwords"]

hotwords = typer.Typer(
    name="hotwords",
    no_args_is_help=True,
    help="""
    Lists of words to favor that Qwen Cloud keeps: create, list, show, update, delete.

    \b
    Examples:
      asrcli hotwords create names.txt
      asrcli hotwords create -m fun-asr-realtime --hotword Qwen --hotword DashScope
      asrcli transcribe --hotwords vocab-asrcli-0123… talk.mp3
      asrcli hotwords show vocab-asrcli-0123… > names.txt

    A file has one word or phrase a line; behind tabs may stand a weight (1 to 5, or 50) and a
    language. Lines that begin with # are left out. A list works for the model it was made for and
    for no other. An account has at most ten. `transcribe --hotwords FILE` makes what it needs.
    """,
)

File = Annotated[
    str | None, typer.Argument(metavar="[FILE]", help="Words, one a line; - for stdin.")
]
Word = Annotated[
    list[str] | None, option("--hotword", metavar="WORD", help="A word to favor; repeatable.")
]
Identity = Annotated[str, typer.Argument(metavar="ID", help="As `asrcli hotwords list` shows it.")]
Json = Annotated[bool, option("--json", help="As JSON, one record a line.")]


@hotwords.command()
def create(
    file: File = None,
    word: Word = None,
    model: Annotated[
        str, option("--model", "-m", metavar="ID", help="The model that will use the list.")
    ] = "fun-asr",
    prefix: Annotated[
        str, option("--prefix", metavar="NAME", help="Part of the id: up to 10 of a-z and 0-9.")
    ] = "asrcli",
    json: Json = False,
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
    """Make a list for one model, and print its id.

    \b
    Examples:
      asrcli hotwords create names.txt
      asrcli hotwords create -m fun-asr-realtime --hotword Qwen --hotword Alibaba
      asrcli transcribe --hotwords "$(asrcli hotwords create names.txt)" talk.mp3
    """
    from asrcli.cli.word_lists import WordLists

    with _session(
        base_url, region, ca_bundle, insecure_http, offline, timeout, retries,
        quiet, verbose, color, debug,
    ) as session:  # fmt: skip
        WordLists(session, as_json=json).create(file, word or [], model, prefix)


@hotwords.command("list")
def list_(
    prefix: Annotated[
        str | None, option("--prefix", metavar="NAME", help="Only those with this in their id.")
    ] = None,
    json: Json = False,
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
    """Show the lists of the account, whoever made them.

    \b
    Examples:
      asrcli hotwords list
      asrcli hotwords list --prefix asrcli --json
    """
    from asrcli.cli.word_lists import WordLists

    with _session(
        base_url, region, ca_bundle, insecure_http, offline, timeout, retries,
        quiet, verbose, color, debug,
    ) as session:  # fmt: skip
        WordLists(session, as_json=json).list(prefix)


@hotwords.command()
def show(
    identity: Identity,
    json: Json = False,
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
    """Print the words of a list, as `create` and `update` read them.

    \b
    Examples:
      asrcli hotwords show vocab-asrcli-0123…
      asrcli hotwords show vocab-asrcli-0123… > names.txt
    """
    from asrcli.cli.word_lists import WordLists

    with _session(
        base_url, region, ca_bundle, insecure_http, offline, timeout, retries,
        quiet, verbose, color, debug,
    ) as session:  # fmt: skip
        WordLists(session, as_json=json).show(identity)


@hotwords.command()
def update(
    identity: Identity,
    file: File = None,
    word: Word = None,
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
    """Replace all words of a list; the service wants five minutes between two updates.

    \b
    Examples:
      asrcli hotwords update vocab-asrcli-0123… names.txt
    """
    from asrcli.cli.word_lists import WordLists

    with _session(
        base_url, region, ca_bundle, insecure_http, offline, timeout, retries,
        quiet, verbose, color, debug,
    ) as session:  # fmt: skip
        WordLists(session).update(identity, file, word or [])


@hotwords.command()
def delete(
    identities: Annotated[
        list[str], typer.Argument(metavar="ID...", help="As `asrcli hotwords list` shows them.")
    ],
    yes: Annotated[bool, option("--yes", "-y", help="Do not ask.")] = False,
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
    """Delete lists for good; asks first, and wants --yes where nobody can answer.

    \b
    Examples:
      asrcli hotwords delete vocab-asrcli-0123…
      asrcli hotwords delete --yes vocab-asrcli-0123… vocab-asrcli-4567…
    """
    from asrcli.cli.word_lists import WordLists

    with _session(
        base_url, region, ca_bundle, insecure_http, offline, timeout, retries,
        quiet, verbose, color, debug,
    ) as session:  # fmt: skip
        status = WordLists(session).delete(identities, yes=yes, ask=_ask)
    raise typer.Exit(status)


def _ask(question: str) -> bool:
    return typer.confirm(question, err=True)


def _session(
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
) -> Session:
    from asrcli.cli.session import Network, Session, open_console

    console = open_console(quiet=quiet, verbose=verbose, debug=debug, color=color)
    network = Network(
        base_url=base_url,
        region=region,
        ca_bundle=ca_bundle,
        insecure_http=insecure_http,
        offline=offline,
        timeout=timeout,
        retries=retries,
        calls=1,
    )
    return Session.open(console, network)
