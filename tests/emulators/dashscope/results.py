"""The files that jobs leave behind: one shape for `qwen3-asr-flash-filetrans`, one for the rest.

Pages: https://docs.qwencloud.com/api-reference/speech-recognition/qwen-asr/query-result and
https://help.aliyun.com/en/model-studio/fun-asr-recorded-speech-recognition-http-api. Where table
and sample of a page differ, this is the sample.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.emulators.dashscope.text import (
    Sentence,
    Spoken,
    deleted,
    inverse_normalized,
    masked,
    sentences,
    speaker_numbers,
    spelled,
    spoken,
    text_of,
)
from tests.emulators.dashscope.world import Listen
from tests.emulators.decoding import Source
from tests.emulators.recognizer import Heard

__all__ = ["Failure", "Result", "fun_result", "qwen_result"]


class Failure(Exception):  # noqa: N818 - it is told in an answer
    """A file of a job was not recognized; told inside an answer with HTTP 200."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message


@dataclass(frozen=True, slots=True)
class Result:
    """The body of the file, and the seconds that `usage` tells."""

    body: dict[str, Any]
    seconds: int
    charged: float
    """The seconds of all channels."""


def qwen_result(
    url: str, source: Source, whole: Heard, given: Mapping[str, Any], listen: Listen
) -> Result:
    """The result of `qwen3-asr-flash-filetrans`."""
    channels = given.get("channel_id", [0])
    words_wanted = given.get("enable_words", False)
    transcripts = []
    for channel in channels:
        words = spoken(_channel(source, whole, channel, listen).words)
        if given.get("enable_itn"):
            words = inverse_normalized(words)
        found = sentences(words, by_marks=words_wanted)
        shown = [
            _qwen_sentence(number, sentence, given.get("language"), words_wanted)
            for number, sentence in enumerate(found)
        ]
        transcripts.append({"channel_id": channel, "text": text_of(words), "sentences": shown})
    info = {"format": whole.container, "sample_rate": whole.sample_rate}
    body = {"file_url": url, "audio_info": info, "transcripts": transcripts}
    seconds = int(whole.duration)
    return Result(body, seconds, seconds * len(channels))


def _qwen_sentence(
    number: int, sentence: Sentence, language: str | None, words_wanted: bool
) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "sentence_id": number,
        "begin_time": sentence.start,
        "end_time": sentence.end,
        "language": language or sentence.words[0].language,
        "emotion": sentence.words[0].emotion,
        "text": sentence.text,
    }
    if words_wanted:
        shown["words"] = [
            # Without a mark the key is empty or not there; both are seen.
            {"begin_time": word.start, "end_time": word.end, "text": word.text}
            | ({"punctuation": word.mark} if word.mark or place % 2 == 0 else {})
            for place, word in enumerate(sentence.words)
        ]
    return shown


def fun_result(
    url: str,
    source: Source,
    whole: Heard,
    given: Mapping[str, Any],
    listen: Listen,
    *,
    terms: Iterable[str],
    reserved: Iterable[str],
) -> Result:
    """The result of the Fun-ASR family; raises a Failure where nothing is said."""
    channels = given.get("channel_id", [0])
    heard = [_channel(source, whole, channel, listen) for channel in channels]
    if not any(item.words for item in heard):
        raise Failure("SUCCESS_WITH_NO_VALID_FRAGMENT", "no valid speech fragment was found")
    terms = list(terms)
    told = bool(given.get("diarization_enabled")) and whole.channels == 1
    transcripts = [
        _fun_transcript(channel, _filtered(spelled(spoken(h.words), terms), given, reserved), told)
        for channel, h in zip(channels, heard, strict=True)
    ]
    properties = {
        "audio_format": whole.codec,
        "channels": list(range(whole.channels)),
        "original_sampling_rate": whole.sample_rate,
        "original_duration_in_milliseconds": round(whole.duration * 1000),
    }
    body = {"file_url": url, "properties": properties, "transcripts": transcripts}
    speech = sum(t["content_duration_in_milliseconds"] for t in transcripts) / 1000
    return Result(body, math.ceil(speech), speech)


def _fun_transcript(channel: int, words: Sequence[Spoken], told: bool) -> dict[str, Any]:
    """What is said in one channel, and, if `told`, by whom."""
    found = sentences(words, by_marks=True)
    speakers = speaker_numbers(words) if told else None
    return {
        "channel_id": channel,
        "content_duration_in_milliseconds": sum(s.end - s.start for s in found),
        "text": text_of(words),
        "sentences": [_fun_sentence(n, sentence, speakers) for n, sentence in enumerate(found, 1)],
    }


def _fun_sentence(
    number: int, sentence: Sentence, speakers: dict[str, int] | None
) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "sentence_id": number,
        "begin_time": sentence.start,
        "end_time": sentence.end,
        "text": sentence.text,
    }
    if speakers is not None:
        shown["speaker_id"] = speakers[sentence.words[0].speaker]
    last = len(sentence.words) - 1
    shown["words"] = [
        _fun_word(word, "" if place == last else " ") for place, word in enumerate(sentence.words)
    ]
    return shown


def _fun_word(word: Spoken, blank: str) -> dict[str, Any]:
    """A word with the blank that follows it, which stands behind its mark if it has one."""
    return {
        "begin_time": word.start,
        "end_time": word.end,
        "text": word.text if word.mark else word.text + blank,
        "punctuation": word.mark + blank if word.mark else "",
    }


def _filtered(
    words: Sequence[Spoken], given: Mapping[str, Any], reserved: Iterable[str]
) -> Sequence[Spoken]:
    rules = json.loads(given.get("special_word_filter", "{}"))
    if rules.get("system_reserved_filter", True):
        words = masked(words, reserved)
    words = masked(words, rules.get("filter_with_signed", {}).get("word_list", []))
    return deleted(words, rules.get("filter_with_empty", {}).get("word_list", []))


def _channel(source: Source, whole: Heard, channel: int, listen: Listen) -> Heard:
    if channel >= whole.channels:
        raise Failure("InvalidParameter", f"the file has no channel {channel}")
    return whole if whole.channels == 1 else listen(source, channel=channel)
