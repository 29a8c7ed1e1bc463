"""The live loop against the emulated services: rows W01 to W14, W16, W17 and G08."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from asrcli.core.healing import Healing, HealingPolicy
from asrcli.core.live import Live
from asrcli.core.live_events import Final, Gap, LiveEvent, LiveState, Note, Outcome, Partial, Status
from asrcli.errors import (
    KeyRefusedError,
    MicrophoneError,
    NetworkError,
    RateLimitedError,
    RightsError,
    ServiceError,
)
from asrcli.media.backlog import Backlog as KeptBacklog
from asrcli.protocol.dialogue import Dialogue
from asrcli.protocol.realtime_asr import RealtimeASR, RealtimeASROptions
from asrcli.protocol.realtime_omni import RealtimeOmni, RealtimeOmniOptions
from asrcli.protocol.realtime_openai import DIALECTS, RealtimeOpenAI, RealtimeOpenAIOptions
from asrcli.protocol.realtime_vllm import RealtimeVLLM, RealtimeVLLMOptions
from asrcli.protocol.run_task import RunTask, RunTaskOptions
from asrcli.providers import catalogue
from asrcli.providers.base import Options
from asrcli.providers.live import WebSocketService
from asrcli.providers.openai_live import dialogue_for, live_model
from asrcli.secret import Secret
from asrcli.transcript import Timing
from asrcli.transport.connection import Connection
from asrcli.transport.websocket import Keepalive
from tests.emulators.realtime import (
    KEY,
    Abort,
    At,
    Close,
    Drop,
    Fail,
    HalfOpen,
    Hold,
    On,
    RealtimeEmulator,
    Refuse,
    Send,
    Slow,
    Twice,
)
from tests.emulators.realtime.toy import WORDS, hear, silence, speak, talk

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Samples = NDArray[np.float32]

RATE = 16_000
QUICK = HealingPolicy(base=0.01, throttle_base=0.01, cap=0.02)


@dataclass(frozen=True)
class Stretch:
    start: float
    samples: Samples


class Backlog:
    """In memory; `most` seconds are kept."""

    def __init__(self, rate: int = RATE, most: float = math.inf) -> None:
        self._rate = rate
        self._most = most
        self._samples: Samples = np.zeros(0, dtype=np.float32)
        self._first = 0
        self._lock = threading.Lock()
        self.longest = 0.0

    @property
    def end(self) -> float:
        with self._lock:
            return (self._first + len(self._samples)) / self._rate

    def append(self, samples: Samples) -> None:
        with self._lock:
            self._samples = np.concatenate([self._samples, samples])
            over = len(self._samples) - self._most * self._rate
            if over > 0:
                self._forget(self._first + int(over))
            self.longest = max(self.longest, len(self._samples) / self._rate)

    def discard_before(self, seconds: float) -> None:
        with self._lock:
            self._forget(round(seconds * self._rate))

    def since(self, seconds: float, *, block_seconds: float = 0.1) -> Iterator[Stretch]:
        at = round(seconds * self._rate)
        while True:
            with self._lock:
                at = max(at, self._first)
                begin = at - self._first
                block = self._samples[begin : begin + round(block_seconds * self._rate)]
            if not len(block):
                return
            yield Stretch(at / self._rate, block)
            at += len(block)

    def _forget(self, first: int) -> None:
        if first > self._first:
            self._samples = self._samples[first - self._first :]
            self._first = first


def blocks(pcm: bytes, *, seconds: float = 0.1, rate: int = RATE) -> Iterator[Samples]:
    """The sound as a microphone hands it over, as fast as it is taken."""
    samples = np.frombuffer(pcm, dtype="<i2").astype(np.float32) / np.float32(32_768)
    size = round(seconds * rate)
    for begin in range(0, len(samples), size):
        yield samples[begin : begin + size]


@dataclass
class Ear:
    """All that was told."""

    events: list[LiveEvent] = field(default_factory=list)

    def __call__(self, event: LiveEvent) -> None:
        self.events.append(event)

    def of(self, kind: type[Any]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def finals(self) -> list[str]:
        return [event.segment.text for event in self.of(Final)]

    @property
    def gaps(self) -> list[Gap]:
        return self.of(Gap)


def task(**limits: Any) -> Callable[[], Dialogue]:
    return limited(lambda: RunTask(RunTaskOptions(model="fun-asr-realtime")), limits)


def asr(**limits: Any) -> Callable[[], Dialogue]:
    options = RealtimeASROptions(model="qwen3-asr-flash-realtime")
    return limited(lambda: RealtimeASR(options), limits)


class HastyOmni(RealtimeOmni):
    """Waits a tenth of the time for what may not come."""

    @property
    def patience(self) -> float | None:
        usual = super().patience
        return None if usual is None else usual / 10


def omni(**limits: Any) -> Callable[[], Dialogue]:
    options = RealtimeOmniOptions(model="qwen3.5-omni-flash-realtime")
    return limited(lambda: HastyOmni(options), limits)


def limited(make: Callable[[], Dialogue], limits: dict[str, Any]) -> Callable[[], Dialogue]:
    def made() -> Dialogue:
        dialogue = make()
        dialogue.limits = replace(dialogue.limits, **{"pace": math.inf, **limits})
        return dialogue

    return made


def service_of(
    emulator: RealtimeEmulator,
    make: Callable[[], Dialogue],
    *,
    url: str | None = None,
    key: str = KEY,
) -> WebSocketService:
    return WebSocketService(
        name="svc",
        model="m",
        base_url=url or emulator.base_url,
        make_dialogue=make,
        connection=Connection(environ={}, connect_timeout=5.0),
        key=Secret(key),
    )


@pytest.fixture
def emulator() -> Iterator[RealtimeEmulator]:
    with RealtimeEmulator(listen=hear) as service:
        yield service


@pytest.fixture
def ear() -> Ear:
    return Ear()


HALF_OPEN = Keepalive(interval=0.1, answer=0.2, close=0.1, stall=0.3)


def listen(
    emulator: RealtimeEmulator,
    ear: Ear,
    make: Callable[[], Dialogue],
    sound: bytes | Iterable[Samples],
    *,
    backlog: Any = None,
    policy: HealingPolicy = QUICK,
    **options: Any,
) -> Outcome:
    live = Live(
        service_of(emulator, make),
        backlog or Backlog(),
        ear,
        healing=Healing(policy),
        **{"most_waiting": 5.0, **options},
    )
    return live.run(blocks(sound) if isinstance(sound, bytes) else sound)


TALK = talk("one two three", "four five", "six seven eight nine", pause=1.5)
SAID = ["one two three", "four five", "six seven eight nine"]
STARTS = [0.0, 2.2, 4.15]

DIALOGUES = {"task": task, "asr": asr, "omni": omni}


@pytest.fixture(params=DIALOGUES)
def make(request: pytest.FixtureRequest) -> Callable[..., Callable[[], Dialogue]]:
    return DIALOGUES[request.param]


# --- the ordinary way ---------------------------------------------------------------------------


def test_every_utterance_is_told_once_and_in_order(
    emulator: RealtimeEmulator, ear: Ear, make: Callable[..., Callable[[], Dialogue]]
) -> None:
    outcome = listen(emulator, ear, make(), TALK)

    assert ear.finals == SAID
    assert (outcome.finished, outcome.error, ear.gaps) == (True, None, [])
    assert outcome.seconds == len(TALK) / 2 / RATE
    assert emulator.violations == []


def test_times_and_words_are_those_of_the_stream(emulator: RealtimeEmulator, ear: Ear) -> None:
    listen(emulator, ear, task(), TALK)

    segments = [final.segment for final in ear.of(Final)]
    assert [segment.start for segment in segments] == pytest.approx(STARTS, abs=0.01)
    assert segments[1].words[1].text == "five"
    assert segments[1].words[1].start == pytest.approx(2.45, abs=0.01)
    assert segments[0].timing is Timing.MODEL


def test_partials_grow_before_the_final(emulator: RealtimeEmulator, ear: Ear) -> None:
    listen(emulator, ear, asr(), TALK)

    first = ear.events.index(ear.of(Final)[0])
    heard = [event.text for event in ear.events[:first] if isinstance(event, Partial)]
    assert heard
    assert all("one two three".startswith(text) for text in heard)


def test_the_connection_is_closed_with_1000_after_the_last_words(
    emulator: RealtimeEmulator, ear: Ear
) -> None:
    listen(emulator, ear, task(), TALK)

    emulator.wait_for(lambda: emulator.connections[0].closed is not None)
    assert emulator.connections[0].closed == (1000, "")


def test_the_states_are_told_as_they_change(emulator: RealtimeEmulator, ear: Ear) -> None:
    listen(emulator, ear, task(), TALK)

    states = [status.state for status in ear.of(Status)]
    order = [state for n, state in enumerate(states) if n == 0 or states[n - 1] is not state]
    assert order == [LiveState.CONNECTING, LiveState.LISTENING, LiveState.FINISHING]


def test_a_last_block_that_is_short_is_sent_too(emulator: RealtimeEmulator, ear: Ear) -> None:
    sound = speak("one two") + silence(0.013)
    listen(emulator, ear, task(), sound)

    assert ear.finals == ["one two"]
    assert bytes(emulator.connections[0].audio) == sound


def test_a_server_of_openai_s_kind_gets_its_own_rate(ear: Ear) -> None:
    options = RealtimeOpenAIOptions(model="w", dialect=DIALECTS["openai"])
    make = limited(lambda: RealtimeOpenAI(options), {})
    with RealtimeEmulator(listen=hear, dialect="openai") as emulator:
        service = service_of(emulator, make, url=emulator.openai_url)
        live = Live(service, Backlog(rate=24_000), ear, most_waiting=5.0)
        assert live.sample_rate == 24_000
        outcome = live.run(blocks(talk(*SAID, rate=24_000), rate=24_000))

    assert ear.finals == SAID
    assert outcome.finished


def test_where_utterances_are_ours_to_end_pauses_end_them(ear: Ear) -> None:
    make = limited(lambda: RealtimeVLLM(RealtimeVLLMOptions(model="w")), {})
    with RealtimeEmulator(listen=hear, dialect="vllm") as emulator:
        service = service_of(emulator, make, url=emulator.openai_url)
        live = Live(service, Backlog(), ear, most_waiting=5.0)
        outcome = live.run(blocks(silence(2.0) + TALK))

    assert ear.finals == SAID
    assert outcome.finished
    starts = [final.segment.start for final in ear.of(Final)]
    assert starts == pytest.approx([2.0 + start for start in STARTS], abs=0.45)


# --- connections that end -----------------------------------------------------------------------


def replaced(emulator: RealtimeEmulator, ear: Ear, name: str, seconds: float, action: Any) -> None:
    """A connection that ends so after so much sound costs no word and doubles none."""
    emulator.scripts.append([At(seconds, action)])

    outcome = listen(emulator, ear, DIALOGUES[name](), TALK)

    assert ear.finals == SAID
    assert (outcome.finished, outcome.error, outcome.connections) == (True, None, 2)
    assert ear.gaps == []
    assert LiveState.RECONNECTING in [status.state for status in ear.of(Status)]


MOMENTS = [0.5, 2.0, 2.5, 4.6]
LOST = [Close(1011, "x"), Close(1013, "x"), Close(1001), Abort()]


@pytest.mark.parametrize("name", DIALOGUES)
@pytest.mark.parametrize("action", LOST, ids=str)
@pytest.mark.parametrize("seconds", MOMENTS)
def test_w05_a_connection_that_is_lost_loses_no_word_and_doubles_none(
    emulator: RealtimeEmulator, ear: Ear, name: str, action: Any, seconds: float
) -> None:
    replaced(emulator, ear, name, seconds, action)


@pytest.mark.parametrize("name", DIALOGUES)
@pytest.mark.parametrize("seconds", MOMENTS)
def test_w06_a_close_with_1000_before_our_end_is_a_lost_connection(
    emulator: RealtimeEmulator, ear: Ear, name: str, seconds: float
) -> None:
    replaced(emulator, ear, name, seconds, Close(1000))


@pytest.mark.parametrize("dialect", ["openai", "vllm"])
@pytest.mark.parametrize("action", [Abort(), Close(1000)], ids=str)
@pytest.mark.parametrize("seconds", MOMENTS)
def test_w05_w06_servers_of_one_s_own_are_replaced_as_well(
    ear: Ear, dialect: str, action: Any, seconds: float
) -> None:
    rate = 16_000 if dialect == "vllm" else 24_000
    model = dialogue_for(live_model(catalogue.resolve("w", provider="openai")), Options(), dialect)
    with RealtimeEmulator(listen=hear, dialect=dialect) as emulator:
        emulator.scripts.append([At(seconds, action)])
        service = service_of(emulator, limited(model, {}), url=emulator.openai_url)
        live = Live(service, Backlog(rate=rate), ear, most_waiting=5.0, healing=Healing(QUICK))
        outcome = live.run(blocks(talk(*SAID, pause=1.5, rate=rate), rate=rate))

    assert ear.finals == SAID
    assert (outcome.finished, outcome.error, outcome.connections) == (True, None, 2)


@pytest.mark.parametrize("name", DIALOGUES)
def test_w07_a_close_for_idleness_is_a_lost_connection(
    emulator: RealtimeEmulator, ear: Ear, name: str
) -> None:
    replaced(emulator, ear, name, 2.5, Close(4408))


def test_times_go_on_after_a_lost_connection(emulator: RealtimeEmulator, ear: Ear) -> None:
    emulator.scripts.append([At(2.4, Abort())])
    listen(emulator, ear, task(), TALK)

    assert [f.segment.start for f in ear.of(Final)] == pytest.approx(STARTS, abs=0.01)
    assert ear.of(Final)[2].segment.words[0].start == pytest.approx(STARTS[2], abs=0.01)


@pytest.mark.parametrize("seconds", [0.5, 2.5])
def test_w08_a_half_open_connection_is_replaced(
    emulator: RealtimeEmulator, ear: Ear, seconds: float
) -> None:
    emulator.scripts.append([At(seconds, HalfOpen())])
    service = replace(service_of(emulator, task()), keepalive=HALF_OPEN)

    outcome = Live(service, Backlog(), ear, healing=Healing(QUICK)).run(blocks(TALK))

    assert (ear.finals, outcome.finished, outcome.connections) == (SAID, True, 2)


@pytest.mark.parametrize("seconds", [0.05, 2.0, 4.0, 6.0])
def test_w08_at_the_end_of_an_omni_session_silence_is_no_proof_that_all_was_heard(
    emulator: RealtimeEmulator, ear: Ear, seconds: float
) -> None:
    # Pings would find it out too, but not before the end would be believed.
    emulator.scripts.append([At(seconds, HalfOpen())])
    service = replace(service_of(emulator, omni()), keepalive=Keepalive(stall=0.3, close=0.1))

    outcome = Live(service, Backlog(), ear, healing=Healing(QUICK)).run(blocks(TALK))

    assert (ear.finals, outcome.finished, outcome.connections) == (SAID, True, 2)


def test_w08_a_connection_that_is_found_dead_long_after_the_end_is_replaced(
    emulator: RealtimeEmulator, ear: Ear
) -> None:
    emulator.scripts.append([At(0.5, HalfOpen())])
    patient = task(start_timeout=math.inf, finish_timeout=math.inf)
    service = replace(service_of(emulator, patient), keepalive=HALF_OPEN)
    clock = clock_of_speed(100)
    healing = Healing(QUICK, clock=clock)

    outcome = Live(service, Backlog(), ear, healing=healing, clock=clock).run(blocks(TALK))

    assert (ear.finals, outcome.finished, outcome.connections) == (SAID, True, 2)


def clock_of_speed(times: float) -> Callable[[], float]:
    """Seconds go by faster on it."""
    return lambda: time.monotonic() * times


def test_w08_a_half_open_connection_is_found_out_within_30_s() -> None:
    usual = Keepalive()

    assert usual.interval + usual.answer + usual.close <= 30.0
    assert usual.stall <= 30.0


def test_a_connection_lost_while_the_last_words_are_awaited_is_replaced(
    emulator: RealtimeEmulator, ear: Ear
) -> None:
    emulator.scripts.append([On("result-generated", Abort(), number=1)])
    sound = speak("one two")

    outcome = listen(emulator, ear, task(), sound)

    assert ear.finals == ["one two"]
    assert outcome.finished


def test_w04_an_error_of_the_service_s_own_is_healed_if_it_may_pass(
    emulator: RealtimeEmulator, ear: Ear
) -> None:
    emulator.scripts.append([At(2.5, Fail("InternalError", "oops"))])
    outcome = listen(emulator, ear, task(), TALK)

    assert (ear.finals, outcome.finished) == (SAID, True)


def test_w04_an_error_that_will_not_pass_ends_it_and_keeps_the_text(
    emulator: RealtimeEmulator, ear: Ear
) -> None:
    emulator.scripts.append([At(3.0, Fail("Arrearage", "no money left"))])
    outcome = listen(emulator, ear, task(), TALK)

    assert outcome.error is not None
    assert (outcome.finished, outcome.error.exit_status) == (False, 5)
    assert "no money left" in str(outcome.error)
    assert ear.finals[0] == SAID[0]
    assert len(emulator.connections) == 1


def test_w04_what_was_heard_in_part_is_kept_and_marked_when_it_ends_for_good(
    emulator: RealtimeEmulator, ear: Ear
) -> None:
    sound = speak("one two three four five")
    emulator.scripts.append([At(1.2, Fail("Arrearage", "no"))])
    outcome = listen(emulator, ear, task(), sound)

    final = ear.of(Final)[-1]
    assert not final.complete
    assert "one two three four five".startswith(final.segment.text)
    assert ear.gaps[-1].end == pytest.approx(outcome.seconds)


def test_w06_a_service_that_closes_with_1000_every_time_is_given_up_with_9(
    emulator: RealtimeEmulator, ear: Ear
) -> None:
    emulator.always = [At(0.1, Close(1000, "bye"))]
    outcome = listen(emulator, ear, task(), TALK)

    assert isinstance(outcome.error, ServiceError)
    assert outcome.error.exit_status == 9
    assert "close code 1000" in str(outcome.error)
    assert len(emulator.connections) == 1 + QUICK.retries
    assert [(gap.start, gap.end) for gap in ear.gaps] == [(0.0, outcome.seconds)]


def test_w07_an_unknown_close_code_is_9_at_once(emulator: RealtimeEmulator, ear: Ear) -> None:
    emulator.scripts.append([At(1.0, Close(4999, "what"))])
    outcome = listen(emulator, ear, task(), TALK)

    assert outcome.error is not None
    assert outcome.error.exit_status == 9
    assert len(emulator.connections) == 1


def test_w09_a_message_over_8_mib_is_9(emulator: RealtimeEmulator, ear: Ear) -> None:
    emulator.scripts.append([At(1.0, Send("x" * (8 * 1024 * 1024 + 1)))])
    service = replace(service_of(emulator, task()), keepalive=Keepalive(stall=0.5, close=0.1))
    outcome = Live(service, Backlog(), ear, healing=Healing(QUICK)).run(blocks(TALK))

    assert outcome.error is not None
    assert outcome.error.exit_status == 9


def test_w09_a_message_of_more_than_a_mib_is_taken(emulator: RealtimeEmulator, ear: Ear) -> None:
    emulator.scripts.append([At(1.0, Send({"header": {"event": "news"}, "x": "x" * 2**21}))])
    outcome = listen(emulator, ear, task(), TALK)

    assert (ear.finals, outcome.finished, outcome.connections) == (SAID, True, 1)


# --- handshakes ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "kind"), [(401, KeyRefusedError), (403, (KeyRefusedError, RightsError))]
)
def test_w01_a_refused_key_is_4_and_nothing_is_tried_again(
    emulator: RealtimeEmulator, ear: Ear, status: int, kind: Any
) -> None:
    emulator.always = [Refuse(status)]
    outcome = listen(emulator, ear, task(), TALK)

    assert isinstance(outcome.error, kind)
    assert outcome.error.exit_status == 4
    assert len(emulator.connections) == 1


def test_w03_a_redirect_is_refused_with_9(emulator: RealtimeEmulator, ear: Ear) -> None:
    with RealtimeEmulator(listen=hear) as other:
        emulator.always = [Refuse(302, headers={"Location": other.base_url})]
        outcome = listen(emulator, ear, task(), TALK)

        assert other.connections == []
    assert outcome.error is not None
    assert outcome.error.exit_status == 9
    assert len(emulator.connections) == 1


@pytest.mark.parametrize(
    ("status", "kind", "code"), [(429, RateLimitedError, 5), (503, NetworkError, 6)]
)
def test_w02_a_refusal_that_may_pass_is_tried_again_and_then_given_up(
    emulator: RealtimeEmulator, ear: Ear, status: int, kind: type[Exception], code: int
) -> None:
    emulator.always = [Refuse(status, {"message": "later"}, {})]
    outcome = listen(emulator, ear, task(), TALK)

    assert isinstance(outcome.error, kind)
    assert outcome.error.exit_status == code
    assert len(emulator.connections) == 1 + QUICK.retries


def test_w02_a_refusal_that_passes_costs_nothing(emulator: RealtimeEmulator, ear: Ear) -> None:
    emulator.scripts.extend([[Refuse(429, {}, {})], [Refuse(503, {}, {})]])
    outcome = listen(emulator, ear, task(), TALK)

    assert (ear.finals, outcome.finished) == (SAID, True)


# --- odd services -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", DIALOGUES)
def test_w10_nonsense_is_noted_once_and_passed_over(
    emulator: RealtimeEmulator, ear: Ear, name: str
) -> None:
    news: Any = {"header": {"event": "news"}, "type": "news"}
    odd: list[Any] = ["no json", b"\x00", news, "[]", "no json", b"\x01", news]
    emulator.scripts.append([At(0.5 + n / 10, Send(m)) for n, m in enumerate(odd)])
    outcome = listen(emulator, ear, DIALOGUES[name](), TALK)

    assert (ear.finals, outcome.finished, outcome.connections) == (SAID, True, 1)
    assert sorted(note.name for note in ear.of(Note)) == ["binary", "unknown:news", "unreadable"]


FINAL = {
    "task": "result-generated",
    "asr": "conversation.item.input_audio_transcription.completed",
    "omni": "response.done",
}


@pytest.mark.parametrize("name", DIALOGUES)
@pytest.mark.parametrize("action", [Twice(), Hold(1)], ids=str)
@pytest.mark.parametrize("number", [1, 2])
def test_w11_finals_that_come_twice_or_late_are_told_once_and_in_order(
    emulator: RealtimeEmulator, ear: Ear, name: str, action: Any, number: int
) -> None:
    emulator.scripts.append([On(FINAL[name], action, number=number)])
    listen(emulator, ear, DIALOGUES[name](), TALK)

    assert ear.finals == SAID


def sentence(text: str, *, end: int | None, number: int = 1) -> Send:
    """An event of the task dialogue that a well-behaved service does not send now."""
    said = {"sentence_id": number, "begin_time": 0, "end_time": end, "text": text}
    payload = {"output": {"sentence": said | {"sentence_end": end is not None}}}
    return Send({"header": {"event": "result-generated"}, "payload": payload})


def test_w11_partials_out_of_order_only_repaint_and_a_final_may_be_shorter(
    emulator: RealtimeEmulator, ear: Ear
) -> None:
    emulator.scripts.append(
        [
            At(0.30, sentence("one two three and more", end=None)),
            At(0.35, sentence("one", end=None)),
            At(0.40, sentence("one two", end=400)),
            At(0.45, sentence("one two three four", end=None)),
            At(0.50, sentence("one two three four", end=500)),
            On("result-generated", Drop()),
        ]
    )
    listen(emulator, ear, task(), speak("one two"), chunk_seconds=0.05)

    assert ear.finals == ["one two"]
    shown = [event.text for event in ear.of(Partial) if event.text]
    assert list(dict.fromkeys(shown)) == ["one two three and more", "one"]


@pytest.mark.parametrize(
    ("name", "event"), [("task", "task-finished"), ("asr", "session.finished")]
)
def test_w12_without_the_end_of_the_service_the_text_is_kept_and_it_is_9(
    emulator: RealtimeEmulator, ear: Ear, name: str, event: str
) -> None:
    emulator.scripts.append([On(event, Drop())])
    outcome = listen(emulator, ear, DIALOGUES[name](finish_timeout=0.3), TALK)

    assert ear.finals == SAID
    assert outcome.error is not None
    assert (outcome.finished, outcome.error.exit_status) == (False, 9)
    assert outcome.connections == 1


@pytest.mark.parametrize("name", DIALOGUES)
def test_w12_the_end_is_waited_for_ten_seconds_from_the_last_event(name: str) -> None:
    assert DIALOGUES[name]()().limits.finish_timeout == 10.0


# --- long sessions ------------------------------------------------------------------------------


PAUSES = talk(*SAID, pause=6.0)
"""Long enough for the service to end an utterance while nothing else is said."""


@pytest.mark.parametrize("name", ["asr", "omni"])
def test_w13_a_session_that_grew_old_is_replaced_between_two_utterances(
    emulator: RealtimeEmulator, ear: Ear, name: str
) -> None:
    make = DIALOGUES[name](renew_after=3.0, session=60.0, pace=30.0)
    outcome = listen(emulator, ear, make, PAUSES)

    assert ear.finals == SAID
    assert (outcome.finished, ear.gaps) == (True, [])
    assert outcome.connections >= 3
    starts = [final.segment.start for final in ear.of(Final)]
    assert starts == pytest.approx([0.0, 6.7, 13.15], abs=0.01)


def test_w13_a_session_that_does_not_end_when_asked_to_is_left_and_nothing_is_lost(
    emulator: RealtimeEmulator, ear: Ear
) -> None:
    emulator.scripts.append([On("session.finished", Drop())])
    make = asr(renew_after=3.0, session=60.0, pace=30.0, finish_timeout=0.3)
    outcome = listen(emulator, ear, make, PAUSES)

    assert ear.finals == SAID
    assert (outcome.finished, ear.gaps) == (True, [])


@pytest.mark.parametrize("name", DIALOGUES)
def test_w13_a_session_that_the_service_closes_at_its_limit_goes_on_in_the_next(
    emulator: RealtimeEmulator, ear: Ear, name: str
) -> None:
    limit = Close(1000, "the session has reached its limit")
    emulator.scripts.extend([[At(2.4, limit)], [At(2.4, limit)]])
    outcome = listen(emulator, ear, DIALOGUES[name](), TALK)

    assert ear.finals == SAID
    assert (outcome.finished, outcome.dropped, ear.gaps) == (True, 0.0, [])
    starts = [final.segment.start for final in ear.of(Final)]
    assert starts == pytest.approx(STARTS, abs=0.01)


# --- sound --------------------------------------------------------------------------------------


def test_w16_a_pipe_waits_while_the_service_is_slow(emulator: RealtimeEmulator, ear: Ear) -> None:
    emulator.scripts.append([Slow(2_000_000)])
    backlog = Backlog()
    sound = silence(60.0)
    outcome = listen(emulator, ear, task(), sound, backlog=backlog, most_waiting=2.0)

    assert outcome.finished
    assert max(status.lag for status in ear.of(Status)) <= 2.2


def test_w14_sound_that_comes_faster_than_speech_is_sent_at_the_pace_of_the_service(
    ear: Ear,
) -> None:
    with RealtimeEmulator(listen=hear, most_pace=24.0) as emulator:
        backlog = Backlog()
        outcome = listen(emulator, ear, asr(pace=20.0), 4 * TALK, backlog=backlog)

        assert emulator.violations == []
    assert (ear.finals, outcome.finished) == (4 * SAID, True)
    assert backlog.longest < 15.0


def test_w16_sound_of_a_microphone_that_could_not_be_kept_is_a_gap_with_its_times(
    emulator: RealtimeEmulator, ear: Ear
) -> None:
    taken = threading.Event()
    released = threading.Event()

    class Late(WebSocketService):
        def connect(self, *args: Any) -> Any:
            taken.wait(10)
            return super().connect(*args)

    def sound() -> Iterator[Samples]:
        yield from blocks(TALK)
        taken.set()
        released.set()

    plain = service_of(emulator, task())
    fields = {name: getattr(plain, name) for name in plain.__dataclass_fields__}
    live = Live(Late(**fields), Backlog(most=4.0), ear)
    outcome = live.run(sound())

    lost = len(TALK) / 2 / RATE - 4.0
    assert [(gap.start, round(gap.end, 3)) for gap in ear.gaps] == [(0.0, round(lost, 3))]
    assert outcome.dropped == pytest.approx(lost)
    assert ear.finals[-1] == SAID[-1]
    assert ear.of(Final)[-1].segment.start == pytest.approx(STARTS[-1], abs=0.01)


def test_w17_a_microphone_that_fails_ends_it_with_12_and_the_text(
    emulator: RealtimeEmulator, ear: Ear
) -> None:
    def sound() -> Iterator[Samples]:
        yield from blocks(TALK)
        raise MicrophoneError("it went away")

    outcome = listen(emulator, ear, task(), sound())

    assert ear.finals == SAID
    assert isinstance(outcome.error, MicrophoneError)
    assert outcome.finished


def test_g08_stopping_ends_capture_and_waits_for_the_last_words(
    emulator: RealtimeEmulator, ear: Ear
) -> None:
    live: list[Live] = []

    def sound() -> Iterator[Samples]:
        yield from blocks(speak("one two three"))
        live[0].stop()
        yield from blocks(talk("nine nine nine") * 100)

    live.append(Live(service_of(emulator, task()), Backlog(), ear))
    outcome = live[0].run(sound())

    assert ear.finals == ["one two three"]
    assert (outcome.finished, outcome.error) == (True, None)


def test_g08_a_stop_is_heard_while_the_microphone_is_silent(
    emulator: RealtimeEmulator, ear: Ear
) -> None:
    hung = threading.Event()

    def sound() -> Iterator[Samples]:
        yield from blocks(speak("one two"))
        hung.wait(10)

    live = Live(service_of(emulator, task()), Backlog(), ear)

    def stop() -> None:
        emulator.wait_for(lambda: any(book.seconds > 0.3 for book in emulator.connections))
        live.stop()

    stopper = threading.Thread(target=stop)
    stopper.start()
    outcome = live.run(sound())
    hung.set()
    stopper.join()

    assert ear.finals == ["one two"]
    assert outcome.finished


def test_what_a_listener_raises_ends_everything(emulator: RealtimeEmulator) -> None:
    before = ours()

    def gone(event: LiveEvent) -> None:
        if isinstance(event, Final):
            raise BrokenPipeError

    live = Live(service_of(emulator, task()), Backlog(), gone, most_waiting=1.0)
    with pytest.raises(BrokenPipeError):
        live.run(blocks(TALK))

    assert ours() == before


def ours() -> int:
    """Threads that are not the emulator's helpers."""
    return sum(not thread.name.startswith("asyncio") for thread in threading.enumerate())


