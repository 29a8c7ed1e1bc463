"""Where sound lies in the stream, what is answered for, what heals: without a socket."""

from __future__ import annotations

import itertools
import json
import math
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest

from asrcli.core.endpointing import Endpointer, loudness
from asrcli.core.healing import Healing, HealingPolicy
from asrcli.core.live import Live
from asrcli.core.live_events import Outcome
from asrcli.core.live_session import LiveSession
from asrcli.core.waking import Waker
from asrcli.errors import AsrError, KeyRefusedError, NetworkError, RateLimitedError, ServiceError
from asrcli.media.backlog import Backlog
from asrcli.protocol.run_task import RunTask, RunTaskOptions

RATE = 16_000


@dataclass
class Wire:
    """A line that is only a list."""

    sent: list[str | bytes] = field(default_factory=list)
    coming: list[str | bytes] = field(default_factory=list)
    unsent: int = 0
    closed: Any = None

    def send(self, message: str | bytes) -> None:
        self.sent.append(message)

    def messages(self) -> list[str | bytes]:
        came, self.coming = self.coming, []
        return came

    def close(self, code: int = 1000) -> None:
        self.closed = code

    def abort(self) -> None:
        self.closed = 1006

    @property
    def spoken(self) -> int:
        """Samples that were sent and are not silent."""
        audio = b"".join(message for message in self.sent if isinstance(message, bytes))
        return int(np.count_nonzero(np.frombuffer(audio, "<i2")))

    @property
    def finished(self) -> bool:
        """It was told that all was sent."""
        return any(isinstance(m, str) and "finish-task" in m for m in self.sent)

    @property
    def audio(self) -> int:
        """Samples that were sent."""
        return sum(len(message) for message in self.sent if isinstance(message, bytes)) // 2


def told(event: str, **payload: Any) -> str:
    return json.dumps({"header": {"event": event}, "payload": payload})


def sentence(begin: int, end: int | None, text: str, number: int = 1) -> str:
    said = {"sentence_id": number, "begin_time": begin, "end_time": end, "text": text}
    return told("result-generated", output={"sentence": said | {"sentence_end": end is not None}})


def begun(at: float = 0.0, **limits: Any) -> tuple[LiveSession, Wire]:
    dialogue = RunTask(RunTaskOptions(model="fun-asr-realtime"))
    dialogue.limits = replace(dialogue.limits, **limits)
    wire = Wire()
    session = LiveSession(dialogue, wire, at=round(at * RATE), now=0.0)
    dialogue.start()
    wire.coming.append(told("task-started"))
    session.receive(0.0)
    return session, wire


def send(session: LiveSession, at: float, seconds: float, now: float = 0.0) -> None:
    session.send(bytes(2 * round(seconds * RATE)), at=round(at * RATE), now=now)


# --- places -------------------------------------------------------------------------------------


def test_times_are_counted_from_where_the_connection_began() -> None:
    session, _ = begun(at=100.0)
    send(session, 100.0, 2.0)

    assert session.place(0.0) == 100.0
    assert session.place(1.5) == 101.5


def test_what_was_passed_over_moves_later_times() -> None:
    session, _ = begun()
    send(session, 0.0, 1.0)
    send(session, 5.0, 1.0)

    assert session.place(0.5) == 0.5
    assert session.place(1.5) == 5.5


def test_silence_of_our_own_lies_nowhere() -> None:
    session, _ = begun()
    send(session, 0.0, 1.0)
    session.send_silence(0.5, now=0.0)
    send(session, 1.0, 1.0)

    assert [session.place(s) for s in (0.9, 1.2, 1.5, 2.0)] == pytest.approx([0.9, 1.0, 1.0, 1.5])


def test_no_time_lies_past_what_was_sent() -> None:
    session, _ = begun()
    send(session, 0.0, 1.0)

    assert session.place(1.9) == 1.0


# --- what is answered for -----------------------------------------------------------------------


def test_a_final_answers_for_all_up_to_its_end() -> None:
    session, wire = begun(at=10.0)
    send(session, 10.0, 3.0)
    wire.coming.append(sentence(500, 1500, "hello"))
    session.receive(0.0)

    assert session.answered(0.0) == round(11.5 * RATE)


