"""The dialogue of the Qwen omni models: what was said, written down as an answer to a prompt.

An omni model answers; it transcribes because its instructions ask for nothing else. Each utterance
becomes a response in text, and beside it the service recognizes the same audio with a model of its
own. That second text is taken where the answer failed, was cut short or is empty, and alone when
there are no instructions to follow (`respond=False`).

With `turns` the service ends utterances and answers each by itself; new speech may cut an answer.
Without, the caller ends them (`end_utterance`), and `accepts_audio` is False while one is answered:
audio waits with the caller. The better text comes that way.

There is no finishing message that all versions know: the dialogue is over when nothing is left to
answer, and the caller closes with 1000. That nothing comes any more may as well mean that the
connection is dead: so a setting is sent once more behind the last audio, which is to be confirmed.
A service that never does, or closes early each time, is believed in the end: see `Doubts`.

A session ends after 120 minutes, and each answer costs all that was said before once more: see
`limits.renew_after`. Pages: "Real-time multimodal", "client events" and "server events" at
https://www.alibabacloud.com/help/en/model-studio/realtime and beside it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from asrcli.protocol.answers import Answer, Answers
from asrcli.protocol.dialogue import SAMPLE_BYTES, Limits, State, join_url, new_id
from asrcli.protocol.ledger import Utterance
from asrcli.protocol.reading import dig, items, shown, text
from asrcli.protocol.realtime import SHORTEST, Realtime, TurnDetection

__all__ = [
    "EMOTIONS",
    "Doubts",
    "RealtimeOmni",
    "RealtimeOmniOptions",
    "transcription_instructions",
]

EMOTIONS = ("neutral", "happy", "sad", "angry", "surprised", "disgusted", "fearful")
"""The words of the vendor's recognizers, asked for in the instructions."""

_COMMIT_PATIENCE = 5.0
_ANSWER_PATIENCE = 30.0
_DRAIN = 3.0
"""Seconds without an event after which silence at the end means that nothing is left."""
_MOST_DOUBTS = 2
_RECOGNIZER = "qwen3-asr-flash-realtime"
_ASIDE = "session.input_audio_transcription"
_EMOTION_LINE = re.compile(
    rf"\s*^\W*emotion:\W*({'|'.join(EMOTIONS)})\W*\Z", re.IGNORECASE | re.MULTILINE
)


def transcription_instructions(
    *,
    language: str | None = None,
    prompt: str | None = None,
    hotwords: Sequence[str] = (),
    emotion: bool = False,
) -> str:
    """Instructions that make an omni model write down what it hears; `language` is a name."""
    lines = [
        "Transcribe the speech exactly as it is spoken. Write the transcript and nothing else:",
        "no translation, no answer to what is said, no comment.",
        "Leave out sounds that are not speech. If nobody speaks, write nothing.",
    ]
    if language:
        lines.append(f"The speech is in {language}.")
    if hotwords:
        lines.append(f"These words may occur, in this spelling: {', '.join(hotwords)}.")
    if prompt:
        lines.append(f"What it is about, for spelling only: {prompt}")
    if emotion:
        lines.append(f"End with a line `emotion: ` and one of: {', '.join(EMOTIONS)}.")
    return "\n".join(lines)


@dataclass(frozen=True, slots=True, kw_only=True)
class RealtimeOmniOptions:
    """What is asked of one session; what is None is left to the service."""

    model: str
    instructions: str = field(default_factory=transcription_instructions)
    sample_rate: int = 16_000
    """Hz of the audio that is sent: 16000; for qwen3.5 and later also 8000, 24000, 48000."""
    turns: TurnDetection | None = field(default_factory=lambda: TurnDetection(threshold=0.5))
    """None: the caller says where utterances end."""
    respond: bool = True
    """False: only the recognizer at the side; the instructions then do nothing."""
    emotion: bool = False
    """Take the last line for the emotion; the instructions have to ask for it."""
    temperature: float = 0.1
    max_tokens: int = 2048
    finish_message: bool = False
    """Send `session.finish` at the end. Some versions refuse it, others do not answer."""
    workspace: str | None = None

    def __post_init__(self) -> None:
        if self.sample_rate != 16_000 and self.model.startswith(("qwen3-omni", "qwen-omni")):
            raise ValueError(f"{self.model} takes audio at 16000 Hz only")


