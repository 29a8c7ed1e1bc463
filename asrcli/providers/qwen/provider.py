"""Qwen Cloud as a provider: each model by the call its kind needs."""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar, cast
from urllib.parse import quote

from asrcli.errors import FileTooLargeError, UsageError
from asrcli.media.audio import AudioFile
from asrcli.providers.base import (
    API,
    Feature,
    Job,
    JobStatus,
    Model,
    OnText,
    Options,
    Reference,
)
from asrcli.providers.calls import SENT_TWICE, host_of, marked_as, telling_key
from asrcli.providers.qwen import flash, messages
from asrcli.providers.qwen.failures import (
    read_failure,
    read_result_failure,
    read_store_failure,
)
from asrcli.providers.qwen.hosts import Hosts
from asrcli.providers.qwen.job_calls import JobCalls
from asrcli.providers.qwen.uploads import Uploads
from asrcli.secret import Secret
from asrcli.transcript import Transcript
from asrcli.transport.connection import Connection
from asrcli.transport.fetch import Fetcher
from asrcli.transport.http import HTTPClient, ServerEvent
from asrcli.transport.retry import Held, Retrier

if TYPE_CHECKING:
    import httpx

__all__ = ["CALLABLE", "JOBS", "Qwen"]

T = TypeVar("T")

JOBS = frozenset({API.JOB, API.JOB_LIST})
"""The kinds of call that are submitted, polled and fetched."""
CALLABLE = frozenset({API.SYNC, API.SYNC_FLASH, API.CHAT, *JOBS})
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
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
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
            read_failure=partial(read_store_failure, now=now),
            transport=transport,
        )

        fetcher = partial(
            Fetcher,
            self.name,
            connection,
            retrier=retrier,
            read_failure=partial(read_result_failure, now=now),
            transport=transport,
        )
        self._compatible = HTTPClient(
            self.name,
            hosts.compatible,
            headers,
            connection,
            retrier=_Once(),
            read_failure=read_failure,
            transport=transport,
        )
        self._uploads = Uploads(self._native, self._store)
        self._jobs = JobCalls(self._native, fetcher, now=now)
        self._retrier = retrier
        self._key_place = key_place

    @property
    def host(self) -> str:
        """Where recordings go."""
        return host_of(self._native.base_url)

    def stores_first(self, audio: AudioFile, model: Model) -> bool:
        """True for what is too large to be part of the call, base64 and all.

        Only where the model reads what is stored; elsewhere `transcribe` refuses the file.
        """
        most = model.max_encoded_bytes
        too_large = most is not None and flash.encoded_size(audio) > most
        return too_large and Feature.UPLOAD in model.features

    def close(self) -> None:
        """Close the connections."""
        self._jobs.close()
        for client in (self._native, self._streams, self._store, self._compatible):
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
        """Recognize one recording by the call that the model's kind needs.

        Models that work by jobs are not called in this way: that is a mistake of ours.
        """
        if model.api in JOBS:
            raise RuntimeError(f"{model.id} works by jobs: submit, poll and fetch")
        with telling_key(self._key_place, model, self._native.base_url):
            match model.api:
                case API.SYNC:
                    return self._by_flash(audio, model, options, on_text)
                case API.SYNC_FLASH:
                    return self._by_messages(audio, model, options, on_text)
                case API.CHAT:
                    # With all that a chat needs, which no other model does.
                    from asrcli.providers.qwen.omni import Omni

                    location = self._location(audio, model)
                    omni = Omni(self._compatible, self._retrier)
                    return omni.transcribe(audio, location, model, options, on_text=on_text)
        raise UsageError(f"{model.id} is called in a way that this version does not know")

    # --- jobs -------------------------------------------------------------------------------------

    def submit(self, reference: Reference, model: Model, options: Options) -> Job:
        """Begin a job; an answer that was lost raises an error with `Retry.AMBIGUOUS`."""
        with telling_key(self._key_place, model, self._native.base_url):
            return self._jobs.submit(_quoted(reference), model, options)

    def find(
        self,
        reference: Reference,
        model: Model,
        *,
        since: datetime,
        known: Collection[str] = (),
    ) -> Job | None:
        """The job for a recording that was submitted since then.

        `known` are ids of jobs of other recordings. Raises ServiceError (`Retry.AMBIGUOUS`) while
        several jobs could be the one: the list does not name recordings.
        """
        with telling_key(self._key_place, model, self._native.base_url):
            return self._jobs.find(_quoted(reference), model, since=since, known=known)

    def poll(self, job: Job, model: Model) -> JobStatus:
        """Ask once how far it is; one that is not there is UNKNOWN, also right after its submit."""
        with telling_key(self._key_place, model, self._native.base_url):
            return self._jobs.poll(job)

    def fetch(self, status: JobStatus, model: Model, options: Options) -> Transcript:
        """Read the result; an expired URL raises RefusedError with the code `ResultExpired`."""
        return self._jobs.fetch(status, model, options)

    def cancel(self, job: Job) -> None:
        """Take back a job that has not begun; raises RefusedError where it is too late."""
        self._jobs.cancel(job)

    # --- one method for each kind of call ---------------------------------------------------------

    def _by_flash(
        self, audio: AudioFile | Reference, model: Model, options: Options, on_text: OnText | None
    ) -> Transcript:
        location, duration = self._location(audio, model), _duration(audio)
        body = flash.request_body(location, model, options, stream=on_text is not None)
        if on_text is not None:
            read = partial(
                flash.read_events,
                model=model,
                options=options,
                duration=duration,
                on_text=on_text,
            )
            return self._streamed(body, _resolving(location), read)
        answer = self._native.post(flash.PATH, body, headers=_resolving(location))
        with marked_as(answer):
            return flash.read_transcript(answer, model, options, duration=duration)

    def _by_messages(
        self, audio: AudioFile | Reference, model: Model, options: Options, on_text: OnText | None
    ) -> Transcript:
        location, duration = self._location(audio, model), _duration(audio)
        body = messages.request_body(audio, location, model, options)
        if on_text is not None:
            read = partial(
                messages.read_events,
                model=model,
                options=options,
                duration=duration,
                on_text=on_text,
            )
            return self._streamed(body, _resolving(location), read)
        answer = self._native.post(flash.PATH, body, headers=_resolving(location))
        with marked_as(answer):
            return messages.read_transcript(answer, model, options, duration=duration)

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
        """Where the service finds the recording; one that is too large inside is uploaded."""
        if isinstance(audio, Reference):
            return _quoted(audio)
        if self.stores_first(audio, model):
            return self.upload(audio, model).location
        most, size = model.max_encoded_bytes, flash.encoded_size(audio)
        if most is not None and size > most:
            raise FileTooLargeError(audio.name, size, most, what="bytes after encoding")
        return flash.data_uri(audio)


def _quoted(reference: Reference) -> str:
    return quote(reference.location, safe=_URL_CHARACTERS, errors="replace")


def _resolving(location: str) -> dict[str, str]:
    """The header without which the service does not look into its own storage."""
    return {"X-DashScope-OssResourceResolve": "enable"} if location.startswith("oss://") else {}


def _duration(audio: AudioFile | Reference) -> float | None:
    return audio.duration if isinstance(audio, AudioFile) else None