def test_speech_that_is_still_open_is_not_answered_for() -> None:
    session, wire = begun()
    send(session, 0.0, 3.0)
    wire.coming.append(sentence(2000, None, "hel"))
    session.receive(0.0)

    assert session.answered(100.0) == round(1.5 * RATE)


def test_without_speech_old_sound_counts_as_listened_to() -> None:
    session, _ = begun()
    for second in range(100):
        send(session, second, 1.0, now=second)

    assert session.answered(99.0) == 55 * RATE
    assert session.answered(99.0) == 55 * RATE


# --- time ---------------------------------------------------------------------------------------


def test_sound_goes_no_faster_than_the_service_wants() -> None:
    session, _ = begun(pace=4.0)
    send(session, 0.0, 1.0, now=0.0)

    assert session.wait_to_send(0.0) == pytest.approx(0.25)
    send(session, 1.0, 1.0, now=0.25)
    assert session.wait_to_send(0.25) == pytest.approx(0.25)


def test_being_late_is_made_up_for_but_not_for_long() -> None:
    session, _ = begun(pace=4.0)
    send(session, 0.0, 1.0, now=100.0)

    assert session.wait_to_send(100.0) == pytest.approx(0.05)


def test_w16_no_answer_is_awaited_to_what_has_not_left_yet() -> None:
    session, wire = begun(finish_timeout=10.0)
    send(session, 0.0, 1.0)
    session.finish(now=0.0)
    wire.unsent = 32_000
    for second in range(0, 60, 5):
        session.receive(float(second))
    slow = session.dialogue.over
    wire.unsent = 0
    session.receive(64.0)
    waiting = session.dialogue.over
    session.receive(65.0)

    assert (slow, waiting, session.dialogue.over) == (False, False, True)


def test_an_old_session_that_does_not_end_is_a_lost_one() -> None:
    session, _ = begun(finish_timeout=5.0)
    send(session, 0.0, 1.0)
    session.renewing = True
    session.finish(0.0)
    session.receive(5.0)

    error = session.error("svc")
    assert error is not None
    assert error.retryable


