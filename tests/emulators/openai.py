"""Servers that answer `POST /v1/audio/transcriptions`: OpenAI's own, and those that are like it.

Page: https://platform.openai.com/docs/api-reference/audio/createTranscription. It takes what this
page documents and refuses all else; what vLLM, speaches and whisper.cpp do otherwise are switches.

    service = OpenAI()
    service.gives_words = False
    ...
    assert service.billed(recording("welcome").path) == 1
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import httpx

from tests.emulators import recognizer
from tests.emulators.bodies import Part
from tests.emulators.decoding import Undecodable
from tests.emulators.recognizer import Ear, Heard, HeardSentence, HeardWord
from tests.emulators.service import Emulator, Received, Refused

__all__ = ["KEY", "MODEL", "Charge", "ErrorShape", "OpenAI"]

KEY = "sk-canary-4d1f8e2a6b"
MODEL = "whisper-1"
LARGEST = 26_214_400
_ROUTE = "POST /v1/audio/transcriptions"
_GRANULARITIES = "timestamp_granularities[]"
_FIELDS = {"file", "model", "response_format", "language", "prompt", _GRANULARITIES}
_CONTAINERS = {
    "flac": {"flac"},
    "m4a": {"m4a", "mp4"},
    "mp3": {"mp3"},
    "mp4": {"mp4", "m4a"},
    "mpeg": {"mpeg", "mp3"},
    "mpga": {"mp3", "mpeg"},
    "ogg": {"ogg", "opus"},
    "wav": {"wav"},
    "webm": {"webm"},
}
_LANGUAGES = {"en": "english", "de": "german", "fr": "french", "zh": "chinese"}


class ErrorShape(StrEnum):
    """How the server words its refusals."""

    OPENAI = "OpenAI's: an object under `error`"
    VLLM = "vLLM's: an object of its own, with HTTP 200"
    FASTAPI = "FastAPI's: `detail`"
    WHISPER_CPP = "whisper.cpp's: `error` is a text, with HTTP 200"


@dataclass(frozen=True, slots=True)
class Charge:
    """A transcription that was paid for."""

    model: str
    sha256: str
    seconds: float


class OpenAI(Emulator):
    """The server. Its attributes may be set at any time, also while it is served."""

    name = "openai"

    def __init__(
        self,
        *,
        keys: Iterable[str] = (KEY,),
        models: Iterable[str] = (MODEL, "gpt-4o-transcribe"),
        ear: Ear = recognizer.EAR,
        **options: Any,
    ) -> None:
        """`options` are those of `Emulator`: clock, sleep, keep_bodies."""
        super().__init__(**options)
        self.keys = set(keys)
        self.models = set(models)
        self.needs_key = True
        """Without it any key is fine, and none too."""
        self.errors = ErrorShape.OPENAI
        self.gives_words = True
        self.gives_segments = True
        self.words_in_segments = False
        """As whisper.cpp does, whether words were asked for or not."""
        self.always_plain = False
        """Answer `json` where `verbose_json` was asked for."""
        self.verbose_refused_for = {"gpt-4o-transcribe"}
        """Models that know only `json` and `text`."""
        self.largest = LARGEST
        self.text: str | None = None
        """In place of what is heard."""
        self.charges: list[Charge] = []
        self._ear = ear

    # --- for tests ----------------------------------------------------------------------------

    def billed(self, source: Path) -> int:
        """How many calls were paid for with these very bytes."""
        digest = hashlib.sha256(source.read_bytes()).hexdigest()
        return sum(charge.sha256 == digest for charge in self.charges)

    def fields(self, number: int = -1) -> dict[str, list[str]]:
        """The plain fields of a request."""
        found: dict[str, list[str]] = {}
        for part in self.requests[number].form:
            if part.filename is None:
                found.setdefault(part.name, []).append(part.text)
        return found

    # --- the route ----------------------------------------------------------------------------

    def answer(self, request: Received) -> httpx.Response:
        response = self._routed(request)
        response.headers["x-request-id"] = f"req_{request.number:08x}"
        return response

    def malformed(self, request: Received, reason: str) -> httpx.Response:
        return self._error(400, f"Could not parse multipart form: {reason}")

    def _routed(self, request: Received) -> httpx.Response:
        if request.route != _ROUTE:
            if self.errors is ErrorShape.FASTAPI:
                return httpx.Response(404, json={"detail": "Not Found"})
            return self._error(404, f"Invalid URL ({request.route})")
        self._check_key(request)
        if request.url.query:
            raise self._refused(400, f"Unknown parameter: '{request.url.query.decode()}'")
        fields, part = self._form(request)
        self._check_fields(fields)
        heard = self._heard(part)
        self.charges.append(Charge(fields["model"][0], part.sha256, heard.duration))
        return self._said(fields, heard)

    def _check_key(self, request: Received) -> None:
        given = request.headers.get_list("authorization")
        if any(not re.fullmatch(r"Bearer \S+", header) for header in given) or len(given) > 1:
            raise self._refused(401, "Malformed authorization header", code="invalid_api_key")
        if not self.needs_key:
            return
        if not given:
            raise self._refused(401, "You didn't provide an API key.")
        if given[0].removeprefix("Bearer ") not in self.keys:
            said = f"Incorrect API key provided: {given[0][7:]}."
            raise self._refused(401, said, code="invalid_api_key")

    # --- reading requests ---------------------------------------------------------------------

    def _form(self, request: Received) -> tuple[dict[str, list[str]], Part]:
        fields: dict[str, list[str]] = {}
        files = []
        for part in request.form:
            if part.name not in _FIELDS:
                raise self._refused(400, f"Unknown parameter: '{part.name}'", param=part.name)
            if (part.name == "file") != (part.filename is not None):
                raise self._refused(400, f"Expected a file in 'file', not '{part.name}'")
            if part.name == "file":
                files.append(part)
            else:
                fields.setdefault(part.name, []).append(part.text)
        if len(files) != 1:
            raise self._refused(400, "you must provide one file", param="file")
        for name, values in fields.items():
            if len(values) > 1 and name != _GRANULARITIES:
                raise self._refused(400, f"Duplicate parameter: '{name}'", param=name)
        if files[0].size > self.largest:
            said = f"Maximum content size limit ({self.largest}) exceeded"
            raise self._refused(413, f"{said} ({files[0].size} bytes read)")
        return fields, files[0]

    def _check_fields(self, fields: dict[str, list[str]]) -> None:
        (model,) = fields.get("model", [""])
        if not model:
            raise self._refused(400, "you must provide a model parameter", param="model")
        if model not in self.models:
            said = f"The model `{model}` does not exist"
            raise self._refused(404, said, code="model_not_found", param="model")
        (wanted,) = fields.get("response_format", ["json"])
        if wanted not in {"json", "text", "verbose_json"} or (
            wanted == "verbose_json" and model in self.verbose_refused_for
        ):
            said = f"response_format '{wanted}' is not compatible with model '{model}'"
            code = "unsupported_value"
            raise self._refused(400, said, code=code, param="response_format")
        (language,) = fields.get("language", ["en"])
        if not re.fullmatch("[a-z]{2}|yue|haw", language):
            raise self._refused(400, f"Invalid language '{language}'", param="language")
        kinds = fields.get(_GRANULARITIES, [])
        if kinds and (wanted != "verbose_json" or not set(kinds) <= {"word", "segment"}):
            raise self._refused(400, "Invalid timestamp_granularities", param=_GRANULARITIES)

    def _heard(self, part: Part) -> Heard:
        extension = (part.filename or "").rpartition(".")[2].lower()
        if extension not in _CONTAINERS:
            said = f"Invalid file format. Supported formats: {sorted(_CONTAINERS)}"
            raise self._refused(400, said)
        try:
            heard = self._ear.listen(part.content)
        except Undecodable as error:
            said = "Audio file might be corrupted or unsupported"
            raise self._refused(400, said, code="invalid_value", param="file") from error
        if heard.container not in _CONTAINERS[extension]:
            said = "Audio file might be corrupted or unsupported"
            raise self._refused(400, said, code="invalid_value", param="file")
        return heard

    # --- writing answers ----------------------------------------------------------------------

    def _said(self, fields: dict[str, list[str]], heard: Heard) -> httpx.Response:
        text = heard.text if self.text is None else self.text
        (wanted,) = fields.get("response_format", ["json"])
        if wanted == "text":
            return httpx.Response(200, text=f"{text}\n")
        body: dict[str, Any] = {"text": text}
        if wanted == "verbose_json" and not self.always_plain:
            kinds = fields.get(_GRANULARITIES, ["segment"])
            body |= {
                "task": "transcribe",
                "language": _LANGUAGES.get(heard.language or "", "english"),
                "duration": heard.duration,
                "usage": {"type": "duration", "seconds": round(heard.duration)},
            }
            if self.gives_segments and "segment" in kinds:
                body["segments"] = [self._segment(*each) for each in enumerate(heard.sentences)]
            if self.gives_words and not self.words_in_segments and "word" in kinds:
                body["words"] = [_word(word) for word in heard.words]
        return httpx.Response(200, json=body)

    def _segment(self, number: int, sentence: HeardSentence) -> dict[str, Any]:
        segment = {
            "id": number,
            "seek": 0,
            "start": sentence.start,
            "end": sentence.end,
            "text": f" {sentence.text}",
            "tokens": [50_364],
            "temperature": 0.0,
            "avg_logprob": -0.2,
            "compression_ratio": 1.1,
            "no_speech_prob": 0.01,
        }
        if self.gives_words and self.words_in_segments:
            segment["words"] = [{**_word(w), "probability": 0.9} for w in sentence.words]
        return segment

    def _refused(
        self, status: int, said: str, *, code: str | None = None, param: str | None = None
    ) -> Refused:
        return Refused(self._error(status, said, code=code, param=param))

    def _error(
        self, status: int, said: str, *, code: str | None = None, param: str | None = None
    ) -> httpx.Response:
        kind = "invalid_request_error"
        match self.errors:
            case ErrorShape.OPENAI:
                error = {"message": said, "type": kind, "param": param, "code": code}
                return httpx.Response(status, json={"error": error})
            case ErrorShape.VLLM:
                body = {"object": "error", "message": said, "type": "BadRequestError"}
                return httpx.Response(200, json={**body, "param": param, "code": status})
            case ErrorShape.WHISPER_CPP:
                return httpx.Response(200, json={"error": said})
        if status == 400 and param:  # what its validation finds comes as a list
            row = {"type": "value_error", "loc": ["body", param], "msg": said, "input": "x"}
            return httpx.Response(422, json={"detail": [row]})
        return httpx.Response(status, json={"detail": said})


def _word(word: HeardWord) -> dict[str, Any]:
    bare = re.sub(r"[^\w'-]+", "", word.text)  # OpenAI's words have no punctuation
    return {"word": bare, "start": word.start, "end": word.end}
