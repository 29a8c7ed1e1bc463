"""Which model listens, and whether it does so itself or by short clips."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from asrcli.core.ranking import has_models
from asrcli.core.select import Choice, Need, choose
from asrcli.errors import FeatureError, MissingHelperError, UnknownModelError, UsageError
from asrcli.providers import catalogue, openai_live
from asrcli.providers.base import API, Feature, Mode, Model, Options
from asrcli.providers.live import WebSocketService
from asrcli.providers.registry import can_run, engine_problem
from asrcli.settings import Settings
from asrcli.transport.connection import Connection

__all__ = ["Hearing", "choose_hearing", "make_service"]

_LIVE = frozenset({API.TASK, API.REALTIME})
_CLIP_SECONDS = 12.0
_CLIP_BYTES = 400_000


@dataclass(frozen=True, slots=True)
class Hearing:
    """The choice, and how it hears: live over a WebSocket, or clip by clip."""

    choice: Choice
    live: bool

    @property
    def embedded(self) -> bool:
        """True for the engine on this computer."""
        return self.choice.model.api is API.EMBEDDED


def choose_hearing(
    need: Need, *, usable: Mapping[str, bool], dialect: str | None = None
) -> Hearing:
    """The model for live audio; raises what `core.select.choose` raises.

    A model for recordings that is named, and a provider that has no others, is given clips. A
    server of one's own listens live if a `dialect` is named, or the model sounds like that.
    """
    named = dialect is not None or openai_live.sounds_live(need.model or "")
    if need.provider == "openai" and named:
        return _own_server(need, usable)
    if dialect is not None:
        raise UsageError(
            "--dialect is for servers of your own that speak as OpenAI's does",
            hint="Add -p openai, and -m with the name that the server has for its model.",
        )
    if _by_clips(need, usable):
        short = replace(need, realtime=False, duration=_CLIP_SECONDS, size=_CLIP_BYTES)
        return Hearing(choose(short, usable=usable, can_run=_takes_clips), live=False)
    choice = choose(replace(need, realtime=True), usable=usable, can_run=_listens)
    if choice.model.api is API.EMBEDDED and (problem := engine_problem()):
        raise MissingHelperError(problem, hint="Or set DASHSCOPE_API_KEY or ONEMIN_API_KEY.")
    return Hearing(choice, live=choice.model.api in _LIVE)


def _own_server(need: Need, usable: Mapping[str, bool]) -> Hearing:
    """Live, at a server like OpenAI's."""
    if need.wants(Feature.EMOTION):
        raise FeatureError(Feature.EMOTION, "a server like OpenAI's", ["qwen3-asr-flash-realtime"])
    plain = replace(need, realtime=False, features=need.features - {Feature.HOTWORDS})
    choice = choose(plain, usable=usable, can_run=can_run)
    return Hearing(replace(choice, model=openai_live.live_model(choice.model)), live=True)


def _by_clips(need: Need, usable: Mapping[str, bool]) -> bool:
    """True where what is asked for takes recordings only."""
    provider = need.provider
    if not need.automatic:
        return _only_recordings(need.model or "", provider)
    if provider is not None:
        return not has_models(provider, realtime=True)
    ready = [name for name, open_ in usable.items() if open_ and name != "local"]
    return bool(ready) and not any(has_models(name, realtime=True) for name in ready)


def _only_recordings(name: str, provider: str | None) -> bool:
    """True for a model that does not listen, and can be given clips."""
    try:
        found = catalogue.find(name, provider=provider)
        found = found or [catalogue.resolve(name, provider=provider)]
    except UnknownModelError:
        return False  # `choose` says what is wrong with it
    return any(_takes_clips(model) for model in found) and not any(map(_listens, found))


def _listens(model: Model) -> bool:
    return model.api in _LIVE or model.api is API.EMBEDDED


def _takes_clips(model: Model) -> bool:
    return model.mode is Mode.BATCH and can_run(model)


def make_service(
    model: Model,
    options: Options,
    settings: Settings,
    connection: Connection,
    *,
    environ: Mapping[str, str],
    dialect: str | None = None,
) -> WebSocketService:
    """The service that listens with a model over a WebSocket; `dialect` is for one's own servers.

    Raises KeyMissingError, ConfigurationError and FeatureError; and an AsrError of a server that
    is asked for its dialect, and refuses.
    """
    if model.provider == "openai":
        return openai_live.make_live(
            model, options, settings, connection, dialect=dialect or openai_live.AUTO
        )
    from asrcli.providers.qwen.live import make_live

    return make_live(model, options, settings, connection, environ=environ)
