"""What servers of OpenAI's kind answer: transcripts with or without times, errors of many shapes.

Pages: https://platform.openai.com/docs/api-reference/audio/verbose-json-object and
https://platform.openai.com/docs/guides/error-codes; for the others
https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html,
https://speaches.ai/usage/speech-to-text and
https://github.com/ggml-org/whisper.cpp/tree/master/examples/server.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from asrcli.errors import (
    ArrearsError,
    AsrError,
    InputRefusedError,
    KeyRefusedError,
    ModelRefusedError,
    RateLimitedError,
    RefusedError,
    RemoteError,
    Retry,
    RightsError,
    ServiceError,
)
from asrcli.providers.base import Model, Options
from asrcli.providers.calls import MENDED, SENT_TWICE
from asrcli.providers.languages import canonical
from asrcli.providers.reading import dig, first_text, number_at, shown, text_at
from asrcli.transcript import Segment, Timing, Transcript, Word, join_texts
from asrcli.transport.http import Answer

__all__ = ["FormatRefusedError", "read_failure", "read_transcript"]


class FormatRefusedError(RefusedError):
    """The server does not answer in the format that was asked for."""


# --- transcripts ------------------------------------------------------------------------------


def read_transcript(
    answer: Answer, model: Model, options: Options, *, duration: float | None
) -> Transcript:
    """Read `verbose_json`, or the shorter `json` that some servers answer with.

    Times are seconds and never fall; a word belongs to one segment. Raises UnexpectedAnswerError.
    """
    body = answer.json
    language = canonical(text_at(body, "language")) or canonical(options.language)
    words = _words(dig(body, "words"))
    segments = _with_words(list(_segments(dig(body, "segments"), language)), words)
    text = text_at(body, "text")
    if text is None and not segments:
        raise answer.unexpected("its answer holds no text")
    whole = (text or "").strip()
    if whole and not segments:
        segments = [_of_all(whole, language, words)]
    return Transcript(
        segments=tuple(segments),
        provider="openai",
        model=model.id,
        language=language,
        duration=duration,
        request_ids=(answer.request_id,) if answer.request_id else (),
        billed_seconds=number_at(body, "usage", "seconds"),
        warnings=tuple(_warnings(answer, segments, options)),
    )


def _warnings(answer: Answer, segments: Sequence[Segment], options: Options) -> Iterator[str]:
    if not join_texts(segment.text for segment in segments):
        yield "the service heard nothing"
    elif options.words and not any(segment.words for segment in segments):
        yield "the server gave no times of words"
    if answer.mended:
        yield MENDED
    if answer.possible_duplicate:
        yield SENT_TWICE


def _of_all(text: str, language: str | None, words: Sequence[Word]) -> Segment:
    """All of the text as one segment, whose times are those of its words if there are any."""
    if not words:
        return Segment(text, language=language)
    start, end = words[0].start, max(word.end for word in words)
    return Segment(
        text, start=start, end=end, timing=Timing.MODEL, language=language, words=tuple(words)
    )


def _segments(found: Any, language: str | None) -> Iterator[Segment]:
    earliest = 0.0
    for item in found if isinstance(found, list) else []:
        text = (text_at(item, "text") or "").strip()
        if not text:
            continue
        segment = Segment(
            text,
            speaker=text_at(item, "speaker"),
            language=language,
            words=tuple(_words(dig(item, "words"))),
        )
        start, end = number_at(item, "start"), number_at(item, "end")
        if start is not None and end is not None:
            earliest = start = max(earliest, start)
            segment = replace(segment, start=start, end=max(start, end), timing=Timing.MODEL)
        yield segment


def _words(found: Any) -> list[Word]:
    """The words that have times, each beginning no earlier than the one before."""
    words: list[Word] = []
    earliest = 0.0
    for item in found if isinstance(found, list) else []:
        text = (text_at(item, "word") or text_at(item, "text") or "").strip()
        start, end = number_at(item, "start"), number_at(item, "end")
        if text and start is not None and end is not None:
            earliest = start = max(earliest, start)
            words.append(Word(text, start, max(start, end), _probability(item)))
    return words


def _probability(item: Any) -> float | None:
    found = number_at(item, "probability")
    return found if found is not None and 0 <= found <= 1 else None


def _with_words(segments: list[Segment], words: Sequence[Word]) -> list[Segment]:
    """The segments with those words that stand beside them: each word goes to the nearest."""
    timed = [n for n, segment in enumerate(segments) if segment.timing is Timing.MODEL]
    if not timed or any(segment.words for segment in segments):
        return segments
    shares: list[list[Word]] = [[] for _ in segments]
    at = 0
    for word in words:
        # Both rise, so that no word goes back to an earlier segment.
        while at + 1 < len(timed) and _prefers(word, segments[timed[at]], segments[timed[at + 1]]):
            at += 1
        shares[timed[at]].append(word)
    return [replace(s, words=tuple(share)) for s, share in zip(segments, shares, strict=True)]


def _prefers(word: Word, this: Segment, following: Segment) -> bool:
    """True if the middle of the word is nearer to the following segment."""
    middle = (word.start + word.end) / 2
    return _distance(middle, following) < _distance(middle, this) or (
        following.start is not None and middle >= following.start
    )


def _distance(time: float, segment: Segment) -> float:
    start, end = segment.start or 0.0, segment.end or 0.0
    return max(start - time, time - end, 0.0)


# --- errors -----------------------------------------------------------------------------------

_Kind = tuple[type[RemoteError], Retry]
_BY_STATUS: dict[int, _Kind] = {
    401: (KeyRefusedError, Retry.NEVER),
    402: (ArrearsError, Retry.NEVER),
    403: (RightsError, Retry.NEVER),
    408: (ServiceError, Retry.TRANSIENT),
    413: (InputRefusedError, Retry.NEVER),
    415: (InputRefusedError, Retry.NEVER),
    425: (ServiceError, Retry.TRANSIENT),
    429: (RateLimitedError, Retry.THROTTLED),
}
# A gateway lost sight of the server behind it, which may have done the work.
_LOST = {502, 504, 520, 522, 524}
_UNPAID = {"insufficient_quota", "billing_not_active", "billing_hard_limit_reached"}
_MODEL_HINT = "Choose one that the server has with -m."
_FORMAT = re.compile(r"response_format|verbose_json")
_SOUND = re.compile(r"\b(audio|file)\b", re.IGNORECASE)
_UNFIT = re.compile(
    r"invalid|unsupported|corrupt|cannot|could not|failed to|too (short|long|large|big)"
    r"|longer than|exceed|decod",
    re.IGNORECASE,
)


def read_failure(answer: Answer) -> AsrError | None:
    """The error an answer reports, also one with HTTP 200; None for what HTTP itself says."""
    if answer.status < 300:
        body = answer.json
        if not _is_error(body):
            return None
    else:
        body = _body_or_none(answer)
    error = dig(body, "error") if isinstance(dig(body, "error"), dict) else body
    said = first_text(text_at(error, "message"), dig(body, "error"), _detail(body))
    status = _status(answer, error)
    if said is None and status == answer.status:
        return None
    said = said or "it failed, and does not say why"
    code = first_text(text_at(error, "code"), text_at(error, "type"))
    found = _kind(status, code, text_at(error, "param"), said)
    if found is None:
        return None
    kind, retry = found
    if answer.headers.get("x-should-retry") == "false":  # as OpenAI's own client reads it
        retry = Retry.NEVER
    return kind(
        "openai",
        shown(said),
        code=shown(code, 100) if code else None,
        http_status=answer.status,
        request_id=answer.request_id,
        retry=retry,
        hint=_MODEL_HINT if kind is ModelRefusedError else None,
    )


def _is_error(body: Any) -> bool:
    if not isinstance(body, dict) or isinstance(body.get("text"), str):
        return False
    return bool(body.get("error") or body.get("detail")) or body.get("object") == "error"


def _status(answer: Answer, error: Any) -> int:
    """The status of HTTP, or the one that stands in the body of an answer that says 200."""
    if answer.status >= 300:
        return answer.status
    code = number_at(error, "code")
    return int(code) if code is not None and 400 <= code < 600 else 400


def _kind(status: int, code: str | None, param: str | None, said: str) -> _Kind | None:
    """What it means; None for an address at which there is nothing."""
    if code in _UNPAID:
        return ArrearsError, Retry.NEVER
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    if status >= 500:
        return ServiceError, Retry.AMBIGUOUS if status in _LOST else Retry.TRANSIENT
    if param == "response_format" or _FORMAT.search(said):
        return FormatRefusedError, Retry.NEVER
    if code == "model_not_found" or param == "model" or (status == 404 and "model" in said.lower()):
        return ModelRefusedError, Retry.NEVER
    if status == 404:
        return None
    if param == "file" or (_SOUND.search(said) and _UNFIT.search(said)):
        return InputRefusedError, Retry.NEVER
    return RefusedError, Retry.NEVER


def _detail(body: Any) -> str | None:
    """What FastAPI says: a sentence, or a list of what is wrong with which field."""
    detail = dig(body, "detail")
    if not isinstance(detail, list):
        return first_text(detail, text_at(detail, "message"))
    found = []
    for item in detail:
        place = dig(item, "loc")
        field = str(place[-1]) if isinstance(place, list) and place else ""
        said = text_at(item, "msg") or ""
        found.append(f"{field}: {said}" if field and said else field or said)
    return first_text("; ".join(filter(None, found)))


def _body_or_none(answer: Answer) -> Any:
    try:
        return answer.json
    except AsrError:
        return None
