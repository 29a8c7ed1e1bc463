"""What the dialogues in JSON events share: qwen3-asr realtime, qwen omni, servers like OpenAI's.

The service opens with `session.created`, gets its configuration, and says `session.updated`. Audio
goes out in base64. Each utterance is an item: it begins, ends and is committed, its text grows in
events of `input_audio_transcription`, and one of them completes it. Items are told apart by id,
never by the order of events. Pages: "Qwen-ASR realtime client events" and "server events" at
https://help.aliyun.com/en/model-studio/qwen-asr-realtime-interaction-process and beside it;
https://developers.openai.com/api/reference/resources/realtime/server-events.
"""

from __future__ import annotations

import base64
import json
from abc import abstractmethod
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from asrcli.errors import RefusedError, Retry, ServiceError
from asrcli.protocol.dialogue import SAMPLE_BYTES, Dialogue, Limits, State, new_id
from asrcli.protocol.events import Failed, Usage
from asrcli.protocol.failures import judge
from asrcli.protocol.ledger import Utterance
from asrcli.protocol.reading import dig, integer, number, shown, text
from asrcli.transcript import Timing

__all__ = ["Realtime", "TurnDetection"]

SHORTEST = 0.1
"""Seconds: less than this is no utterance, and OpenAI's servers refuse to take it for one."""
_TRANSCRIPTION = "conversation.item.input_audio_transcription."


@dataclass(frozen=True, slots=True)
class TurnDetection:
    """How the service finds where utterances begin and end.

    All is sent always: the pages differ on the defaults.
    """

    kind: str = "server_vad"
    """`semantic_vad` with qwen3.5-omni and later."""
    threshold: float = 0.0
    """-1 to 1 (0 to 1 at OpenAI's): the higher, the louder speech has to be."""
    silence_ms: int = 400
    """Of silence that end an utterance, 200 to 6000."""

    def message(self) -> dict[str, Any]:
        """As `turn_detection` of the configuration."""
        return {
            "type": self.kind,
            "threshold": self.threshold,
            "silence_duration_ms": self.silence_ms,
        }


