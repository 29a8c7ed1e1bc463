"""The dialogue of qwen3-asr-flash-realtime.

Text comes as a beginning that will not change and a tail that may; the final brings language and
emotion. Times are those of speech found by the service, so a segment has no words. Pages: "Qwen-ASR
realtime client events" and "server events" at
https://www.alibabacloud.com/help/en/model-studio/qwen-asr-realtime-client-events and beside it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

from asrcli.protocol.dialogue import Limits, State, join_url, new_id
from asrcli.protocol.realtime import Realtime, TurnDetection

__all__ = ["RealtimeASR", "RealtimeASROptions"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RealtimeASROptions:
    """What is asked of one session; what is None is left to the service."""

    model: str
    sample_rate: int = 16_000
    """Hz of the audio that is sent: 16000 or 8000."""
    language: str | None = None
    """The model's own code; None finds it, also when it changes."""
    prompt: str | None = None
    """Names, terms, background, at most 10,000 tokens; sent as the corpus."""
    turns: TurnDetection | None = field(default_factory=TurnDetection)
    """None: the caller says where utterances end."""
    workspace: str | None = None


class RealtimeASR(Realtime):
    """One session of `/api-ws/v1/realtime` with a model that only recognizes."""

    def __init__(self, options: RealtimeASROptions, *, make_id: Callable[[], str] = new_id) -> None:
        super().__init__(
            sample_rate=options.sample_rate,
            # No limit of idleness or length is published; an hour is a guess on the safe side.
            limits=Limits(renew_after=3600.0),
            turns=options.turns,
            headers={"X-DashScope-WorkSpace": options.workspace} if options.workspace else {},
            make_id=make_id,
        )
        self._options = options

    def url(self, base: str) -> str:
        """`…/api-ws/v1/realtime?model=…` below `…/api-ws/v1`."""
        return join_url(base, "realtime", {"model": self._options.model})

    def _configuration(self, _: dict[str, Any]) -> dict[str, Any]:
        transcription: dict[str, Any] = {}
        if self._options.language:
            transcription["language"] = self._options.language
        if self._options.prompt:
            transcription["corpus"] = {"text": self._options.prompt}
        session: dict[str, Any] = {
            "modalities": ["text"],
            "input_audio_format": "pcm",  # `pcm16` is refused here
            "sample_rate": self.sample_rate,
            "turn_detection": self._turns.message() if self._turns else None,
            # An object also when it is empty: null may mean that nothing is to be recognized.
            "input_audio_transcription": transcription,
        }
        return {"type": "session.update", "session": session}

    def _end(self) -> None:
        if self.manual and self._uncommitted:
            self._commit()
        self._put({"type": "session.finish"})

    _TAKERS: ClassVar[dict[str, str]] = Realtime._TAKERS | {"session.finished": "_take_finished"}

    def _take_finished(self, _: dict[str, Any]) -> None:
        if self.state is State.FINISHING:
            self._close()
        else:
            self._lost("SessionEnded", "it ended the session before all was sent")
