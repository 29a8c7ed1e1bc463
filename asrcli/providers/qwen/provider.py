"""Qwen Cloud as a provider: each model by the call its kind needs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from asrcli.errors import UsageError
from asrcli.media.audio import AudioFile
from asrcli.providers.base import API, Model, OnText, Options, Reference
from asrcli.providers.qwen import flash
from asrcli.providers.qwen.failures import read_failure, read_store_failure
from asrcli.providers.qwen.hosts import Hosts
from asrcli.providers.qwen.uploads import Uploads
from asrcli.secret import Secret
from asrcli.transcript import Transcript
from asrcli.transport.connection import Connection
from asrcli.transport.http import HTTPClient
from asrcli.transport.retry import Retrier

if TYPE_CHECKING:
    import httpx

__all__ = ["CALLABLE", "Qwen"]

CALLABLE = frozenset({API.SYNC})
"""The kinds of call that this version makes."""


class Qwen:
    """The service, with one key and one region."""

    name = "qwen"

    def __init__(
        self,
        key: Secret,
        hosts: Hosts,
        connection: Connection,
        *,
        retrier: Retrier,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        headers: dict[str, str | Secret] = {"Authorization": key}
        if hosts.workspace:
            headers["X-DashScope-WorkSpace"] = hosts.workspace
        self._native = HTTPClient(
            self.name,
            hosts.native,
            headers,
            connection,
            retrier=retrier,
            read_failure=read_failure,
            transport=transport,
        )
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

    def close(self) -> None:
        """Close the connections."""
        self._native.close()
        self._store.close()

    def upload(self, audio: AudioFile, model: Model) -> Reference:
        """Store a file for 48 hours, for this model alone."""
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
        if on_text is None:
            answer = self._native.post(flash.PATH, body, headers=headers)
            return flash.read_transcript(answer, model, options, duration=duration)
        headers["X-DashScope-SSE"] = "enable"
        events = self._native.events(flash.PATH, body, headers=headers)
        return flash.read_events(events, model, options, duration=duration, on_text=on_text)

    def _location(self, audio: AudioFile | Reference, model: Model) -> str:
        if isinstance(audio, Reference):
            return audio.location
        most = model.max_encoded_bytes
        if most is not None and flash.encoded_size(audio) > most:
            return self.upload(audio, model).location
        return flash.data_uri(audio)


def _stored(location: str) -> bool:
    return location.startswith("oss://")