def test_the_backlog_on_disk_serves_as_well(
    emulator: RealtimeEmulator, ear: Ear, tmp_path: Path
) -> None:
    emulator.scripts.append([At(4.0, Abort())])
    backlog = KeptBacklog(memory_seconds=0.5, folder=tmp_path)
    outcome = listen(emulator, ear, task(), TALK, backlog=backlog)
    backlog.close()

    assert (ear.finals, outcome.finished) == (SAID, True)


# --- an hour ------------------------------------------------------------------------------------


def test_an_hour_with_ten_lost_connections_loses_and_doubles_nothing(ear: Ear) -> None:
    said = [f"{WORDS[n % 15]} {WORDS[(n * 7 + 3) % 15]}" for n in range(360)]
    sound = [talk(text, pause=9.55, rate=8_000) for text in said]
    telephone = RunTaskOptions(model="fun-asr-flash-8k-realtime", sample_rate=8_000)
    before = threading.active_count()
    backlog = Backlog(rate=8_000)
    with RealtimeEmulator(listen=quick_hear, step=2.0, idle_limit=None) as emulator:
        for number in range(10):
            actions: list[Any] = [Abort(), Close(1011), Close(1000), Close(1013)]
            action = actions[number % 4]
            emulator.scripts.append([At(300.0 + 1.7 * number, action)])
        outcome = listen(
            emulator,
            ear,
            limited(lambda: RunTask(telephone), {}),
            (block for text in sound for block in blocks(text, seconds=0.5, rate=8_000)),
            backlog=backlog,
            chunk_seconds=0.8,
        )
        assert emulator.violations == []

    assert ear.finals == said
    assert (outcome.finished, outcome.error, ear.gaps) == (True, None, [])
    assert outcome.seconds == pytest.approx(3600.0)
    assert outcome.connections == 11
    assert backlog.longest < 60.0
    assert threading.active_count() <= before


def quick_hear(samples: bytes, rate: int) -> Any:
    """As `hear`, but silence costs next to nothing."""
    return hear(samples, rate) if any(np.frombuffer(samples, "<i2")[::800]) else hear(b"", rate)
