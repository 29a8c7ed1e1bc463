"""`POST …/multimodal-generation/generation`: the path that two families share.

This module reads the body of `qwen3-asr-flash`; `flash.py` has that of the `*-asr-flash` models.
Page: https://help.aliyun.com/zh/model-studio/qwen-asr-api-reference.
"""

from __future__ import annotations

from typing import Any

from tests.emulators.dashscope import flash
from tests.emulators.dashscope.fields import choice, fields_of
from tests.emulators.dashscope.models import Kind, Model
from tests.emulators.dashscope.refusals import Refusal, invalid
from tests.emulators.dashscope.streams import native_event
from tests.emulators.dashscope.text import (
    about_tokens,
    inverse_normalized,
    pieces,
    spoken,
    text_of,
)
from tests.emulators.dashscope.world import Call, Reply, World, misplaced

__all__ = ["CONTEXT_TOKENS", "answer", "check_asr_options", "check_context", "recognize"]

CONTEXT_TOKENS = 10_000


def answer(world: World, call: Call) -> Reply:
    """The answer to a call; raises a Refusal."""
    if "x-dashscope-async" in call.request.headers:
        raise Refusal(403, "AccessDenied", "current user api does not support asynchronous calls.")
    body = call.body
    fields_of(body, "the body", {"model": str, "input": dict}, {"parameters": dict})
    model = world.model(body["model"], call.caller)
    if model is None or model.kind not in {Kind.SYNC, Kind.FLASH}:
        raise misplaced()
    stream = call.asks("x-dashscope-sse")
    if model.kind is Kind.FLASH:
        return flash.answer(world, call, body, model, stream=stream)
    return _answer(world, call, body, model, stream=stream)


def _answer(world: World, call: Call, body: dict[str, Any], model: Model, *, stream: bool) -> Reply:
    context, location = _messages(body["input"])
    given = body.get("parameters", {})
    allowed = {"asr_options": dict, "incremental_output": bool, "result_format": str}
    fields_of(given, "parameters", {}, allowed)
    choice(given.get("result_format", "message"), "result_format", ("message",))
    options = given.get("asr_options", {})
    check_asr_options(options, model)
    text, annotation, seconds = recognize(world, call, model, location, options)
    tokens = {
        "seconds": seconds,
        "input_tokens_details": {"text_tokens": about_tokens(context)},
        "output_tokens_details": {"text_tokens": about_tokens(text)},
    }
    if stream:
        incremental = given.get("incremental_output", False)
        unfinished = "null" if world.switches.finish_reason_is_text else None
        return _events(text, annotation, tokens, call, incremental, unfinished)
    content = [{"text": text}] if text else []
    return Reply(_output(content, annotation, "stop", tokens, call))


def recognize(
    world: World, call: Call, model: Model, location: str, options: dict[str, Any]
) -> tuple[str, dict[str, str], int]:
    """The text, its annotation and the seconds that are charged; charges them."""
    content, heard = world.hear(location, call, model)
    words = spoken(heard.words)
    if options.get("enable_itn"):
        words = inverse_normalized(words)
    seconds = int(heard.duration)
    world.charge(model, content, seconds, call)
    annotation = {
        "type": "audio_info",
        "language": options.get("language") or heard.language or world.switches.language,
        "emotion": heard.emotion or world.switches.emotion,
    }
    return text_of(words), annotation, seconds


def check_asr_options(options: dict[str, Any], model: Model) -> None:
    """Raises a Refusal; `context`, which some send here, is none of the options."""
    allowed = {"language": str, "enable_itn": bool, "enable_lid": bool}
    fields_of(options, "asr_options", {}, allowed)
    if "language" in options:
        choice(options["language"], "asr_options.language", tuple(sorted(model.languages)))


def check_context(text: str) -> None:
    if about_tokens(text) > CONTEXT_TOKENS:
        raise invalid(f"Range of input length should be [1, {CONTEXT_TOKENS}]")


def _messages(given: dict[str, Any]) -> tuple[str, str]:
    """The context, and where the audio is."""
    messages = fields_of(given, "input", {"messages": list})["messages"]
    for message in messages:
        fields_of(message, "message", {"role": str, "content": list})
    roles = [message["role"] for message in messages]
    if roles not in (["user"], ["system", "user"]):
        raise invalid(f"messages must be one user message, or system and user: {roles}")
    texts = [
        fields_of(item, "content", {"text": str})["text"]
        for message in messages[:-1]
        for item in message["content"]
    ]
    if len(messages) == 2 and len(texts) != 1:
        raise invalid("the system message must have one text")
    check_context("".join(texts))
    content = messages[-1]["content"]
    if len(content) != 1:
        raise invalid("the user message must have one audio")
    location: str = fields_of(content[0], "content", {"audio": str})["audio"]
    return "".join(texts), location


def _output(
    content: list[dict[str, str]],
    annotation: dict[str, str],
    finish_reason: str | None,
    usage: dict[str, Any],
    call: Call,
) -> dict[str, Any]:
    message = {"role": "assistant", "content": content, "annotations": [annotation]}
    choices = [{"message": message, "finish_reason": finish_reason}]
    return {"output": {"choices": choices}, "usage": usage, "request_id": call.request_id}


def _events(
    text: str,
    annotation: dict[str, str],
    usage: dict[str, Any],
    call: Call,
    incremental: bool,
    unfinished: str | None,
) -> Reply:
    """An event a word; the first has no content, nor has the last if only news is sent."""
    contents: list[list[dict[str, str]]] = [[]]
    so_far = ""
    for piece in pieces(text):
        so_far += piece
        contents.append([{"text": piece if incremental else so_far}])
    contents.append([] if incremental or not text else [{"text": text}])
    ends = [unfinished] * (len(contents) - 1) + ["stop"]
    return Reply(
        events=tuple(
            native_event(number, _output(content, annotation, end, usage, call))
            for number, (content, end) in enumerate(zip(contents, ends, strict=True), start=1)
        )
    )
