"""`asrcli stream-mic`."""

from __future__ import annotations

from typing import Annotated

import typer

from asrcli.cli import options as opt
from asrcli.cli.options import option

__all__ = ["stream_mic"]

WHAT = "What is heard"
HOW = "How it is transcribed"
WHERE = "What is written, and where"


def stream_mic(
    model: opt.ModelName = "auto",
    provider: opt.ProviderName = None,
    language: opt.Language = None,
    emotion: Annotated[bool, option("--emotion", panel=HOW, help="The speaker's emotion.")] = False,
    prompt: Annotated[
        str | None,
        option("--prompt", metavar="TEXT|@FILE", panel=HOW, help="What it is about: names, terms."),
    ] = None,
    hotwords: Annotated[
        str | None,
        option(
            "--hotwords",
            metavar="FILE|ID",
            panel=HOW,
            help="Words to favor, one a line; or a list of `asrcli hotwords`.",
        ),
    ] = None,
    hotword: Annotated[
        list[str] | None,
        option("--hotword", metavar="WORD", panel=HOW, help="A word to favor; repeatable."),
    ] = None,
    dialect: Annotated[
        str | None,
        option(
            "--dialect",
            metavar="NAME",
            panel=HOW,
            help="Of a server of your own, live: auto, openai, openai-beta, speaches or vllm.",
        ),
    ] = None,
    refine: Annotated[
        bool,
        option("--refine", panel=HOW, help="At the end, once more with a model for recordings."),
    ] = False,
    device: Annotated[
        str | None,
        option("--device", metavar="NAME|N", panel=WHAT, help="A microphone; else the default."),
    ] = None,
    list_devices: Annotated[
        bool, option("--list-devices", panel=WHAT, help="Show the microphones, and end.")
    ] = False,
    input_: Annotated[
        str | None,
        option("--input", metavar="-", panel=WHAT, help="-: PCM or WAV on standard input."),
    ] = None,
    rate: Annotated[
        int | None,
        option("--rate", metavar="HZ", min=4_000, max=384_000, panel=WHAT, help="Of raw PCM."),
    ] = None,
    channels: Annotated[
        int | None,
        option("--channels", metavar="N", min=1, max=64, panel=WHAT, help="Of raw PCM."),
    ] = None,
    seconds: Annotated[
        float | None,
        option("--seconds", metavar="N", min=0.1, panel=WHAT, help="Listen for so long."),
    ] = None,
    save: Annotated[
        str | None,
        option("--save", metavar="FILE.wav", panel=WHERE, help="Keep what is heard."),
    ] = None,
    partials: Annotated[
        bool,
        option("--partials/--no-partials", panel=WHERE, help="Show text before it is final."),
    ] = True,
    format: Annotated[  # noqa: A002 - it is the option's name
        str | None,
        option("--format", "-f", metavar="FORMAT", panel=WHERE, help="text, jsonl or srt."),
    ] = None,
    output: Annotated[
        str | None, option("--output", "-o", metavar="FILE", panel=WHERE, help="A file; - prints.")
    ] = None,
    overwrite: Annotated[
        bool, option("--overwrite", panel=WHERE, help="Replace what is there.")
    ] = False,
    state: opt.StatePath = None,
    cache: opt.Cache = True,
    base_url: opt.BaseURL = None,
    region: opt.Region = None,
    ca_bundle: opt.CABundle = None,
    insecure_http: opt.InsecureHTTP = False,
    offline: opt.Offline = False,
    timeout: opt.Timeout = 600.0,
    retries: opt.Retries = 4,
    rpm: opt.RPM = None,
    progress: opt.Progress = "auto",
    quiet: opt.Quiet = False,
    verbose: opt.Verbose = False,
    color: opt.Color = "auto",
    debug: opt.Debug = False,
) -> None:
    """Listen to the microphone, and print the text while somebody speaks.

    \b
    Examples:
      asrcli stream-mic
      asrcli stream-mic -l zh --save talk.wav -f srt -o talk.srt
      asrcli stream-mic --list-devices
      arecord -f S16_LE -r 16000 | asrcli stream-mic --input -

    Ctrl-C ends it after the last words; a second one stops at once.
    """
    from asrcli.cli.asked import Request, read_prompt
    from asrcli.cli.live_work import LiveRun, LiveWanted, read_format
    from asrcli.cli.live_work import list_devices as show_devices
    from asrcli.cli.session import Network, Session, open_console, stdin
    from asrcli.core.hearing import Listening
    from asrcli.core.hotwords import read_hotwords
    from asrcli.errors import UsageError

    console = open_console(
        quiet=quiet, verbose=verbose, debug=debug, color=color, progress=progress
    )
    if list_devices:
        show_devices(console)
        return
    if input_ not in {None, "-"}:
        raise UsageError(
            f"--input takes only -, not {input_!r}",
            hint="Of a file that is there, `asrcli transcribe` makes text.",
        )
    if input_ is None and (rate is not None or channels is not None):
        raise UsageError("--rate and --channels go with --input -")
    if input_ is not None and device is not None:
        raise UsageError("--device is a microphone, and --input - is none")
    if input_ is not None and stdin() is None:
        raise UsageError("standard input is closed")
    network = Network(
        base_url=base_url,
        region=region,
        ca_bundle=ca_bundle,
        insecure_http=insecure_http,
        offline=offline,
        timeout=timeout,
        retries=retries,
        rpm=rpm,
        state=state,
        remember=cache,
    )
    request = Request(
        model,
        provider,
        language,
        emotion=emotion,
        prompt=read_prompt(prompt),
        hotwords=read_hotwords(hotwords, hotword or []),
    )
    wanted = LiveWanted(
        Listening(piped=input_ is not None, device=device, rate=rate, channels=channels),
        format=read_format(format, output),
        output=output,
        save=save,
        partials=partials,
        overwrite=overwrite,
        seconds=seconds,
        refine=refine,
        dialect=dialect,
        status=progress == "auto" and not quiet,
    )
    with Session.open(console, network) as session:
        status = LiveRun(session, wanted, request)()
    raise typer.Exit(status)
