"""What every provider is: something that turns a recording into a `Transcript`.

A provider builds a request and reads an answer. It neither prints nor decides what may be sent:
`core.select` and `core.prepare` have checked model, language, features, size and length before.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from asrcli.errors import AsrError
from asrcli.media.audio import AudioFile
from asrcli.transcript import Transcript

__all__ = [
    "API",
    "Feature",
    "Hotword",
    "Job",
    "JobProvider",
    "JobState",
    "JobStatus",
    "Mode",
    "Model",
    "OnText",
    "Options",
    "Price",
    "Provider",
    "Reference",
]


class Mode(StrEnum):
    """How audio reaches a model."""

    BATCH = "batch"
    REALTIME = "realtime"


class API(StrEnum):
    """How a model is called; the kinds of the services' own documents."""

    ONEMIN = "1min"
    """1min.ai: `POST /api/assets`, then `POST /api/features`."""
    SYNC = "sync-mm"
    """DashScope `multimodal-generation`, body of qwen3-asr-flash."""
    SYNC_FLASH = "sync-mm-f"
    """DashScope `multimodal-generation`, body with `input_audio` and `parameters.format`."""
    CHAT = "chat-omni"
    """OpenAI-compatible chat completions with audio, streamed."""
    JOB = "async-1"
    """DashScope transcription job with `file_url`."""
    JOB_LIST = "async-n"
    """DashScope transcription job with `file_urls`."""
    TASK = "ws-task"
    """WebSocket, run-task dialogue."""
    REALTIME = "ws-rt"
    """WebSocket, events like those of OpenAI Realtime."""
    OPENAI = "openai"
    """`POST /audio/transcriptions`."""
    EMBEDDED = "embedded"
    """An engine in this process; nothing leaves the machine."""


class Feature(StrEnum):
    """What can be asked of a model; the words of the command line and of the catalogue."""

    ITN = "itn"
    """Inverse text normalization that can be switched on and off."""
    PROMPT = "prompt"
    """Text before the audio, as context."""
    HOTWORDS = "hotwords"
    EMOTION = "emotion"
    DIARIZE = "diarize"
    TIMES = "times"
    """Start and end of segments, from the model."""
    WORDS = "words"
    """Start and end of words, from the model."""
    CHANNELS = "channels"
    """Chooses channels at the service, several at once."""
    DETECT = "detect"
    """Finds the language by itself."""
    URL = "url"
    """Takes an http(s) URL in place of a file."""
    UPLOAD = "upload"
    """Takes a reference from `asrcli upload`."""
    PARTIALS = "partials"
    """Sends text while it is still working."""


@dataclass(frozen=True, slots=True)
class Price:
    """A list price in USD, as published; `source` says where and when."""

    source: str
    date: str
    per_second: float | None = None
    per_million_tokens_in: float | None = None
    per_million_tokens_out: float | None = None


@dataclass(frozen=True, slots=True)
class Model:
    """One model at one provider, as the catalogue has it. Limits are None where none is known."""

    id: str
    provider: str
    family: str
    mode: Mode
    api: API
    features: frozenset[Feature] = frozenset()
    approximate: frozenset[Feature] = frozenset()
    """Features that are only asked for in the prompt, without a guarantee."""
    itn_default: bool | None = None
    """What the model does when nobody says; None if it depends."""
    languages: tuple[str, ...] = ()
    """The model's own codes; empty if any name of a language may be asked for."""
    max_bytes: int | None = None
    """Of a file that is uploaded or fetched."""
    max_encoded_bytes: int | None = None
    """Of a file inside the request, after base64, with its `data:` prefix."""
    max_seconds: float | None = None
    min_seconds: float | None = None
    formats: frozenset[str] = frozenset()
    """Containers, by the names of `media.formats`; empty if whatever the engine can decode."""
    price: Price | None = None
    max_hotwords: int | None = None
    requests_per_minute: int | None = None
    """What the vendor allows of the calls that cost: requests, or submits of jobs."""
    regions: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    description: str = ""
    sources: tuple[str, ...] = ()
    """Pages that these facts are from."""
    known: bool = True
    """False for an id that is not in the catalogue, but whose family is."""


@dataclass(frozen=True, slots=True)
class Hotword:
    """A word or phrase to favor."""

    text: str
    weight: int | None = None
    """1 to 5, more is stronger, 50 where a model has super hotwords; None is the usual one."""
    language: str | None = None
    """A code of the model's own."""


