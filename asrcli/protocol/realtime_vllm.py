"""The realtime dialogue of vLLM's server: one text at a time, and the caller says where it ends.

It has no utterances, no ids and no times: a commit that is not final begins a text, one that is
final ends it, and the audio between them is what it is about. Pages:
https://docs.vllm.ai/en/latest/examples/speech_to_text/realtime/ and
https://docs.vllm.ai/en/v0.22.1/api/vllm/entrypoints/speech_to_text/realtime/api_router/.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from asrcli.protocol.dialogue import Limits, State, join_url, new_id
from asrcli.protocol.ledger import Utterance
from asrcli.protocol.reading import text
from asrcli.protocol.realtime import SHORTEST, Realtime
from asrcli.transcript import Timing

__all__ = ["RealtimeVLLM", "RealtimeVLLMOptions"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RealtimeVLLMOptions:
    """What is asked of one session: there is nothing but the model."""

    model: str


class RealtimeVLLM(Realtime):
    """One session; audio at 16 kHz, and none while the text of an utterance is awaited."""

    def __init__(
        self, options: RealtimeVLLMOptions, *, make_id: Callable[[], str] = new_id
    ) -> None:
        super().__init__(sample_rate=16_000, limits=Limits(), turns=None, make_id=make_id)
        self._options = options
        self._number = 1
        self._start = 0.0

    def url(self, base: str) -> str:
        """`…/v1/realtime` below `…/v1`."""
        return join_url(base, "realtime", {})

    @property
    def accepts_audio(self) -> bool:
        """False also while the text of an utterance that was ended is awaited."""
        return self.state is State.RUNNING and not self._commits

    @property
    def patience(self) -> float | None:
        """As everywhere; and a bound on how long the text of an utterance may take."""
        if self.state is State.RUNNING and self._commits:
            return 3 * self.limits.finish_timeout
        return super().patience

    def timed_out(self) -> None:
        """A text that does not come takes a new session."""
        if self.state is State.RUNNING and self._commits:
            self._lost("NoText", "it did not end the text of an utterance")
        else:
            super().timed_out()

    # --- out ------------------------------------------------------------------------------------

    def _configuration(self, _: dict[str, Any]) -> dict[str, Any]:
        return {"type": "session.update", "model": self._options.model}

    def _put_commit(self, *, final: bool) -> None:
        self._put({"type": "input_audio_buffer.commit", "final": final})

    def _end(self) -> None:
        if self._uncommitted >= SHORTEST:
            self._commit()
        self._settled()

    def _settled(self) -> None:
        if self.state is State.FINISHING and not self._commits:
            self._close()

    # --- in -------------------------------------------------------------------------------------

    _TAKERS: ClassVar[dict[str, str]] = Realtime._TAKERS | {
        "transcription.delta": "_take_delta",
        "transcription.done": "_take_done",
    }

    def _take_created(self, event: dict[str, Any]) -> None:
        if self.state is State.STARTING:
            super()._take_created(event)
            # It does not answer the configuration, unless the model is not there.
            self._put_commit(final=False)
            self._listen(self._options.model)

    def _utterance(self) -> Utterance:
        utterance = self._ledger.open(str(self._number))
        assert utterance is not None  # the number goes up with each that is settled
        if utterance.start is None:
            utterance.start, utterance.timing = self._start, Timing.PIECE
        return utterance

    def _take_delta(self, event: dict[str, Any]) -> None:
        utterance = self._utterance()
        utterance.text += text(event, "delta") or ""
        utterance.stable = utterance.text
        self._tell(utterance)

    def _take_done(self, event: dict[str, Any]) -> None:
        if not self._commits:
            self._note("late", "it ended an utterance that was not over")
            return
        self._count(event.get("usage"))
        utterance = self._utterance()
        utterance.start, utterance.end = self._commits.popleft()
        self._start = utterance.end
        utterance.timing = Timing.PIECE
        said = text(event, "text")
        utterance.text = utterance.text if said is None else said
        self._number += 1
        if self.state is State.RUNNING:
            self._put_commit(final=False)
        self._complete(utterance)
