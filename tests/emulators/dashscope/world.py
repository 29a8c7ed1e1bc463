"""What the parts of the emulated service share: who called, what may be set, what it heard."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from tests.emulators.dashscope.fields import parse_object
from tests.emulators.dashscope.hosts import Caller, Origin
from tests.emulators.dashscope.ledger import Charge, Ledger
from tests.emulators.dashscope.models import REALTIME, Kind, Model
from tests.emulators.dashscope.refusals import Refusal, invalid, unfit
from tests.emulators.dashscope.sources import (
    DATA_URI_LIMIT,
    Content,
    Lack,
    Missing,
    Sources,
    alike,
    read_data_uri,
)
from tests.emulators.dashscope.uploads import Uploads
from tests.emulators.dashscope.vocabularies import Vocabularies
from tests.emulators.decoding import Source
from tests.emulators.recognizer import Heard, Undecodable
from tests.emulators.service import Received

__all__ = ["Call", "Listen", "Reply", "Switches", "World", "misplaced"]


class Listen(Protocol):
    """What hears: `tests.emulators.recognizer.listen`, or something like it."""

    def __call__(self, source: Source, *, channel: int | None = None) -> Heard: ...


@dataclass(slots=True)
class Switches:
    """Where the vendor's pages disagree, or a test wants another side. May be set at any time."""

    language: str = "en"
    """Detected where no word tells."""
    emotion: str = "neutral"
    finish_reason_is_text: bool = True
    """Native events say `"null"` until the last; else JSON's null."""
    content_is_list: bool = False
    """Chat answers hold `[{"type": "text", "text": …}]` in place of a string."""
    output_in_output: bool = False
    """The flash family answers one level deeper."""
    list_key: Literal["data", "tasks"] = "data"
    scheduled_key: Literal["scheduled_time", "schedule_time"] = "scheduled_time"
    several_urls: bool = False
    """The older rule: up to 100 `file_urls`."""
    dedicated: bool = False
    """Loopback acts like a dedicated host: a job without `parameters` is taken, and fails."""
    reserved_words: set[str] = field(default_factory=lambda: {"damn"})
    """The built-in list of words that become stars."""
    results_by_http: bool = False
    """`transcription_url` starts with `http://`, also in process."""


@dataclass(frozen=True, slots=True)
class Call:
    """A request that was let in."""

    request: Received
    origin: Origin
    caller: Caller
    request_id: str
    now: float

    @property
    def body(self) -> dict[str, Any]:
        """The JSON that was sent; raises a Refusal."""
        kind = self.request.headers.get("content-type", "").split(";")[0].strip().lower()
        if kind != "application/json":
            raise invalid(f"Content-Type must be application/json: {kind!r}")
        return parse_object(self.request.content)

    def asks(self, name: str) -> bool:
        """True if the header `name` says `enable`; other values than that are refused."""
        value = self.request.headers.get(name)
        if value not in {None, "enable"}:
            raise invalid(f"the header {name} must be enable: {value!r}")
        return value is not None


@dataclass(frozen=True, slots=True)
class Reply:
    """JSON, or the events of a stream."""

    body: dict[str, Any] | None = None
    events: tuple[bytes, ...] | None = None


@dataclass(slots=True)
class World:
    """The state of the service."""

    models: dict[str, Model]
    clock: Callable[[], float]
    listen: Listen
    uploads: Uploads
    sources: Sources
    vocabularies: Vocabularies
    ledger: Ledger
    switches: Switches

    def model(self, name: str, caller: Caller) -> Model | None:
        """The model, None for one that is only found on other paths; raises 404."""
        known = self.models.get(name)
        if known is not None and caller.region in known.regions:
            return known
        if name in REALTIME:
            return None
        raise Refusal(404, "ModelNotFound", f"Model can not be found: {name!r}")

    def hear(
        self, location: str, call: Call, model: Model, *, said: str | None = None
    ) -> tuple[Content, Heard]:
        """The audio of a synchronous call, checked against the model's limits.

        `said` is the format that the call names; raises a Refusal.
        """
        content = self._content(location, call, model)
        try:
            heard = self.listen(content.source)
        except Undecodable as error:
            raise unfit(f"The audio cannot be decoded: {error}") from error
        _check_names(content, heard.container, model, said)
        if model.formats and heard.container not in model.formats:
            raise unfit(f"The audio format {heard.container} is not supported.")
        if not model.least_seconds <= heard.duration <= model.most_seconds:
            raise Refusal(
                400,
                "InvalidFile.AudioLengthError",
                "Audio length must be between"
                f" {model.least_seconds:.0f}s and {model.most_seconds:.0f}s.",
            )
        return content, heard

    def charge(self, model: Model, content: Content, seconds: float, call: Call) -> None:
        """Write down what was recognized."""
        self.ledger.charge(
            Charge(model.id, content.sha256, seconds, call.request_id, call.caller.account)
        )

    def _content(self, location: str, call: Call, model: Model) -> Content:
        form = location.split(":", 1)[0].lower()
        form = "url" if form in {"http", "https"} else form
        if form not in model.references:
            raise unfit(_NOT_A_URL)
        if form == "data":
            return _inside(location, model)
        try:
            return self.sources.read(
                location,
                call.caller,
                model,
                resolve=call.asks("x-dashscope-ossresourceresolve"),
            )
        except Missing as error:
            raise _unread(error.lack, model) from error


_NOT_A_URL = "The provided URL does not appear to be valid. Ensure it is correctly formatted."


def misplaced() -> Refusal:
    """A model that is called on the path of others; the mark at the end is a full-width one."""
    return invalid("url error, please check url！")


def _inside(location: str, model: Model) -> Content:
    if len(location) > DATA_URI_LIMIT:
        raise unfit(f"Exceeded limit on max bytes per data-uri item : {DATA_URI_LIMIT}")
    content = read_data_uri(location)
    # Only Omni takes `data:;base64,`, without a type.
    if content is None or (not content.media_type and model.kind is not Kind.OMNI):
        raise unfit(_NOT_A_URL)
    return content


def _unread(lack: Lack, model: Model) -> Refusal:
    match lack:
        case Lack.MALFORMED | Lack.UNESCAPED:
            return unfit(_NOT_A_URL)
        case Lack.NOT_RESOLVED:
            return Refusal(
                400,
                "InvalidParameter.DataInspection",
                "Unable to download the media resource during the data inspection process.",
            )
        case Lack.TOO_LARGE:
            return unfit(f"Exceeded limit on max bytes per file : {model.most_bytes}")
        case _:
            return unfit("Failed to download multimodal content")


def _check_names(content: Content, container: str, model: Model, said: str | None) -> None:
    if content.media_type and not alike(content.media_type, container):
        raise unfit(f"The data is not {content.media_type}, but {container}.")
    if content.suffix is not None and not alike(content.suffix, container):
        raise unfit(f"The file is not {content.suffix!r}, but {container}.")
    if said is not None and not alike(said, container):
        raise unfit(f"The audio format is not {said}, but {container}.")