@dataclass(frozen=True, slots=True)
class Options:
    """What is asked of one recognition; everything unset is left to the model."""

    language: str | None = None
    """The model's own code, already mapped by `core.select`."""
    itn: bool | None = None
    prompt: str | None = None
    words: bool = False
    emotion: bool = False
    diarize: bool = False
    speakers: int | None = None
    """How many there are, as a hint; only with `diarize`."""
    channels: tuple[int, ...] = ()
    """Channels, from 0, that the service takes apart; empty is the model's own default."""
    hotwords: tuple[Hotword, ...] = ()
    """For models that take them inside the request, as text."""
    vocabulary: str | None = None
    """The id of a list of hotwords kept at the service, made for exactly this model."""


@dataclass(frozen=True, slots=True)
class Reference:
    """A recording that already lies at a service, or at a URL."""

    provider: str | None
    """The only one that can read it; None for a URL."""
    location: str
    """What the service takes: a path, an `oss://` or an `https://` URL."""
    expires: datetime | None = None

    def __str__(self) -> str:
        return f"onemin:{self.location}" if self.provider == "onemin" else self.location


class JobState(StrEnum):
    """How far a job is; the services' own words in small letters."""

    PENDING = "pending"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELED = "canceled"
    UNKNOWN = "unknown"
    """It does not exist, has expired at the service, or belongs to another account or region."""
    UNSEEN = "unseen"
    """A word that this version does not know: not the end."""

    @property
    def ended(self) -> bool:
        """True when another poll would say the same."""
        return self not in {JobState.PENDING, JobState.RUNNING, JobState.UNSEEN}


@dataclass(frozen=True, slots=True)
class Job:
    """Work at a service that is asked after until it has ended."""

    id: str
    provider: str
    model: str
    host: str
    """The base URL it was submitted to; other regions do not know it."""
    location: str | None = field(default=None, repr=False)
    """The recording, as the service was told of it; it may be signed."""
    unproven: bool = False
    """It was found in a list that names no recordings: its result has to name this one."""


@dataclass(frozen=True, slots=True)
class JobStatus:
    """What one poll said."""

    state: JobState
    said: str = ""
    """The service's own word for the state."""
    result_url: str | None = field(default=None, repr=False)
    """Where the transcript lies once it succeeded; signed, and valid for about a day."""
    location: str | None = field(default=None, repr=False)
    """The recording that the result has to name; None where the job's id is proof enough."""
    no_speech: bool = False
    """True when it succeeded, and nobody spoke: there is no result to fetch."""
    error: AsrError | None = None
    """Why it failed."""
    billed_seconds: float | None = None
    request_id: str | None = None


OnText = Callable[[str], None]
"""Called with the whole text so far, while the service is still sending it."""


class Provider(Protocol):
    """A service or an engine. One instance serves many threads."""

    name: str

    @property
    def host(self) -> str:
        """The host that recordings go to; empty if they stay here."""
        ...

    def stores_first(self, audio: AudioFile, model: Model) -> bool:
        """True for a file that has to be uploaded before the call that recognizes it."""
        ...

    def transcribe(
        self,
        audio: AudioFile | Reference,
        model: Model,
        options: Options,
        *,
        on_text: OnText | None = None,
    ) -> Transcript:
        """Recognize one recording; raises an `AsrError`."""
        ...

    def upload(self, audio: AudioFile, model: Model) -> Reference:
        """Store a file at the service; raises an `AsrError`."""
        ...

    def close(self) -> None:
        """Let go of connections and processes; the instance is not used again."""
        ...


class JobProvider(Provider, Protocol):
    """A service that also works by jobs."""

    def submit(self, reference: Reference, model: Model, options: Options) -> Job:
        """Begin a job for one recording that lies there or at a URL.

        Never sent twice: an answer that was lost raises an error with `Retry.AMBIGUOUS`.
        """
        ...

    def find(
        self,
        reference: Reference,
        model: Model,
        *,
        since: datetime,
        known: Collection[str] = (),
    ) -> Job | None:
        """The job for a recording that was submitted since then, if the service lists one."""
        ...

    def poll(self, job: Job, model: Model) -> JobStatus:
        """Ask once how far it is; a job that failed is a status, not an error."""
        ...

    def fetch(self, status: JobStatus, model: Model, options: Options) -> Transcript:
        """Read the result, without the key; raises an `AsrError`, RefusedError if it expired."""
        ...

    def cancel(self, job: Job) -> None:
        """Take back a job that has not begun; raises an `AsrError` where it is too late."""
        ...
