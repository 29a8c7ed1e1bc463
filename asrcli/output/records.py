"""Records: what programs read, one JSON object each, described by `schema.json` beside this file.

Fields are added, never renamed, and stand in the same order each time. The text of a transcript
is only cleaned of controls, never searched for keys: `redact` would blot out words of a speaker
who says "bearer". Names of files keep bytes that are no UTF-8 as lone surrogate escapes.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from asrcli.errors import AsrError
from asrcli.output.lines import line_chunks, slices
from asrcli.output.sanitize import for_json, for_text, is_unicode
from asrcli.secret import redact
from asrcli.transcript import Segment, Transcript, Word

if TYPE_CHECKING:
    from asrcli.output.plans import PlanRow, PlanTotals
    from asrcli.output.progress import Ended, State

__all__ = [
    "detached_record",
    "error_value",
    "failure_record",
    "final_record",
    "input_record",
    "partial_record",
    "plan_record",
    "plan_total_record",
    "progress_record",
    "result_chunks",
    "result_record",
    "schema",
    "skipped_record",
    "summary_record",
]

Record = dict[str, Any]

VERSION = 1
_CLASSES = {
    1: "bug",
    2: "usage",
    4: "credentials",
    5: "quota",
    6: "network",
    7: "input",
    8: "output",
    9: "service",
    10: "time-limit",
    11: "locked",
    12: "microphone",
    13: "missing-helper",
}
"""The words for the exit statuses, which are the classes of errors."""
_REPLACED = "characters that are no Unicode were replaced"


def result_record(name: str, transcript: Transcript, **fields: Any) -> Record:
    """The record of an input that was transcribed; takes the fields of `result_chunks`."""
    text = "".join(line_chunks(transcript.segments))
    segments = [_segment(segment) for segment in transcript.segments]
    return {**_result(name, transcript, **fields), "text": text, "segments": segments}


def result_chunks(
    name: str, transcript: Transcript, *, indent: int | None = None, **fields: Any
) -> Iterator[str]:
    """The same as JSON with its newline, in chunks: a long text is never copied whole.

    `status` is ok (the default), or partial with its `error`; `elapsed` is in seconds, `source`
    tells bytes, duration, container and the like; any other field is added as it is.
    """
    gap, close, pad = ("\n", "\n}", " " * indent) if indent else (" ", "}", "")
    head = for_json(_result(name, transcript, **fields), indent=indent).removesuffix(close)
    yield from _with_text(head, line_chunks(transcript.segments))
    yield f',{gap}{pad}"segments": ['
    before, after = "", ""
    for segment in transcript.segments:
        # What is dumped is short: the text, which may be long, is put in afterwards.
        short = for_json(_segment(replace(segment, text="")), indent=indent)
        nested = f"\n{short}".replace("\n", f"\n{pad * 2}") if indent else short
        yield from _with_text(before + nested, slices(for_text(segment.text)))
        before, after = ("," if indent else ", "), (gap + pad if indent else "")
    yield f"{after}]{close}\n"


def _with_text(dumped: str, chunks: Iterable[str]) -> Iterator[str]:
    """JSON whose first field `text` is empty, with that text; no other string looks like it."""
    before, mark, after = dumped.partition('"text": "')
    yield before + mark
    for chunk in chunks:
        yield for_json(chunk)[1:-1]
    yield after


def _result(
    name: str,
    transcript: Transcript,
    *,
    status: str = "ok",
    elapsed: float | None = None,
    source: Mapping[str, Any] | None = None,
    error: AsrError | None = None,
    **extra: Any,
) -> Record:
    """All fields but the segments, which come last because they are long; without the text."""
    warnings = [_message(warning) for warning in transcript.warnings]
    if not all(is_unicode(segment.text) for segment in transcript.segments):
        warnings.append(_REPLACED)
    return {
        **_head("result", name),
        "status": status,
        "empty": not any(for_text(segment.text) for segment in transcript.segments),
        "text": "",
        "language": _optional(transcript.language),
        "duration": _seconds(transcript.duration),
        "provider": for_text(transcript.provider),
        "model": for_text(transcript.model),
        "elapsed": _seconds(elapsed),
        "rtf": _rtf(elapsed, transcript.duration),
        "billed_seconds": _seconds(transcript.billed_seconds),
        "request_ids": [for_text(request) for request in transcript.request_ids],
        "warnings": warnings,
        "error": None if error is None else error_value(error),
        "source": None if source is None else dict(source),
        **extra,
    }


def failure_record(name: str, error: AsrError, **extra: Any) -> Record:
    """The record of an input that has no transcript, and why."""
    return {**_head("result", name), "status": "failed", "error": error_value(error), **extra}


def skipped_record(name: str, reason: str, **extra: Any) -> Record:
    """The record of an input that was left alone, and why: its output exists, for example."""
    return {**_head("result", name), "status": "skipped", "reason": _message(reason), **extra}


def detached_record(name: str, job: str, **extra: Any) -> Record:
    """The record of an input whose job was submitted, and is not waited for."""
    return {**_head("result", name), "status": "submitted", "job": _message(job), **extra}


def partial_record(segment: Segment, *, index: int) -> Record:
    """What is heard so far of utterance `index`; the next record replaces it."""
    return _heard("partial", segment, index)


def final_record(segment: Segment, *, index: int) -> Record:
    """Utterance `index`, which will not change again."""
    return _heard("final", segment, index)


def progress_record(state: State) -> Record:
    """How far a run is: inputs, seconds of audio (None if unknown), seconds of the clock."""
    return {
        "v": VERSION,
        "type": "progress",
        "total": state.total,
        "done": state.done,
        "failed": state.failed,
        "skipped": state.skipped,
        "cancelled": state.cancelled,
        "duration": _seconds(state.duration),
        "estimated": state.estimated,
        "duration_done": _seconds(state.duration_done),
        "reused_seconds": _seconds(state.reused),
        "share": round(state.share, 4),
        "rate": _seconds(state.rate),
        "seconds_left": _seconds(state.seconds_left),
        "elapsed": _seconds(state.elapsed),
        "in_flight": state.in_flight,
        "bytes_sent": state.bytes_sent,
    }


def input_record(ended: Ended) -> Record:
    """What became of one input, told when it ends: without its text, which is a result."""
    error: Record | None = None
    if isinstance(ended.error, AsrError):
        error = error_value(ended.error)
    elif ended.error is not None:
        error = {"message": _message(ended.error)}
    return {
        **_head("input", ended.name),
        "status": ended.status,
        "seconds": _seconds(ended.seconds),
        "elapsed": _seconds(ended.elapsed),
        "error": error,
    }


def summary_record(
    statuses: Sequence[str],
    *,
    total: int,
    exit_status: int,
    elapsed: float,
    duration: float | None = None,
    billed_seconds: float | None = None,
    requests: int | None = None,
    bytes_sent: int | None = None,
    cost: float | None = None,
    cost_known: bool | None = None,
    reused_seconds: float | None = None,
    **extra: Any,
) -> Record:
    """The last record of a run of `total` inputs; `statuses` are those of the records so far.

    `duration` and `reused_seconds` are of audio, the latter what was answered by earlier runs.
    `cost` is an estimate in US dollars, None where a price is not known; it is known if it is
    given, unless `cost_known` says otherwise. `rtf` is of all audio, reused or not.
    """
    words = ("ok", "partial", "failed", "skipped", "submitted")
    counts = {word: statuses.count(word) for word in words}
    return {
        "v": VERSION,
        "type": "summary",
        "total": total,
        **counts,
        "not_begun": total - sum(counts.values()),
        "exit_status": exit_status,
        "elapsed": _seconds(elapsed),
        "duration": _seconds(duration),
        "rtf": _rtf(elapsed, duration),
        "billed_seconds": _seconds(billed_seconds),
        "reused_seconds": _seconds(reused_seconds),
        "requests": requests,
        "bytes_sent": bytes_sent,
        "cost": None if cost is None else round(cost, 6),
        "cost_known": cost is not None if cost_known is None else cost_known,
        **extra,
    }


def plan_record(row: PlanRow) -> Record:
    """What a run would do with one input."""
    return {**_head("plan", row.name), **_plain(asdict(row), but={"name"})}


def plan_total_record(totals: PlanTotals) -> Record:
    """What it would do with all of them together."""
    return {"v": VERSION, "type": "plan_total", **_plain(asdict(totals))}


def error_value(error: AsrError) -> Record:
    """An error as fields: `class` is the word for its exit status, `code` the service's own."""
    return {
        "class": _CLASSES.get(error.exit_status, "bug"),
        "code": None if error.code is None else _message(error.code),
        "message": _message(str(error)),
        "hint": None if error.hint is None else _message(error.hint),
        "retryable": error.retryable,
        "http_status": error.http_status,
        "request_id": None if error.request_id is None else _message(error.request_id),
        "possible_duplicate": error.possible_duplicate,
        "exit_status": error.exit_status,
    }


