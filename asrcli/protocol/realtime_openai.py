"""Live recognition by servers that speak as OpenAI's realtime service does.

They differ in a few names, kept in `DIALECTS`: where the model is named, how the configuration is
nested, the sample rate. That of speaches sends no partials, and counts time anew with each
utterance, so that its times cannot be used. vLLM's server differs in more: see `realtime_vllm`.

There is no finishing message: the last audio is committed and its text awaited. Pages:
https://developers.openai.com/api/docs/guides/realtime-transcription,
https://github.com/speaches-ai/speaches (`docs/usage/realtime-api.md`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from asrcli.protocol.dialogue import Limits, State, join_url, new_id
from asrcli.protocol.reading import text
from asrcli.protocol.realtime import SHORTEST, Realtime, TurnDetection

__all__ = [
    "DIALECTS",
    "VLLM",
    "Dialect",
    "RealtimeOpenAI",
    "RealtimeOpenAIOptions",
    "Shape",
    "dialect_of",
]

VLLM = "vllm"
"""The dialect of `realtime_vllm`, which is not in the table: it differs in more than names."""


class Shape(Enum):
    """How the configuration is laid out."""

    NESTED = "nested"
    """`session.audio.input.…`: OpenAI's since 2025."""
    FLAT = "flat"
    """`input_audio_…` at the top of the session: OpenAI's beta, and who followed it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """How one kind of server differs from the others."""

    shape: Shape
    sample_rate: int
    """Hz of the audio it takes; any other is misheard."""
    update: str = "session.update"
    model_in_query: bool = False
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    pcm: str | None = "pcm16"
    """Its name for the audio; None where naming it is refused."""
    clock_of_item: bool = False
    """Its times are counted from the beginning of the utterance's own audio."""
    session: float | None = 3600.0
    """Seconds after which it closes a connection."""


DIALECTS: Mapping[str, Dialect] = {
    "openai": Dialect(shape=Shape.NESTED, sample_rate=24_000, pcm="audio/pcm"),
    "openai-beta": Dialect(
        shape=Shape.FLAT,
        sample_rate=24_000,
        update="transcription_session.update",
        query={"intent": "transcription"},
        headers={"OpenAI-Beta": "realtime=v1"},
    ),
    "speaches": Dialect(
        shape=Shape.FLAT,
        sample_rate=24_000,
        model_in_query=True,
        query={"intent": "transcription"},
        pcm=None,
        clock_of_item=True,
        session=1800.0,
    ),
}


def dialect_of(greeting: Mapping[str, Any]) -> str | None:
    """The dialect of a server by its first event; None for an event that is no greeting.

    vLLM's has no `session`, that of the beta another name; the flat ones tell their transcription
    at the top of the session.
    """
    kind, session = greeting.get("type"), greeting.get("session")
    if kind == "transcription_session.created":
        return "openai-beta"
    if kind != "session.created":
        return None
    if not isinstance(session, dict):
        return VLLM
    flat = "audio" not in session and "input_audio_transcription" in session
    return "speaches" if flat else "openai"


@dataclass(frozen=True, slots=True, kw_only=True)
class RealtimeOpenAIOptions:
    """What is asked of one session; what is None is left to the server."""

    model: str
    dialect: Dialect = DIALECTS["openai"]
    language: str | None = None
    prompt: str | None = None
    hotwords: tuple[str, ...] = ()
    """Only some models take them."""
    turns: TurnDetection | None = field(
        default_factory=lambda: TurnDetection(threshold=0.5, silence_ms=500)
    )
    """None: the caller says where utterances end."""


class RealtimeOpenAI(Realtime):
    """One session; audio goes out at `sample_rate`, which the dialect sets."""

    errors_pass = True

    def __init__(
        self, options: RealtimeOpenAIOptions, *, make_id: Callable[[], str] = new_id
    ) -> None:
        dialect = options.dialect
        super().__init__(
            sample_rate=dialect.sample_rate,
            limits=Limits(
                session=dialect.session,
                renew_after=dialect.session * 0.8 if dialect.session else None,
            ),
            turns=options.turns,
            headers=dialect.headers,
            make_id=make_id,
        )
        self.clock_of_item = dialect.clock_of_item
        self._options = options
        self._dialect = dialect
        self._committing = False
        self._stopped: set[str] = set()

    def url(self, base: str) -> str:
        """`…/v1/realtime` below `…/v1`, with what the dialect puts into the query."""
        query = dict(self._dialect.query)
        if self._dialect.model_in_query:
            query["model"] = self._options.model
            if self._options.language:
                query["language"] = self._options.language
        return join_url(base, "realtime", query)

    # --- out ------------------------------------------------------------------------------------

    def _configuration(self, _: dict[str, Any]) -> dict[str, Any]:
        session = self._nested() if self._dialect.shape is Shape.NESTED else self._flat()
        return {"type": self._dialect.update, "session": session}

    def _transcription(self) -> dict[str, Any]:
        options = self._options
        asked: dict[str, Any] = {"model": options.model}
        if options.language:
            asked["language"] = options.language
        if options.prompt:
            asked["prompt"] = options.prompt
        if options.hotwords:
            asked["keywords"] = list(options.hotwords)
        return asked

    def _nested(self) -> dict[str, Any]:
        form = {"type": self._dialect.pcm, "rate": self.sample_rate}
        heard = {
            "format": form,
            "transcription": self._transcription(),
            "turn_detection": self._turns.message() if self._turns else None,
        }
        return {"type": "transcription", "audio": {"input": heard}}

    def _flat(self) -> dict[str, Any]:
        session: dict[str, Any] = {
            "input_audio_transcription": self._transcription(),
            "turn_detection": self._turns.message() if self._turns else None,
        }
        if self._dialect.pcm:
            session["input_audio_format"] = self._dialect.pcm
        return session

    def _end(self) -> None:
        if self.manual and self._uncommitted >= SHORTEST:
            self._commit()
        elif not self.manual and self.sent >= SHORTEST:
            # What its own detection has not ended yet; refused, which is no harm, if there is none.
            self._put({"type": "input_audio_buffer.commit"})
            self._committing = True
        self._settled()

    def _settled(self) -> None:
        if self.state is State.FINISHING and not self._waiting:
            self._close()

    @property
    def _waiting(self) -> bool:
        return super()._waiting or self._committing

    # --- in -------------------------------------------------------------------------------------

    def _take_speech_stopped(self, event: dict[str, Any]) -> None:
        self._stopped.add(text(event, "item_id") or "")
        super()._take_speech_stopped(event)

    def _take_committed(self, event: dict[str, Any]) -> None:
        super()._take_committed(event)
        # The server's own commits follow the end of speech; ours does not, so this answers it.
        if (text(event, "item_id") or "") not in self._stopped:
            self._committing = False

    def _take_error(self, event: dict[str, Any]) -> None:
        super()._take_error(event)
        if self._committing and not self.over:
            self._committing = False
            self._settled()
