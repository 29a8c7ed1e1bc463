"""Live recognition by servers of one's own that speak as OpenAI's realtime service, or vLLM, does.

They are told apart by the first thing that they say, for which one connection is opened, unless
whoever runs one names the dialect.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from urllib.parse import urlsplit

from asrcli.errors import AsrError, ConfigurationError, FeatureError, Retry
from asrcli.protocol.dialogue import Dialogue
from asrcli.protocol.reading import object_of
from asrcli.protocol.realtime_openai import (
    DIALECTS,
    VLLM,
    RealtimeOpenAI,
    RealtimeOpenAIOptions,
    dialect_of,
)
from asrcli.protocol.realtime_vllm import RealtimeVLLM, RealtimeVLLMOptions
from asrcli.providers.base import API, Feature, Mode, Model, Options
from asrcli.providers.live import WebSocketService, check_websocket_url
from asrcli.settings import Settings
from asrcli.transport.connection import Connection

__all__ = ["AUTO", "DIALECT_NAMES", "dialogue_for", "live_model", "make_live", "sounds_live"]

AUTO = "auto"
"""The dialect that the server is found to speak."""
DIALECT_NAMES = (*DIALECTS, VLLM)
"""What else `dialect` may be."""
_USUAL = "openai"
_GREETING = 5.0
"""Seconds for a server to say its first word."""
_OWN_TURNS = "gpt-realtime-whisper"
"""The model for which the client has to say where utterances end, and which takes no prompt.
https://developers.openai.com/api/docs/guides/realtime-transcription"""
_KEYWORDS = ("gpt-transcribe", "gpt-live-transcribe")
"""The models of OpenAI's that take keywords; the same page."""


def sounds_live(model: str) -> bool:
    """True for an id by which servers of this kind call a model for live audio."""
    name = model.lower()
    return "realtime" in name or name.startswith("gpt-live-")


def live_model(model: Model) -> Model:
    """The model as one that listens: any of such a server may, which knows best."""
    features = model.features - {Feature.TIMES, Feature.WORDS}
    return replace(model, mode=Mode.REALTIME, api=API.REALTIME, features=features)


def make_live(
    model: Model,
    options: Options,
    settings: Settings,
    connection: Connection,
    *,
    dialect: str = AUTO,
) -> WebSocketService:
    """The server that listens with `model`; for `auto` it is asked for its dialect.

    Raises ConfigurationError without a host or for an unknown dialect, FeatureError for what the
    dialect cannot ask, and an AsrError if the server refuses to be asked.
    """
    base = settings.base_url("openai")
    if base is None:
        raise ConfigurationError(
            "openai has no base URL", hint="Set OPENAI_BASE_URL or --base-url: https://HOST/v1."
        )
    key = settings.key("openai")
    url = check_websocket_url(base.value, insecure_http=connection.insecure_http)
    service = WebSocketService(
        name="openai",
        model=model.id,
        base_url=url if urlsplit(url).path.strip("/") else f"{url}/v1",
        make_dialogue=dialogue_for(model, Options(), _USUAL if dialect == AUTO else dialect),
        connection=connection,
        key=key.value if key else None,
        key_place=key.place if key else None,
    )
    spoken = _told_dialect(service) if dialect == AUTO else dialect
    return replace(service, make_dialogue=dialogue_for(model, options, spoken))


def _told_dialect(service: WebSocketService) -> str:
    """What the server is found to speak; the usual where it does not say.

    Raises an AsrError if trying again would not help.
    """
    rung = threading.Event()
    try:
        line = service.connect(service.make_dialogue(), rung.set)
    except AsrError as error:
        if error.retry is Retry.NEVER:
            if error.http_status != 401:
                # Some want the model in the address, and say no to all else.
                error.hint = error.hint or "It may speak another dialect: name it with --dialect."
            raise
        return _USUAL
    until = time.monotonic() + _GREETING
    try:
        while line.closed is None and (left := until - time.monotonic()) > 0:
            for message in line.messages():
                event = object_of(message) if isinstance(message, str) else None
                if event is not None and (found := dialect_of(event)):
                    return found
            rung.wait(left)
            rung.clear()
    finally:
        line.close()
    return _USUAL


def dialogue_for(model: Model, options: Options, dialect: str) -> Callable[[], Dialogue]:
    """What makes a dialogue for each connection; raises ConfigurationError and FeatureError."""
    if dialect not in DIALECT_NAMES:
        raise ConfigurationError(
            f"there is no dialect {dialect!r}",
            hint=f"There are {AUTO}, {', '.join(DIALECT_NAMES)}.",
        )
    if dialect == VLLM:
        _refuse_on_vllm(model, options)
        plain = RealtimeVLLMOptions(model=model.id)
        return lambda: RealtimeVLLM(plain)
    own_turns = model.id.startswith(_OWN_TURNS)
    if options.prompt and own_turns:
        raise _lacking("a prompt", model.id, "gpt-live-transcribe takes one.")
    if options.hotwords and model.id.startswith("gpt-") and not model.id.startswith(_KEYWORDS):
        raise _lacking("hotwords", model.id, f"{' and '.join(_KEYWORDS)} take them.")
    asked = RealtimeOpenAIOptions(
        model=model.id,
        dialect=DIALECTS[dialect],
        language=options.language,
        prompt=options.prompt,
        hotwords=tuple(word.text for word in options.hotwords),
    )
    if own_turns:
        asked = replace(asked, turns=None)
    return lambda: RealtimeOpenAI(asked)


def _refuse_on_vllm(model: Model, options: Options) -> None:
    """There is nothing in its dialogue to ask for."""
    for wanted, name in (
        (options.language, "a choice of language (-l)"),
        (options.prompt, "a prompt"),
        (options.hotwords, "hotwords"),
    ):
        if wanted:
            hint = f"Servers of the other dialects can: {', '.join(DIALECTS)}."
            raise _lacking(name, f"{model.id} by the dialect of vLLM", hint)


def _lacking(feature: str, where: str, hint: str) -> FeatureError:
    error = FeatureError(feature, where, [])
    error.hint = hint
    return error
