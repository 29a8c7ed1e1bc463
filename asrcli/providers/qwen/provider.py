"""Qwen Cloud as a provider: each model by the call its kind needs."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar, cast
from urllib.parse import quote

from asrcli.errors import UsageError
from asrcli.media.audio import AudioFile
from asrcli.providers.base import API, Model, OnText, Options, Reference
from asrcli.providers.calls import SENT_TWICE, host_of, marked_as, telling_key
from asrcli.providers.qwen import flash
from asrcli.providers.qwen.failures import read_failure, read_store_failure
from asrcli.providers.qwen.hosts import Hosts
from asrcli.providers.qwen.uploads import Uploads
from asrcli.secret import Secret
from asrcli.transcript import Transcript
from asrcli.transport.connection import Connection
from asrcli.transport.http import HTTPClient, ServerEvent
from asrcli.transport.retry import Held, Retrier

if TYPE_CHECKING:
    import httpx

__all__ = ["CALLABLE", "Qwen"]

T = TypeVar("T")

CALLABLE = frozenset({API.SYNC})
"""The kinds of call that this version makes."""

_URL_CHARACTERS = "!#$%&'()*+,/:;=?@[]~"
"""What stays as it is in a URL: one that is signed must not be encoded a second time."""


class _Once(Retrier):
    """Makes a call once, at once: whoever reads a stream to its end decides on another try."""

    def hold(
        self,
        call: Callable[[], T],
        *,
        ambiguous: bool = False,  # noqa: ARG002
        submit: bool = False,  # noqa: ARG002
        spaced: bool = True,  # noqa: ARG002
    ) -> Held[T]:
        return Held(call(), lambda: None, resent=False)


class Qwen:
    """The service, with one key and one region; `key_place` says where the key was found."""

    name = "qwen"

    def __init__(
        self,
        key: Secret,
        hosts: Hosts,
        connection: Connection,
        *,
        retrier: Retrier,
        key_place: str | None = None,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        headers: dict[str, str | Secret] = {"Authorization": key}
        if hosts.workspace:
            headers["X-DashScope-WorkSpace"] = hosts.workspace

        def client(retrier: Retrier) -> HTTPClient:
            return HTTPClient(
                self.name,
                hosts.native,
                headers,
                connection,
                retrier=retrier,
                read_failure=read_failure,
                transport=transport,
            )

        self._native = client(retrier)
        self._streams = client(_Once())
        self._store = HTTPClient(
            self.name,
            hosts.native,
            {},  # its form carries a signature; a key beside it would be refused, and leak
            connection,
            retrier=retrier,
            read_failure=read_store_failure,
            transport=transport,
        )
        self._uploads = Uploads(self._native, self._store)
        self._retrier = retrier
        self._key_place = key_place

    @property
    def host(self) -> str:
        """Where recordings go."""
        return host_of(self._native.base_url)

    def stores_first(self, audio: AudioFile, model: Model) -> bool:
        """True for what is too large to be part of the call, base64 and all."""
        most = model.max_encoded_bytes
        return most is not None and flash.encoded_size(audio) > most

    def close(self) -> None:
        """Close the connections."""
        for client in (self._native, self._streams, self._store):
            client.close()

    def upload(self, audio: AudioFile, model: Model) -> Reference:
        """Store a file for 48 hours, for this model alone."""
        with telling_key(self._key_place, model, self._native.base_url):
            return self._uploads.store(audio, model)

    def transcribe(
        self,
        audio: AudioFile | Reference,
        model: Model,
        options: Options,
        *,
        on_text: OnText | None = None,
    ) -> Transcript:
        """Recognize one recording by the call that the model's kind needs."""
        if model.api not in CALLABLE:
            raise UsageError(f"{model.id} is called in a way that this version does not know")
        location = self._location(audio, model)
        duration = audio.duration if isinstance(audio, AudioFile) else None
        body = flash.request_body(location, model, options, stream=on_text is not None)
        headers = {"X-DashScope-OssResourceResolve": "enable"} if _stored(location) else {}
        with telling_key(self._key_place, model, self._native.base_url):
            if on_text is None:
                answer = self._native.post(flash.PATH, body, headers=headers)
                with marked_as(answer):
                    return flash.read_transcript(answer, model, options, duration=duration)
            return self._streamed(
                body,
                headers,
                lambda events: flash.read_events(
                    events, model, options, duration=duration, on_text=on_text
                ),
            )

    def _streamed(
        self,
        body: dict[str, Any],
        headers: dict[str, str],
        read: Callable[[Generator[ServerEvent, None, None]], Transcript],
    ) -> Transcript:
        """Read a stream to its end; one that is cut is asked for again, once."""
        headers = {**headers, "X-DashScope-SSE": "enable"}

        def attempt() -> Transcript:
            stream = self._streams.events(flash.PATH, body, headers=headers)
            # Closed at once: an error that is kept would keep the connection open.
            with closing(cast("Generator[ServerEvent, None, None]", stream)) as events:
                return read(events)

        held = self._retrier.hold(attempt, ambiguous=True)
        held.release()
        found = held.value
        return replace(found, warnings=(*found.warnings, SENT_TWICE)) if held.resent else found

    def _location(self, audio: AudioFile | Reference, model: Model) -> str:
        if isinstance(audio, Reference):
            return quote(audio.location, safe=_URL_CHARACTERS, errors="replace")
        if self.stores_first(audio, model):
            return self.upload(audio, model).location
        return flash.data_uri(audio)


def _stored(location: str) -> bool:
    return location.startswith("oss://")