class Realtime(Dialogue):
    """The common part; `turns` is None when the caller says where utterances end."""

    clock_of_item = False
    errors_pass = False
    """True where any error leaves the session alive, unless its code says otherwise."""

    def __init__(
        self,
        *,
        sample_rate: int,
        limits: Limits,
        turns: TurnDetection | None,
        headers: Mapping[str, str] | None = None,
        make_id: Callable[[], str] = new_id,
    ) -> None:
        super().__init__(sample_rate=sample_rate, limits=limits, headers=headers, make_id=make_id)
        self.manual = turns is None
        self._turns = turns
        self._model: str | None = None
        self._cut = 0
        self._commits: deque[tuple[float, float]] = deque()

    # --- what the caller does -------------------------------------------------------------------

    def end_utterance(self) -> None:
        """Say that the utterance ends here; does nothing when less than 0.1 s was sent of it."""
        if not self.manual:
            super().end_utterance()
        self._expect(State.RUNNING)
        if self._uncommitted >= SHORTEST:
            self._commit()

    # --- out ------------------------------------------------------------------------------------

    @abstractmethod
    def _configuration(self, created: dict[str, Any]) -> dict[str, Any]:
        """The event that configures the session, without its id; `created` is what it is now."""

    @property
    def _uncommitted(self) -> float:
        return (self._sent_bytes - self._cut) / SAMPLE_BYTES / self.sample_rate

    def _put(self, event: dict[str, Any]) -> None:
        self._outbox.append(
            json.dumps({"event_id": f"event_{self._make_id()}"} | event, ensure_ascii=False)
        )

    def _put_commit(self, *, final: bool) -> None:  # noqa: ARG002 - only vLLM's has both
        self._put({"type": "input_audio_buffer.commit"})

    def _put_audio(self, frame: bytes) -> None:
        audio = base64.b64encode(frame).decode("ascii")
        self._put({"type": "input_audio_buffer.append", "audio": audio})

    def _commit(self) -> None:
        self._put_commit(final=True)
        self._commits.append((self._cut / SAMPLE_BYTES / self.sample_rate, self.sent))
        self._cut = self._sent_bytes

    def _begin(self) -> None:
        """Nothing: the service speaks first."""

    # --- in -------------------------------------------------------------------------------------

    _TAKERS: ClassVar[dict[str, str]] = {
        "session.created": "_take_created",
        "transcription_session.created": "_take_created",
        "session.updated": "_take_updated",
        "transcription_session.updated": "_take_updated",
        "error": "_take_error",
        "input_audio_buffer.speech_started": "_take_speech_started",
        "input_audio_buffer.speech_stopped": "_take_speech_stopped",
        "input_audio_buffer.committed": "_take_committed",
        f"{_TRANSCRIPTION}text": "_take_partial",
        f"{_TRANSCRIPTION}delta": "_take_partial",
        f"{_TRANSCRIPTION}completed": "_take_completed",
        f"{_TRANSCRIPTION}failed": "_take_item_failed",
        "conversation.item.created": "_take_nothing",
        "conversation.item.added": "_take_nothing",
        "conversation.item.done": "_take_nothing",
        "input_audio_buffer.cleared": "_take_nothing",
    }
    """The method for each event; a dialogue adds its own."""

    def _take(self, event: dict[str, Any]) -> None:
        name = event.get("type")
        taker = self._TAKERS.get(name) if isinstance(name, str) else None
        if taker is None:
            self._unknown(name)
        else:
            getattr(self, taker)(event)

    def _take_nothing(self, event: dict[str, Any]) -> None:
        """Events that say nothing about the text."""

    def _take_created(self, event: dict[str, Any]) -> None:
        if self.state is not State.STARTING or self.session_id is not None:
            return
        session = dig(event, "session")
        self.session_id = text(session, "id") or text(event, "id") or "unnamed"
        self._model = text(session, "model")
        self._put(self._configuration(session if isinstance(session, dict) else {}))

    def _take_updated(self, event: dict[str, Any]) -> None:
        if self.state is State.STARTING and self.session_id is not None:
            self._listen(text(event, "session", "model") or self._model)

    def _take_speech_started(self, event: dict[str, Any]) -> None:
        if utterance := self._item(event):
            at = self._heard(number(event, "audio_start_ms"))
            if at is not None and utterance.timing is not Timing.PIECE:
                utterance.start, utterance.timing = at, Timing.VAD
            self._speech_starts(utterance)

    def _take_speech_stopped(self, event: dict[str, Any]) -> None:
        if utterance := self._item(event):
            at = self._heard(number(event, "audio_end_ms"))
            if at is not None and utterance.timing is not Timing.PIECE and utterance.end is None:
                utterance.end = at
                self._speech_ends(utterance)

    def _take_committed(self, event: dict[str, Any]) -> None:
        utterance = self._item(event)
        if utterance is not None and utterance.committed is None:
            utterance.committed = max(self.sent - 1.0, 0.0)
            self._place(utterance)

    def _take_partial(self, event: dict[str, Any]) -> None:
        utterance = self._item(event)
        if utterance is None or utterance.settled:
            return
        self._describe(utterance, event)
        self._read_partial(utterance, event)

    def _read_partial(self, utterance: Utterance, event: dict[str, Any]) -> None:
        # One name, two meanings: OpenAI's `delta` is added, DashScope's `text` and `stash` replace.
        delta = text(event, "delta")
        if delta is not None:
            utterance.text = utterance.stable = utterance.text + delta
        else:
            utterance.stable = text(event, "text") or ""
            utterance.text = utterance.stable + (text(event, "stash") or "")
        self._tell(utterance)

    def _take_completed(self, event: dict[str, Any]) -> None:
        utterance = self._item(event)
        self._count(event.get("usage"))
        if utterance is None or utterance.settled:
            return
        self._place(utterance)
        self._describe(utterance, event)
        said = text(event, "transcript")
        utterance.text = utterance.text if said is None else said
        self._complete(utterance)

    def _take_item_failed(self, event: dict[str, Any]) -> None:
        utterance = self._item(event)
        if utterance is None or utterance.settled:
            return
        self._place(utterance)
        reason = shown(text(event, "error", "message") or text(event, "error", "code") or "unsaid")
        self._note("utterance", f"it could not recognize an utterance: {reason}")
        utterance.complete = not utterance.text
        self._complete(utterance)

    def _complete(self, utterance: Utterance) -> None:
        utterance.text = utterance.text.strip()
        self._settle(utterance)
        self._settled()

    def _settled(self) -> None:
        """A final is out; for dialogues that end when there is nothing left to wait for."""

    def _describe(self, utterance: Utterance, event: dict[str, Any]) -> None:
        utterance.language = text(event, "language") or utterance.language
        utterance.emotion = text(event, "emotion") or utterance.emotion

    # --- items ----------------------------------------------------------------------------------

    def _item(self, event: dict[str, Any]) -> Utterance | None:
        """The utterance an event is about; None if its turn is over, or none can be meant."""
        name = text(event, "item_id") or self._only()
        if name is None:
            self._note("item", "it sent an event that is about no utterance")
            return None
        utterance = self._ledger.open(name)
        if utterance is None:
            self._late(name)
        return utterance

    def _place(self, utterance: Utterance) -> None:
        """Where the caller ended utterances, it is known which audio each is about."""
        if self._commits and utterance.timing is not Timing.PIECE:
            utterance.start, utterance.end = self._commits.popleft()
            utterance.committed, utterance.timing = utterance.end, Timing.PIECE

    def _only(self) -> str | None:
        open_ones = [utterance.name for utterance in self._ledger if not utterance.settled]
        return open_ones[0] if len(open_ones) == 1 else None

    def _heard(self, milliseconds: float | None) -> float | None:
        # Where the clock starts anew with each item, its zero is not known here.
        return None if self.clock_of_item else self._seconds(milliseconds)

    @property
    def _waiting(self) -> bool:
        return self._ledger.waiting or bool(self._commits)

    def _count(self, usage: Any) -> None:
        """Add what one answer cost."""
        seconds = number(usage, "seconds")
        tokens_in = _first(integer(usage, "input_tokens"), integer(usage, "prompt_tokens"))
        tokens_out = _first(integer(usage, "output_tokens"), integer(usage, "completion_tokens"))
        self._usage = Usage(
            seconds=_sum(self._usage.seconds, seconds),
            tokens_in=_sum(self._usage.tokens_in, tokens_in),
            tokens_out=_sum(self._usage.tokens_out, tokens_out),
        )

    # --- errors ---------------------------------------------------------------------------------

    def _take_error(self, event: dict[str, Any]) -> None:
        error = event.get("error")
        code = text(error, "code") or text(event, "code") or text(error, "type")
        message = text(error, "message") or (error if isinstance(error, str) else None)
        said = shown(message or "an error, without a reason")
        if self.state is not State.STARTING and self._may_go_on(error, code, said):
            self._note(f"error:{shown(code)}", f"it complained: {said}")
            return
        self._fail(self._judged(code, said, request_id=text(event, "event_id")))

    def _may_go_on(self, error: Any, code: str | None, message: str) -> bool:
        verdict = judge(code, message)
        if verdict is not None and verdict.kind is not RefusedError:
            return False
        return self.errors_pass or text(error, "type") == "invalid_request_error"

    def _lost(self, code: str, message: str) -> None:
        self._fail(Failed(code=code, message=message, kind=ServiceError, retry=Retry.TRANSIENT))


def _first(*numbers: int | None) -> int | None:
    return next((number_ for number_ in numbers if number_ is not None), None)


def _sum(total: Any, more: Any) -> Any:
    return total if more is None else (total or 0) + more