def schema() -> Record:
    """The JSON Schema (draft 2020-12) of all records."""
    from importlib.resources import files  # slow to import, and only tests need it

    text = files("asrcli.output").joinpath("schema.json").read_text(encoding="utf-8")
    value: Record = json.loads(text)
    return value


# --- values -----------------------------------------------------------------------------------


def _head(kind: str, name: str) -> Record:
    return {"v": VERSION, "type": kind, "name": redact(name) if "://" in name else name}


def _heard(kind: str, segment: Segment, index: int) -> Record:
    return {"v": VERSION, "type": kind, "index": index, **_segment(segment)}


def _segment(segment: Segment) -> Record:
    return {
        "text": for_text(segment.text),
        "start": _seconds(segment.start),
        "end": _seconds(segment.end),
        "timing": str(segment.timing),
        "speaker": _optional(segment.speaker),
        "channel": segment.channel,
        "language": _optional(segment.language),
        "emotion": _optional(segment.emotion),
        "confidence": segment.confidence,
        "words": [_word(word) for word in segment.words],
    }


def _word(word: Word) -> Record:
    return {
        "text": for_text(word.text),
        "start": _seconds(word.start),
        "end": _seconds(word.end),
        "confidence": word.confidence,
    }


def _plain(fields: Mapping[str, Any], *, but: Collection[str] = ()) -> Record:
    """Fields as they stand, texts cleaned and numbers without noise."""
    return {name: _value(value) for name, value in fields.items() if name not in but}


def _value(value: Any) -> Any:
    if isinstance(value, str):
        return _message(value)
    return round(value, 6) if isinstance(value, float) else value


def _message(text: str) -> str:
    return for_text(redact(text))


def _optional(text: str | None) -> str | None:
    return None if text is None else for_text(text)


def _seconds(value: float | None) -> float | None:
    """To the millisecond, without the noise of binary fractions."""
    return None if value is None else round(value, 3)


def _rtf(elapsed: float | None, duration: float | None) -> float | None:
    return round(elapsed / duration, 4) if elapsed is not None and duration else None
