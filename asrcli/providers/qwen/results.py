"""What a recognition of Qwen Cloud's newer calls holds: sentences and words with their times.

The files that jobs leave behind have two shapes: `qwen3-asr-flash-filetrans` counts from 0, and
tells language and emotion of each sentence; fun-asr and its relatives count from 1, and may tell
speakers. Times are milliseconds from the start of the recording.
Pages: https://docs.qwencloud.com/api-reference/speech-recognition/qwen-asr/query-result and
https://help.aliyun.com/en/model-studio/fun-asr-recorded-speech-recognition-http-api; where table
and sample of a page name a field differently, both names are read.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from asrcli.errors import UnexpectedAnswerError
from asrcli.providers.base import Model, Options
from asrcli.providers.languages import canonical
from asrcli.providers.reading import dig, first_text, number_at, text_at
from asrcli.transcript import Segment, Timing, Transcript, Word

__all__ = ["most_common", "read_result", "segment_of"]

_DURATIONS = ("original_duration_in_milliseconds", "original_duration")


def read_result(body: Any, model: Model, options: Options) -> Transcript:
    """The transcript in a result file, all channels in the order of time.

    A channel that was asked for and is not there is told in a warning.
    """
    tracks = dig(body, "transcripts")
    if not isinstance(tracks, list):
        raise UnexpectedAnswerError("qwen", "the result of the job holds no transcripts")
    named = len(tracks) > 1 or bool(options.channels)
    segments = [s for track in tracks for s in _segments(track, options, named=named)]
    if len(tracks) > 1 and all(s.start is not None for s in segments):
        segments.sort(key=lambda s: s.start or 0.0)
    lengths = (number_at(body, "properties", name) for name in _DURATIONS)
    length = next((n for n in lengths if n is not None and n >= 0), None)
    return Transcript(
        segments=tuple(segments),
        provider="qwen",
        model=model.id,
        language=most_common(s.language for s in segments) or canonical(options.language),
        duration=None if length is None else length / 1000,
        warnings=tuple(_missing(tracks, options)),
    )


def _missing(tracks: list[Any], options: Options) -> list[str]:
    there = {_channel(track) for track in tracks}
    missing = [str(channel) for channel in options.channels if channel not in there]
    if not missing:
        return []
    return [f"the service left out channel {', '.join(missing)} of the recording"]


def _channel(track: Any) -> int | None:
    number = number_at(track, "channel_id")
    return None if number is None else int(number)


def _segments(track: Any, options: Options, *, named: bool) -> list[Segment]:
    channel = _channel(track) if named else None
    sentences = dig(track, "sentences")
    listed = sentences if isinstance(sentences, list) else []
    found = [segment_of(sentence, options, channel=channel) for sentence in listed]
    segments = [segment for segment in found if segment is not None]
    whole = first_text(text_at(track, "text"), text_at(track, "transcript"))
    if segments or not whole:
        return segments
    language = canonical(options.language)
    return [Segment(" ".join(whole.split()), channel=channel, language=language)]


def segment_of(sentence: Any, options: Options, *, channel: int | None = None) -> Segment | None:
    """One sentence; None if it says nothing."""
    text = text_at(sentence, "text")
    if text is None:
        text = _rebuilt(sentence)
    text = " ".join(text.split())
    if not text:
        return None
    start, end = _seconds(sentence, "begin_time"), _seconds(sentence, "end_time")
    timed = start is not None and end is not None
    return Segment(
        text,
        start=start if timed else None,
        end=max(start, end) if start is not None and end is not None else None,
        timing=Timing.MODEL if timed else Timing.NONE,
        speaker=_speaker(sentence),
        channel=channel,
        language=canonical(text_at(sentence, "language")) or canonical(options.language),
        emotion=text_at(sentence, "emotion") or None,
        words=_words(sentence),
    )


def _speaker(sentence: Any) -> str | None:
    speaker = dig(sentence, "speaker_id")
    if isinstance(speaker, bool) or not isinstance(speaker, int | str):
        return None
    return str(speaker).strip() or None


def _rebuilt(sentence: Any) -> str:
    """The text of a sentence that only has words: Latin ones carry the blank that follows them."""
    return "".join(text + mark for text, mark, _ in _items(sentence))


def _words(sentence: Any) -> tuple[Word, ...]:
    found = []
    for raw, mark, word in _items(sentence):
        text = raw.strip() + mark.strip()
        start, end = _seconds(word, "begin_time"), _seconds(word, "end_time")
        if text and start is not None and end is not None:
            found.append(Word(text, start, max(start, end)))
    return tuple(found)


def _items(sentence: Any) -> list[tuple[str, str, Any]]:
    """Each word as it was sent: its text, the mark that follows it, and all of it."""
    found = dig(sentence, "words")
    words = found if isinstance(found, list) else []
    return [(text_at(w, "text") or "", text_at(w, "punctuation") or "", w) for w in words]


def _seconds(value: Any, name: str) -> float | None:
    number = number_at(value, name)
    return None if number is None or number < 0 else number / 1000


def most_common(values: Iterable[str | None]) -> str | None:
    """The value that is there most often, the first of several; None if there is none."""
    counted = Counter(value for value in values if value).most_common(1)
    return counted[0][0] if counted else None
