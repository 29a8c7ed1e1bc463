"""Live recognition by servers of one's own that speak as OpenAI's realtime service, or vLLM, does.

They cannot be told apart before the first word, so the dialect is named by whoever runs one.
"""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlsplit

from asrcli.errors import ConfigurationError, FeatureError
from asrcli.protocol.dialogue import Dialogue
from asrcli.protocol.realtime_openai import DIALECTS, RealtimeOpenAI, RealtimeOpenAIOptions
from asrcli.protocol.realtime_vllm import RealtimeVLLM, RealtimeVLLMOptions
from asrcli.providers.base import Model, Options
from asrcli.providers.live import WebSocketService, check_websocket_url
from asrcli.settings import Settings
from asrcli.transport.connection import Connection

__all__ = ["DIALECT_NAMES", "dialogue_for", "make_live"]

_VLLM = "vllm"
DIALECT_NAMES = (*DIALECTS, _VLLM)
"""What `dialect` may be."""


def make_live(
    model: Model,
    options: Options,
    settings: Settings,
    connection: Connection,
    *,
    dialect: str = "openai",
) -> WebSocketService:
    """The server that listens with `model`.

    Raises ConfigurationError without a host or for an unknown dialect, and FeatureError for what
    the dialect cannot ask.
    """
    base = settings.base_url("openai")
    if base is None:
        raise ConfigurationError(
            "openai has no base URL", hint="Set OPENAI_BASE_URL or --base-url: https://HOST/v1."
        )
    key = settings.key("openai")
    url = check_websocket_url(base.value, insecure_http=connection.insecure_http)
    return WebSocketService(
        name="openai",
        model=model.id,
        base_url=url if urlsplit(url).path.strip("/") else f"{url}/v1",
        make_dialogue=dialogue_for(model, options, dialect),
        connection=connection,
        key=key.value if key else None,
        key_place=key.place if key else None,
    )


def dialogue_for(model: Model, options: Options, dialect: str) -> Callable[[], Dialogue]:
    """What makes a dialogue for each connection; raises ConfigurationError and FeatureError."""
    if dialect == _VLLM:
        for wanted, name in ((options.prompt, "prompt"), (options.hotwords, "hotwords")):
            if wanted:
                raise FeatureError(name, f"{model.id} on vLLM", [])
        plain = RealtimeVLLMOptions(model=model.id)
        return lambda: RealtimeVLLM(plain)
    if dialect not in DIALECTS:
        raise ConfigurationError(
            f"there is no dialect {dialect!r}", hint=f"There are {', '.join(DIALECT_NAMES)}."
        )
    asked = RealtimeOpenAIOptions(
        model=model.id,
        dialect=DIALECTS[dialect],
        language=options.language,
        prompt=options.prompt,
        hotwords=tuple(word.text for word in options.hotwords),
    )
    return lambda: RealtimeOpenAI(asked)
