"""A transcript in the formats that can be asked for, as chunks of text: a long one streams.

Everything ends in exactly one newline but an empty text or SRT, which is zero characters. Nothing
here knows a provider, a file or a terminal.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import groupby
from typing import Any

from asrcli.errors import UsageError
from asrcli.output.cues import Cue, CueShape, cues
from asrcli.output.labels import labels
from asrcli.output.lines import line_chunks
from asrcli.output.records import result_chunks
from asrcli.output.sanitize import for_srt, for_text, for_tsv, for_vtt
from asrcli.transcript import Segment, Transcript

__all__ = ["FORMATS", "format_of", "heading", "render", "srt_blocks", "suffix_of"]

FORMATS = ("text", "json", "jsonl", "srt", "vtt", "tsv")
_SUFFIXES = {"text": ".txt"} | {name: f".{name}" for name in FORMATS[1:]}


def suffix_of(format: str) -> str:  # noqa: A002 - it is what the option is called
    """The suffix of a file in that format, with its dot."""
    return _SUFFIXES[format]


def format_of(suffix: str) -> str | None:
    """The format that a file with that suffix (`.srt`, in any case) is written in."""
    return next((name for name, known in _SUFFIXES.items() if known == suffix.lower()), None)


def heading(name: str, *, first: bool) -> str:
    """The line above one of several texts, as `head` has it; a blank line before all but one."""
    return f"{'' if first else chr(10)}==> {for_text(name)} <==\n"


def render(
    format: str,  # noqa: A002
    transcript: Transcript,
    *,
    name: str,
    shape: CueShape,
    extra: Mapping[str, Any] | None = None,
) -> Iterator[str]:
    """The chunks of a transcript in one of FORMATS.

    `name` is the input's, and `extra` are more fields of its record; only json and jsonl have
    them. Raises UsageError at once where srt, vtt or tsv are asked of a text without times.
    """
    fields = dict(extra or {})
    writers: Mapping[str, Callable[[], Iterator[str]]] = {
        "text": lambda: _text(transcript),
        "json": lambda: result_chunks(name, transcript, indent=2, **fields),
        "jsonl": lambda: result_chunks(name, transcript, **fields),
        "srt": lambda: srt_blocks(cues(transcript, shape, name_in_text=True)),
        "vtt": lambda: _vtt(cues(transcript, shape)),
        "tsv": lambda: _tsv(transcript),
    }
    if format in {"srt", "vtt", "tsv"}:
        _need_times(transcript, format)
    return writers[format]()


def _need_times(transcript: Transcript, name: str) -> None:
    for segment in transcript.segments:
        times = (segment.start, segment.end)
        if segment.text.strip() and not all(t is not None and math.isfinite(t) for t in times):
            raise UsageError(
                f"{name} needs times, and {transcript.model} gave none",
                hint="Take -f text or json, or a model that gives times (`asrcli models`).",
            )


# --- text -------------------------------------------------------------------------------------


def _text(transcript: Transcript) -> Iterator[str]:
    label = labels(transcript)
    spoken = [segment for segment in transcript.segments if for_text(segment.text)]
    for name, turn in groupby(spoken, key=label or _nobody):
        if name:
            yield f"{name}: "
        yield from line_chunks(turn)
        yield "\n"


def _nobody(_: Segment) -> None:
    return None


# --- tables and subtitles ---------------------------------------------------------------------


def _tsv(transcript: Transcript) -> Iterator[str]:
    label = labels(transcript)
    yield "start\tend\ttext\n"
    for segment in transcript.segments:
        if text := for_tsv(segment.text):
            name = label(segment) if label else None
            start, end = (round((time or 0.0) * 1000) for time in (segment.start, segment.end))
            yield f"{start}\t{end}\t{for_tsv(_named(name, text))}\n"


def srt_blocks(found: Iterable[Cue], *, first: int = 1) -> Iterator[str]:
    """SRT, one chunk a cue, numbered from `first`; the text already holds the speaker's name."""
    for number, cue in enumerate(found, first):
        times = f"{_clock(cue.start_ms, ',')} --> {_clock(cue.end_ms, ',')}"
        text = "\n".join(map(for_srt, cue.lines))
        yield f"{'' if number == 1 else chr(10)}{number}\n{times}\n{text}\n"


def _vtt(found: Iterable[Cue]) -> Iterator[str]:
    yield "WEBVTT\n"
    for cue in found:
        times = f"{_clock(cue.start_ms, '.')} --> {_clock(cue.end_ms, '.')}"
        voice = f"<v {for_vtt(cue.speaker)}>" if cue.speaker else ""
        text = "\n".join(map(for_vtt, cue.lines))
        yield f"\n{times}\n{voice}{text}\n"


def _named(name: str | None, text: str) -> str:
    return f"{name}: {text}" if name else text


def _clock(milliseconds: int, point: str) -> str:
    """HH:MM:SS and milliseconds; hours go on past 99."""
    seconds, rest = divmod(milliseconds, 1000)
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}{point}{rest:03}"
