"""The `*-asr-flash` models on `multimodal-generation`: another body, another answer.

Page: https://www.alibabacloud.com/help/en/model-studio/fun-asr-flash-recorded-speech-recognition-http-api.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from tests.emulators.dashscope.fields import fields_of
from tests.emulators.dashscope.hints import check_hints, favored
from tests.emulators.dashscope.models import Model
from tests.emulators.dashscope.refusals import invalid
from tests.emulators.dashscope.streams import native_event
from tests.emulators.dashscope.text import (
    Sentence,
    Spoken,
    sentences,
    speaker_numbers,
    spelled,
    spoken,
    text_of,
)
from tests.emulators.dashscope.world import Call, Reply, World

__all__ = ["answer"]

_LONG_SECONDS = 60.0
"""From here on a stream has events before the last one."""


def answer(world: World, call: Call, body: dict[str, Any], model: Model, *, stream: bool) -> Reply:
    """The answer to a call whose body is read as far as its names; raises a Refusal."""
    location = _location(body["input"])
    given = _parameters(body.get("parameters", {}), model)
    terms = favored(world, call, model, given)
    content, heard = world.hear(location, call, model, said=given["format"])
    words = spelled(spoken(heard.words), terms)
    world.charge(model, content, heard.duration, call)
    deep = world.switches.output_in_output
    usage = {"duration": math.ceil(heard.duration)}
    speakers = speaker_numbers(words) if given.get("speaker_diarization_enabled") else None
    if not stream or heard.duration < _LONG_SECONDS:
        whole = _sentence(words, 1, end=True, speakers=speakers)
        shown = _body(text_of(words), whole, usage, call, deep=deep)
        return Reply(events=(native_event(1, shown),)) if stream else Reply(shown)
    parts: list[dict[str, Any]] = []
    for number, part in enumerate(sentences(words, by_marks=True) or [Sentence(())], start=1):
        half = part.words[: len(part.words) // 2]
        if half:
            parts.append(_sentence(half, number, end=False, speakers=speakers))
        parts.append(_sentence(part.words, number, end=True, speakers=speakers))
    return Reply(
        events=tuple(
            native_event(number, _body(part["text"], part, usage, call, deep=deep))
            for number, part in enumerate(parts, start=1)
        )
    )


def _location(given: dict[str, Any]) -> str:
    """The audio of the last message; those before it are rounds of the conversation."""
    messages = fields_of(given, "input", {"messages": list})["messages"]
    for message in messages:
        fields_of(message, "message", {"role": str, "content": list})
        if len(message["content"]) != 1:
            raise invalid("a message must have one content")
    roles = [message["role"] for message in messages]
    rounds, left = divmod(len(roles), 2)
    if not left or roles != [*(["user", "assistant"] * rounds), "user"]:
        raise invalid(f"messages must be rounds of user and assistant, then a user: {roles}")
    for message in messages[:-1]:
        kind = "input_text" if message["role"] == "user" else "text"
        item = fields_of(message["content"][0], "content", {"type": str, "text": str})
        if item["type"] != kind:
            raise invalid(f"the type of the content must be {kind}: {item['type']!r}")
    needed = {"type": str, "input_audio": dict}
    item = fields_of(messages[-1]["content"][0], "content", needed)
    if item["type"] != "input_audio":
        raise invalid(f"the last message must hold input_audio: {item['type']!r}")
    location: str = fields_of(item["input_audio"], "input_audio", {"data": str})["data"]
    return location


def _parameters(given: dict[str, Any], model: Model) -> dict[str, Any]:
    allowed: dict[str, Any] = {
        "sample_rate": (str, int),
        "language_hints": list,
        "vocabulary_id": str,
    }
    if model.instant:
        allowed["vocabulary"] = dict
    if model.diarization:
        allowed["speaker_diarization_enabled"] = bool
    fields_of(given, "parameters", {"format": str}, allowed)
    if not str(given.get("sample_rate", "16000")).isdigit():
        raise invalid(f"sample_rate must be a number: {given['sample_rate']!r}")
    check_hints(given, model)
    return given


def _sentence(
    words: Sequence[Spoken], number: int, *, end: bool, speakers: dict[str, int] | None
) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "sentence_id": number,
        "sentence_end": end,
        "begin_time": words[0].start if words else 0,
        "end_time": words[-1].end if words else 0,
        "channel_id": 0,
        "text": text_of(words),
        "words": [
            {
                "begin_time": word.start,
                "end_time": word.end,
                "text": word.text,
                "punctuation": word.mark,
                "fixed": end,
            }
            for word in words
        ],
    }
    if speakers is not None and words:
        shown["speaker_id"] = speakers[words[0].speaker]
    return shown


def _body(
    text: str, sentence: dict[str, Any], usage: dict[str, int], call: Call, *, deep: bool
) -> dict[str, Any]:
    output: dict[str, Any] = {"text": text, "sentence": sentence}
    if deep:
        output = {"output": {"sentence": sentence}}
    return {"request_id": call.request_id, "output": output, "usage": usage}
