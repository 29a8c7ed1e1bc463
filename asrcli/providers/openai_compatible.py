"""Any server that answers `POST /audio/transcriptions` as OpenAI's does: vLLM, speaches and others.

Page: https://platform.openai.com/docs/api-reference/audio/createTranscription. Servers differ in
what they leave out of `verbose_json`; what is not there is not made up.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from asrcli.errors import KeyRefusedError, RightsError, UsageError
from asrcli.media.audio import AudioFile
from asrcli.providers.base import Feature, Model, OnText, Options, Reference
from asrcli.providers.calls import file_part, host_of, marked_as, telling_key
from asrcli.providers.openai_answers import FormatRefusedError, read_failure, read_transcript
from asrcli.secret import Secret
from asrcli.transcript import Transcript
from asrcli.transport.connection import Connection
from asrcli.transport.http import Answer, HTTPClient
from asrcli.transport.retry import Retrier

if TYPE_CHECKING:
    import httpx

__all__ = ["OpenAICompatible"]

_PATH = "audio/transcriptions"


class OpenAICompatible:
    """One server, with a key or without one; `key_place` says where that was found.

    The base URL may end with its path (`…/v1`, also `…/v1/audio/transcriptions`); a bare host is
    taken for `…/v1`.
    """

    name = "openai"

    def __init__(
        self,
        key: Secret | None,
        base_url: str,
        connection: Connection,
        *,
        retrier: Retrier,
        key_place: str | None = None,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        headers: dict[str, str | Secret] = {"Authorization": key} if key else {}
        self._http = HTTPClient(
            self.name,
            base_url,
            headers,
            connection,
            retrier=retrier,
            read_failure=read_failure,
            transport=transport,
        )
        self._path = _PATH if urlsplit(self._http.base_url).path.strip("/") else f"v1/{_PATH}"
        self._key_place = key_place if key else None
        self._has_key = bool(key)
        self._plain: set[str] = set()
        """Models for which the server refused `verbose_json`."""

    @property
    def host(self) -> str:
        """Where recordings go."""
        return host_of(self._http.base_url)

    def stores_first(self, audio: AudioFile, model: Model) -> bool:  # noqa: ARG002
        """False: each recording goes with its call."""
        return False

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def upload(self, audio: AudioFile, model: Model) -> Reference:  # noqa: ARG002 - there is none
        """Refused: these servers keep no recordings."""
        raise UsageError("openai keeps no recordings: it takes each one with its call")

    def transcribe(
        self,
        audio: AudioFile | Reference,
        model: Model,
        options: Options,
        *,
        on_text: OnText | None = None,  # noqa: ARG002 - the text comes at once
    ) -> Transcript:
        """Recognize one file, with times if the server gives any."""
        if isinstance(audio, Reference):
            raise UsageError("openai takes files, not references or URLs")
        with self._telling_key(model):
            answer = self._asked(audio, model, options)
        with marked_as(answer):
            return read_transcript(answer, model, options, duration=audio.duration)

    def _asked(self, audio: AudioFile, model: Model, options: Options) -> Answer:
        # Without times in the catalogue, `json` is all that there is: gpt-4o-transcribe.
        if Feature.TIMES not in model.features or model.id in self._plain:
            return self._posted(audio, model, options, "json")
        try:
            return self._posted(audio, model, options, "verbose_json")
        except FormatRefusedError as refused:
            if options.words:  # which come in no other format
                refused.hint = "This server gives no times of words: leave out --words."
                raise
            self._plain.add(model.id)
            with marked_as(Answer(0, possible_duplicate=refused.possible_duplicate)):
                answer = self._posted(audio, model, options, "json")
            return answer.marked(possible_duplicate=refused.possible_duplicate)

    def _posted(self, audio: AudioFile, model: Model, options: Options, wanted: str) -> Answer:
        fields = [("model", model.id), ("response_format", wanted)]
        if options.language:
            fields.append(("language", options.language))
        if options.prompt:
            fields.append(("prompt", options.prompt))
        if options.words and wanted == "verbose_json":
            fields += [("timestamp_granularities[]", kind) for kind in ("segment", "word")]
        return self._http.post_file(self._path, fields, file_part("file", audio), ambiguous=True)

    @contextmanager
    def _telling_key(self, model: Model) -> Iterator[None]:
        """Errors about the key say where it was found, or that there was none."""
        try:
            with telling_key(self._key_place, model, self._http.base_url):
                yield
        except (KeyRefusedError, RightsError) as error:
            if not self._has_key:
                error.hint = "No key was sent: set OPENAI_API_KEY."
            raise