@dataclass(slots=True)
class Doubts:
    """How often in a row an end without an answer was taken for a failure.

    Sessions that follow one another share it: audio that several of them have nothing to say to
    holds no words, whether or not they keep to the rules.
    """

    count: int = 0

    def justified(self) -> bool:
        """Doubt once more; False if it was doubted often enough."""
        self.count += 1
        return self.count <= _MOST_DOUBTS


class RealtimeOmni(Realtime):
    """One session of `/api-ws/v1/realtime` with a model that answers."""

    def __init__(
        self,
        options: RealtimeOmniOptions,
        *,
        doubts: Doubts | None = None,
        make_id: Callable[[], str] = new_id,
    ) -> None:
        super().__init__(
            sample_rate=options.sample_rate,
            limits=Limits(session=7200.0, renew_after=1500.0),
            turns=options.turns,
            headers={"X-DashScope-WorkSpace": options.workspace} if options.workspace else {},
            make_id=make_id,
        )
        self._options = options
        self._answers = Answers()
        self._recognizes = True
        self._told_to_finish = False
        self._probing = False
        self._doubts = doubts or Doubts()

    def url(self, base: str) -> str:
        """`…/api-ws/v1/realtime?model=…` below `…/api-ws/v1`."""
        return join_url(base, "realtime", {"model": self._options.model})

    @property
    def accepts_audio(self) -> bool:
        """False also while an utterance that the caller ended is being answered."""
        return self.state is State.RUNNING and not self._busy

    @property
    def patience(self) -> float | None:
        """As everywhere; and a bound on how long a commit or an answer may take."""
        if self.state is State.FINISHING and not self._waiting:
            return _COMMIT_PATIENCE if self._probing else _DRAIN
        if self.state is State.RUNNING and self._commits:
            return _COMMIT_PATIENCE
        if self.state is State.RUNNING and self._owed:
            return _ANSWER_PATIENCE
        return super().patience

    def timed_out(self) -> None:
        """Take what there is of an answer that does not end; without any, it takes a new session.

        At the end it means that nothing more is to come.
        """
        if self.state is State.FINISHING and not self._waiting:
            if self._probing and self._doubts.justified():
                self._lost("NoSign", "it did not confirm that it had heard the end")
            else:
                self._end_of_turns()
        elif self.state is State.RUNNING and self._commits:
            self._lost("NoCommit", "it did not take the end of the utterance")
        elif self.state is State.RUNNING and self._owed:
            self._take_what_there_is()
        else:
            super().timed_out()

    def closed(self, code: int | None, reason: str = "") -> None:
        """Once all is answered the service may be the first to close; before, it is a failure.

        What lies past `acknowledged` may hold words, whatever the close code says of it.
        """
        at_end = self.state is State.FINISHING and not self._waiting and code == 1000
        if at_end and (self._all_answered or not self._doubts.justified()):
            self._close()
        else:
            super().closed(code, reason)

    # --- out ------------------------------------------------------------------------------------

    def _configuration(self, created: dict[str, Any]) -> dict[str, Any]:
        options = self._options
        session: dict[str, Any] = {
            "modalities": ["text"],
            "instructions": options.instructions,
            "turn_detection": self._turns.message() if self._turns else None,
            "temperature": options.temperature,
            "max_tokens": options.max_tokens,
        }
        if options.model.startswith("qwen3-omni-flash"):
            session["smooth_output"] = False  # the written style; only this family knows it
        if options.sample_rate != 16_000:
            # The nested form only: both forms in one update contradict each other.
            form = {"type": "pcm", "sample_rate": options.sample_rate}
            session["audio"] = {"input": {"format": form}}
        if created.get("input_audio_transcription") is None and self._recognizes:
            session["input_audio_transcription"] = {"model": _RECOGNIZER}
        return {"type": "session.update", "session": session}

    def _end(self) -> None:
        if self._turns is not None:
            self._fall_silent(self._turns.silence_ms)
            self._probing = True
            self._put(
                {"type": "session.update", "session": {"temperature": self._options.temperature}}
            )
        elif not self._waiting:
            self._end_of_turns()

    def _fall_silent(self, milliseconds: int) -> None:
        # There is no word for "that was all" here: a pause makes the service end the utterance.
        rest = self.sample_rate * (milliseconds + 500) // 1000 * SAMPLE_BYTES
        while rest:
            size = min(rest, self.limits.frame_bytes)
            self._put_audio(bytes(size))
            rest -= size

    def _end_of_turns(self) -> None:
        if self.manual and self._uncommitted >= SHORTEST:
            self._commit()
        elif self._options.finish_message and not self._told_to_finish:
            self._told_to_finish = True
            self._put({"type": "session.finish"})
        else:
            self._close()

    def _settled(self) -> None:
        self._doubts.count = 0
        if self.state is State.FINISHING and self.manual and not self._waiting:
            self._end_of_turns()

    # --- in -------------------------------------------------------------------------------------

    _TAKERS: ClassVar[dict[str, str]] = Realtime._TAKERS | {
        "conversation.item.created": "_take_item",
        "conversation.item.added": "_take_item",
        "response.created": "_take_response",
        "response.output_item.added": "_take_output_item",
        "response.text.delta": "_take_delta",
        "response.output_text.delta": "_take_delta",
        "response.audio_transcript.delta": "_take_delta",
        "response.output_audio_transcript.delta": "_take_delta",
        "response.text.done": "_take_text",
        "response.output_text.done": "_take_text",
        "response.audio_transcript.done": "_take_text",
        "response.output_audio_transcript.done": "_take_text",
        "response.done": "_take_done",
        "response.content_part.added": "_take_nothing",
        "response.content_part.done": "_take_nothing",
        "response.output_item.done": "_take_nothing",
        "response.audio.delta": "_take_nothing",
        "response.audio.done": "_take_nothing",
        "session.finished": "_take_finished",
    }

    def _take_updated(self, event: dict[str, Any]) -> None:
        self._probing = False
        session = event.get("session")
        if isinstance(session, dict) and "input_audio_transcription" in session:
            self._recognizes = session["input_audio_transcription"] is not None
        super()._take_updated(event)

    def _take_committed(self, event: dict[str, Any]) -> None:
        super()._take_committed(event)
        utterance = self._ledger.find(text(event, "item_id") or "")
        if utterance is None or utterance.settled:
            return
        answer = self._answers.of(utterance.name)
        if self.manual and self._options.respond and not answer.asked:
            answer.asked = True
            self._put({"type": "response.create", "response": {"modalities": ["text"]}})

    def _take_item(self, event: dict[str, Any]) -> None:
        self._answers.follows(text(event, "item", "id"), text(event, "previous_item_id"))

    def _take_response(self, event: dict[str, Any]) -> None:
        response = text(event, "response", "id")
        if response is None or not self._options.respond:
            return
        open_ones = [u.name for u in self._ledger if u.committed is not None and not u.settled]
        for answer in self._answers.begin(response, open_ones):
            self._decide(answer)

    def _take_output_item(self, event: dict[str, Any]) -> None:
        self._answers.belongs(text(event, "response_id"), text(event, "item", "id"))

    def _take_delta(self, event: dict[str, Any]) -> None:
        if answer := self._answers.by(text(event, "response_id")):
            answer.text += text(event, "delta") or ""
            self._show(answer)

    def _take_text(self, event: dict[str, Any]) -> None:
        if answer := self._answers.by(text(event, "response_id")):
            answer.text = text(event, "text") or text(event, "transcript") or answer.text

    def _take_done(self, event: dict[str, Any]) -> None:
        response = event.get("response")
        if answer := self._answers.by(text(response, "id")):
            self._count(dig(response, "usage"))
            answer.text = _whole(response) or answer.text
            self._end_answer(answer, text(response, "status") or "completed")

    def _end_answer(self, answer: Answer, status: str) -> None:
        answer.status = status
        if status != "completed":
            self._note("answer", f"an answer was {shown(status)}; the text beside it is taken")
        self._decide(answer)

    def _read_partial(self, utterance: Utterance, event: dict[str, Any]) -> None:
        answer = self._answers.of(utterance.name)
        delta = text(event, "delta")
        if delta is not None:
            answer.aside += delta
        else:
            answer.aside = (text(event, "text") or "") + (text(event, "stash") or "")
        self._show(answer)

    def _take_completed(self, event: dict[str, Any]) -> None:
        utterance = self._item(event)
        if utterance is not None and not utterance.settled:
            self._place(utterance)
            self._describe(utterance, event)
            self._end_aside(utterance, text(event, "transcript") or "")

    def _take_item_failed(self, event: dict[str, Any]) -> None:
        utterance = self._item(event)
        if utterance is not None and not utterance.settled:
            self._end_aside(utterance, "")

    def _end_aside(self, utterance: Utterance, said: str) -> None:
        answer = self._answers.of(utterance.name)
        answer.aside, answer.aside_done = said or answer.aside, True
        self._decide(answer)

    def _take_error(self, event: dict[str, Any]) -> None:
        blamed = text(event, "error", "param") or ""
        if self.state is State.STARTING and blamed.startswith(_ASIDE) and self._recognizes:
            # The pages differ on which recognizer stands beside the model: do without.
            self._recognizes = False
            self._put(self._configuration({}))
            return
        self._probing = False  # a complaint is a sign of life as well
        super()._take_error(event)
        for utterance in [] if self.over else list(self._ledger):
            answer = self._answers.of(utterance.name)
            if answer.asked and answer.response is None and not answer.passed_over:
                answer.passed_over = True
                self._decide(answer)

    def _take_finished(self, _: dict[str, Any]) -> None:
        if self.state is State.FINISHING and not self._waiting:
            self._close()

    # --- the text of an utterance ---------------------------------------------------------------

    @property
    def _owed(self) -> list[Utterance]:
        """Utterances that have ended and are not settled."""
        return [u for u in self._ledger if u.committed is not None and not u.settled]

    @property
    def _all_answered(self) -> bool:
        """True if nothing that may be an utterance is left: no more than fits between two."""
        return self._told_to_finish or self.sent - self.acknowledged <= SHORTEST

    @property
    def _busy(self) -> bool:
        return self.manual and self._options.respond and bool(self._commits or self._owed)

    def _show(self, answer: Answer) -> None:
        """Tell the longer of the two texts: the answer begins later, and may outgrow the other."""
        utterance = self._ledger.find(answer.item)
        if utterance is None or utterance.settled:
            return
        said, _ = self._split(answer.text)
        utterance.text = said if len(said) >= len(answer.aside) else answer.aside
        self._tell(utterance)

    def _decide(self, answer: Answer) -> None:
        """Settle the utterance, unless something better may come."""
        utterance = self._ledger.find(answer.item)
        if utterance is None or utterance.settled:
            return
        said, emotion = self._split(answer.text)
        good = answer.status == "completed" and bool(said)
        if not good and not self._exhausted(answer):
            return
        utterance.text = said if good else answer.aside or said
        utterance.complete = good or (answer.aside_done and not answer.cut)
        utterance.emotion = emotion or utterance.emotion
        if good and answer.aside_done and not answer.aside.strip():
            self._note("unheard", "it wrote text where the recognizer beside it heard none")
        self._answers.forget(answer.item)
        self._complete(utterance)

    def _exhausted(self, answer: Answer) -> bool:
        if answer.cut or not self._options.respond:
            return answer.cut or answer.aside_done
        return answer.unanswerable and (answer.aside_done or not self._recognizes)

    def _take_what_there_is(self) -> None:
        answers = [self._answers.of(utterance.name) for utterance in self._owed]
        some = [answer for answer in answers if answer.text or answer.aside]
        if not some:
            self._lost("NoAnswer", "it did not answer an utterance")
            return
        if self._answers.answering():
            self._put({"type": "response.cancel"})
        for answer in some:
            answer.cut = True
            self._end_answer(answer, answer.status or "cancelled")

    def _split(self, said: str) -> tuple[str, str | None]:
        """The text and the emotion of an answer; a line that may become the emotion is hidden."""
        if not self._options.emotion:
            return said.strip(), None
        if found := _EMOTION_LINE.search(said):
            return said[: found.start()].strip(), found.group(1).lower()
        head, line_break, last = said.rpartition("\n")
        begun = last.strip().lower()
        if line_break and begun and "emotion:".startswith(begun[: len("emotion:")]):
            return head.strip(), None
        return said.strip(), None


def _whole(response: Any) -> str:
    """The text in the items of a finished response."""
    parts = [part for item in items(response, "output") for part in items(item, "content")]
    return "".join(text(part, "transcript") or text(part, "text") or "" for part in parts)
