"""Live recognition at Qwen Cloud: which dialogue a model speaks, what is asked of it, and where.

Pages: https://www.alibabacloud.com/help/en/model-studio/fun-asr-realtime-websocket-api,
…/qwen-asr-realtime-client-events and …/realtime.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from urllib.parse import urlsplit, urlunsplit

from asrcli.errors import FeatureError
from asrcli.protocol.dialogue import Dialogue
from asrcli.protocol.realtime_asr import RealtimeASR, RealtimeASROptions
from asrcli.protocol.realtime_omni import (
    Doubts,
    RealtimeOmni,
    RealtimeOmniOptions,
    transcription_instructions,
)
from asrcli.protocol.run_task import RunTask, RunTaskOptions
from asrcli.providers.base import API, Feature, Model, Options
from asrcli.providers.live import WebSocketService, check_websocket_url
from asrcli.providers.qwen.hosts import Hosts, find_hosts
from asrcli.providers.qwen.jobs import instant_hotwords
from asrcli.secret import Secret
from asrcli.settings import Found, Settings
from asrcli.transport.connection import Connection

__all__ = ["dialogue_for", "find_websocket", "make_live"]

_VARIABLE = "DASHSCOPE_WEBSOCKET_BASE_URL"
_PATH = "/api-ws/v1"
_NATIVE = "/api/v1"
_FLAGS = {"--base-url", "--region"}


def make_live(
    model: Model,
    options: Options,
    settings: Settings,
    connection: Connection,
    *,
    environ: Mapping[str, str],
) -> WebSocketService:
    """The service that listens with `model`; checked already by `core.select`.

    Raises KeyMissingError, ConfigurationError for a host that cannot be used, and FeatureError for
    what the live dialogue of the model cannot carry.
    """
    hosts = find_hosts(settings)
    key: Found[Secret] = settings.require_key("qwen")
    base = find_websocket(settings, hosts, environ)
    return WebSocketService(
        name="qwen",
        model=model.id,
        base_url=check_websocket_url(base, insecure_http=connection.insecure_http),
        make_dialogue=dialogue_for(model, options, workspace=hosts.workspace),
        connection=connection,
        key=key.value,
        key_place=key.place,
    )


def find_websocket(settings: Settings, hosts: Hosts, environ: Mapping[str, str]) -> str:
    """The base URL `…/api-ws/v1`: flags, then the variable of its own, then beside the others.

    A variable that ends in one of the service's endpoints (`/inference`) is understood too.
    """
    flags = (settings.base_url("qwen"), settings.region())
    if not any(found and found.place in _FLAGS for found in flags):
        for name in (f"ASRCLI_{_VARIABLE}", _VARIABLE):
            if value := environ.get(name, "").strip():
                return _whole(value)
    return hosts.native.removesuffix(_NATIVE) + _PATH


def dialogue_for(
    model: Model, options: Options, *, workspace: str | None = None
) -> Callable[[], Dialogue]:
    """What makes a dialogue for each connection; raises FeatureError for what it cannot ask."""
    if model.api is API.TASK:
        asked = _task(model, options, workspace)
        return lambda: RunTask(asked)
    if model.api is not API.REALTIME:
        raise RuntimeError(f"{model.id} does not listen live")
    if "omni" in model.family:
        wanted = _omni(model, options, workspace)
        doubts = Doubts()
        return lambda: RealtimeOmni(wanted, doubts=doubts)
    if options.hotwords or options.vocabulary:
        raise FeatureError(Feature.HOTWORDS, model.id, ["fun-asr-realtime"])
    plain = RealtimeASROptions(
        model=model.id, language=options.language, prompt=options.prompt, workspace=workspace
    )
    return lambda: RealtimeASR(plain)


def _task(model: Model, options: Options, workspace: str | None) -> RunTaskOptions:
    if options.hotwords and model.family != "qwen-audio":
        # The others know lists of hotwords only, which are made before.
        raise RuntimeError(f"{model.id} takes a vocabulary, and no hotwords in the request")
    return RunTaskOptions(
        model=model.id,
        sample_rate=8_000 if "-8k-" in model.id else 16_000,
        languages=(options.language,) if options.language else (),
        vocabulary_id=options.vocabulary,
        vocabulary=instant_hotwords(model, options) if options.hotwords else {},
        prompt=options.prompt,
        itn=options.itn if Feature.ITN in model.features else None,
        workspace=workspace,
    )


def _omni(model: Model, options: Options, workspace: str | None) -> RealtimeOmniOptions:
    instructions = transcription_instructions(
        language=options.language,  # a name: these models have no field for it
        prompt=options.prompt,
        hotwords=[word.text for word in options.hotwords],
        emotion=options.emotion,
    )
    return RealtimeOmniOptions(
        model=model.id, instructions=instructions, emotion=options.emotion, workspace=workspace
    )


def _whole(url: str) -> str:
    """A bare host is taken for the folder of the WebSockets on it."""
    parts = urlsplit(url)
    folder = parts.path.rstrip("/")
    for endpoint in ("/inference", "/realtime"):
        folder = folder.removesuffix(endpoint)
    return urlunsplit((parts.scheme, parts.netloc, folder or _PATH, parts.query, ""))
