"""`asrcli transcribe`."""

from __future__ import annotations

from typing import Annotated

import typer

from asrcli.cli import options as opt
from asrcli.cli.options import option

__all__ = ["transcribe"]

WHAT = "What is transcribed"
HOW = "How it is transcribed"
WHERE = "What is written, and where"


def transcribe(
    inputs: Annotated[
        list[str] | None,
        typer.Argument(metavar="INPUT...", help="Files, folders, patterns, references, URLs or -."),
    ] = None,
    model: opt.ModelName = "auto",
    provider: opt.ProviderName = None,
    language: opt.Language = None,
    itn: Annotated[
        bool | None, option("--itn/--no-itn", panel=HOW, help="“twenty one” as “21”, or not.")
    ] = None,
    diarize: Annotated[
        bool, option("--diarize", panel=HOW, help="Who speaks: labels for the speakers.")
    ] = False,
    speakers: Annotated[
        int | None,
        option("--speakers", metavar="N", min=2, max=100, panel=HOW, help="How many there are."),
    ] = None,
    emotion: Annotated[bool, option("--emotion", panel=HOW, help="The speaker's emotion.")] = False,
    words: Annotated[bool, option("--words", panel=HOW, help="Times of words, in json.")] = False,
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
    recursive: Annotated[
        bool, option("--recursive", "-r", panel=WHAT, help="Folders below folders, too.")
    ] = False,
    include: Annotated[
        list[str] | None,
        option("--include", metavar="GLOB", panel=WHAT, help="In folders: these files alone."),
    ] = None,
    exclude: Annotated[
        list[str] | None,
        option("--exclude", metavar="GLOB", panel=WHAT, help="In folders: not these files."),
    ] = None,
    follow: Annotated[
        bool, option("--follow", panel=WHAT, help="In folders: follow links.")
    ] = False,
    files_from: Annotated[
        str | None,
        option(
            "--files-from",
            metavar="FILE",
            panel=WHAT,
            help="Inputs, one a line, # is a comment; - for stdin.",
        ),
    ] = None,
    null: Annotated[
        bool, option("--null", "-0", panel=WHAT, help="--files-from is separated by NUL.")
    ] = False,
    channel: Annotated[
        int | None,
        option("--channel", metavar="N", min=0, panel=WHAT, help="One channel, from 0; else all."),
    ] = None,
    split_channels: Annotated[
        bool, option("--split-channels", panel=WHAT, help="Each channel by itself, then merged.")
    ] = False,
    track: Annotated[
        int, option("--track", metavar="N", min=0, panel=WHAT, help="Which audio track, from 0.")
    ] = 0,
    normalize: Annotated[
        bool, option("--normalize", panel=WHAT, help="Raise the level of quiet clips.")
    ] = False,
    shard: Annotated[
        str,
        option("--shard", metavar="I/N", panel=WHAT, help="Only part I of N of the inputs."),
    ] = "1/1",
    format: Annotated[  # noqa: A002 - it is the option's name
        list[str] | None,
        option(
            "--format",
            "-f",
            metavar="FORMAT",
            panel=WHERE,
            help="text, json, jsonl, srt, vtt or tsv; several with -o DIR.",
        ),
    ] = None,
    output: Annotated[
        str | None,
        option("--output", "-o", metavar="PATH", panel=WHERE, help="A file or a folder; - prints."),
    ] = None,
    overwrite: Annotated[
        bool, option("--overwrite", panel=WHERE, help="Replace what is there.")
    ] = False,
    allow_partial: Annotated[
        bool,
        option(
            "--allow-partial", panel=WHERE, help="Write what there is, with a mark for each gap."
        ),
    ] = False,
    unordered: Annotated[
        bool, option("--unordered", panel=WHERE, help="Print as they finish.")
    ] = False,
    headings: Annotated[
        bool,
        option("--headings/--no-headings", panel=WHERE, help="==> NAME <== above several texts."),
    ] = True,
    max_line_chars: Annotated[
        int, option("--max-line-chars", metavar="N", min=10, panel=WHERE, help="Of a subtitle.")
    ] = 42,
    max_lines: Annotated[
        int, option("--max-lines", metavar="N", min=1, panel=WHERE, help="Of a subtitle.")
    ] = 2,
    max_cue_seconds: Annotated[
        float,
        option("--max-cue-seconds", metavar="S", min=0.5, panel=WHERE, help="Of a subtitle."),
    ] = 7.0,
    jobs: Annotated[
        int,
        option("--jobs", "-j", metavar="N", min=1, panel=opt.SENDING, help="Requests in flight."),
    ] = 4,
    dry_run: Annotated[
        bool, option("--dry-run", "-n", panel=opt.SENDING, help="Show the plan; send nothing.")
    ] = False,
    max_cost: Annotated[
        float | None,
        option(
            "--max-cost",
            metavar="USD",
            min=0,
            callback=opt.finite,
            panel=opt.SENDING,
            help="Refuse to spend more.",
        ),
    ] = None,
    detach: Annotated[
        bool,
        option("--detach", panel=opt.SENDING, help="Submit jobs, and leave: see `asrcli jobs`."),
    ] = False,
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
    cache: opt.Cache = True,
    fail_fast: Annotated[
        bool, option("--fail-fast", panel=opt.SENDING, help="Stop at the first failure.")
    ] = False,
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
    """Transcribe recordings, and print the text.

    \b
    Examples:
      asrcli transcribe talk.mp3
      asrcli transcribe -l de -f srt -o talk.srt talk.mp4
      asrcli transcribe -r recordings/ -o transcripts/
      ffmpeg -i film.mkv -f wav - | asrcli transcribe -
    """
    from asrcli.cli.session import Network, Session, clamped_calls, open_console, stdin

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
        job_timeout=job_timeout,
        state=state,
        remember=cache,
    )
    with Session.open(console, network) as session:
        if inputs:
            session.expect(inputs[0])  # while all of this is loaded

        from asrcli.cli.asked import Request, read_prompt, read_shard
        from asrcli.cli.run import Run, Wanted
        from asrcli.core.hotwords import read_hotwords
        from asrcli.core.inputs import Filter, read_list
        from asrcli.core.prepare import Changes
        from asrcli.errors import UsageError
        from asrcli.output.cues import CueShape

        if speakers is not None and not diarize:
            raise UsageError("--speakers goes with --diarize")
        if split_channels and channel is not None:
            raise UsageError("--split-channels takes all channels, --channel one")
        request = Request(
            model,
            provider,
            language,
            itn,
            emotion,
            words,
            read_prompt(prompt),
            diarize,
            speakers,
            read_hotwords(hotwords, hotword or []),
        )
        wanted = Wanted(
            output=output,
            formats=format or [],
            shape=CueShape(max_line_chars, max_lines, max_cue_seconds),
            changes=Changes(channel, normalize),
            track=track,
            apart=split_channels,
            overwrite=overwrite,
            headings=headings,
            fail_fast=fail_fast,
            ordered=not unordered,
            allow_partial=allow_partial,
            shard=read_shard(shard),
            dry_run=dry_run,
            max_cost=max_cost,
            detach=detach,
        )
        which = Filter(recursive, tuple(include or ()), tuple(exclude or ()), follow)
        if files_from == "-" and "-" in (inputs or []):
            raise typer.BadParameter(
                "standard input can be read once only", param_hint="--files-from"
            )
        names = [*(inputs or []), *read_list(files_from, stdin(), null=null)]
        status = Run(session, wanted, request)(names, which)
    raise typer.Exit(status)