class Time(Waker):
    """A clock that moves when somebody waits, once all sound was taken in."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.on_wait: Callable[[], None] = lambda: None

    def clock(self) -> float:
        return self.now

    def wait(self, seconds: float) -> None:
        if self._called:
            super().wait(0.0)
            return
        self.now += max(seconds, 0.01)
        self.on_wait()


class Scripted:
    """A service whose connections are given: a wire, or the error of opening one."""

    name = "svc"
    model = "m"

    def __init__(self, *opened: Wire | AsrError) -> None:
        self.opened = list(opened)
        self.all_opened = threading.Event()

    def make_dialogue(self) -> RunTask:
        return RunTask(RunTaskOptions(model="fun-asr-realtime"))

    def connect(self, dialogue: Any, notify: Callable[[], None]) -> Any:
        found = self.opened.pop(0)
        if not self.opened:
            self.all_opened.set()
        if isinstance(found, AsrError):
            raise found
        return found


def test_a_pipe_that_says_nothing_is_bridged_with_silence_before_the_service_gives_up() -> None:
    time = Time()
    wire = Wire(coming=[told("task-started")])
    taken, hung = threading.Event(), threading.Event()
    sent_at: list[float] = []

    def sound() -> Any:
        yield np.zeros(RATE // 10, dtype=np.float32)
        taken.set()
        hung.wait(10)

    def look() -> None:
        assert taken.wait(10)
        while len(sent_at) < wire.audio * 10 // RATE:
            sent_at.append(time.now)
        if time.now >= 60.0:
            live.stop()
            hung.set()
        if wire.finished:
            wire.coming.append(told("task-finished"))

    time.on_wait = look
    live = Live(Scripted(wire), Backlog(), lambda _: None, clock=time.clock, waker=time)
    outcome = live.run(sound())

    assert outcome.finished
    assert len(sent_at) >= 5
    assert max(b - a for a, b in itertools.pairwise(sent_at)) < 23.0


# --- healing ------------------------------------------------------------------------------------


def lost(**options: Any) -> NetworkError:
    return NetworkError("svc", "gone", **options)


def test_failures_in_a_row_are_waited_for_longer_and_longer_and_then_given_up() -> None:
    healing = Healing(HealingPolicy(retries=3, cap=1.5), random=lambda: 1.0)
    error = ServiceError("svc", "x", retry=lost().retry)

    assert [healing.pause(error, opening=False) for _ in range(4)] == [0.5, 1.0, 1.5, None]


def test_what_works_makes_it_forget() -> None:
    healing = Healing(HealingPolicy(retries=1), random=lambda: 1.0)
    healing.pause(lost(), opening=False)
    healing.worked()

    assert healing.pause(lost(), opening=False) == 0.5


def test_what_cannot_help_is_given_up_at_once() -> None:
    assert Healing().pause(KeyRefusedError("svc", "no"), opening=True) is None


def test_the_pause_that_a_service_asks_for_is_kept_unless_it_is_too_long() -> None:
    asked = RateLimitedError("svc", "slow", retry_after=33.0)
    longer = RateLimitedError("svc", "slow", retry_after=121.0)

    assert Healing().pause(asked, opening=True) == 33.0
    assert Healing().pause(longer, opening=True) is None


def test_a_network_that_was_never_there_is_given_up_soon() -> None:
    healing = Healing(HealingPolicy(retries=2))

    pauses = [healing.pause(lost(), opening=True) for _ in range(3)]
    assert pauses[2] is None
    assert None not in pauses[:2]


def test_a_network_that_was_there_is_waited_for() -> None:
    time = Time()
    healing = Healing(HealingPolicy(retries=2, outage=600.0), clock=time.clock)
    healing.reached()
    tries = 0
    while (pause := healing.pause(lost(), opening=True)) is not None:
        time.now += pause
        tries += 1

    assert time.now >= 600.0
    assert tries > 50
    healing.reached()
    assert healing.pause(lost(), opening=False) is not None


@dataclass
class Closed:
    code: int | None
    reason: str = ""


def test_an_outage_of_minutes_costs_no_word() -> None:
    time = Time()
    first = Wire(coming=[told("task-started")])
    last = Wire(coming=[told("task-started")])
    service = Scripted(first, *[lost() for _ in range(40)], last)

    def look() -> None:
        if first.audio and not first.closed:
            first.closed = Closed(1006)
        if last.finished:
            last.coming.append(told("task-finished"))

    time.on_wait = look

    def sound() -> Any:
        for _ in range(50):
            yield np.full(RATE // 10, 0.1, dtype=np.float32)
        assert service.all_opened.wait(10)  # the microphone goes on

    outcome: Outcome = Live(service, Backlog(), lambda _: None, clock=time.clock, waker=time).run(
        sound()
    )

    assert (outcome.finished, outcome.connections) == (True, 2)
    assert last.spoken == 5 * RATE


# --- endpointing --------------------------------------------------------------------------------


def levels(*stretches: tuple[float, int]) -> list[bool]:
    ends = Endpointer(pause=0.6)
    return [ends.take(level, 0.1) for level, count in stretches for _ in range(count)]


def test_a_pause_ends_an_utterance_once() -> None:
    found = levels((-90, 10), (-20, 10), (-90, 20))
    assert [n for n, ended in enumerate(found) if ended] == [25]


def test_a_short_breath_does_not() -> None:
    assert not any(levels((-20, 10), (-90, 5), (-20, 10)))


def test_a_fan_is_no_speech_once_it_is_known() -> None:
    ends = Endpointer()
    for _ in range(300):
        ends.take(-45.0, 0.1)
    assert not ends.speaking


def test_nobody_speaks_for_ever() -> None:
    assert any(levels((-20, 201)))


def test_loudness_is_in_decibels_of_full_scale() -> None:
    assert loudness(np.full(100, 0.1, dtype=np.float32)) == pytest.approx(-20.0, abs=0.01)
    assert loudness(np.zeros(100, dtype=np.float32)) == -90.0
    assert math.isfinite(loudness(np.zeros(0, dtype=np.float32)))
