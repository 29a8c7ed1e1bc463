"""What work reports from many threads adds up, and the ticker ends when it is told to."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asrcli.output.displays import NoDisplay
from asrcli.output.pace import Pace
from asrcli.output.progress import Ended, Progress, State, tick_in_thread
from tests.output.screens import Clock


class Recorder(NoDisplay):
    """Keeps what it is shown."""

    period = 1.0

    def __init__(self) -> None:
        self.states: list[State] = []
        self.ends: list[Ended] = []

    def end(self, ended: Ended) -> None:
        self.ends.append(ended)

    def show(self, state: State) -> None:
        self.states.append(state)


def watched(recorder: Recorder, clock: Clock, total: int, duration: float | None) -> Progress:
    return Progress(
        recorder,
        threading.RLock(),
        total=total,
        duration=duration,
        clock=clock,
        ticker=clock.ticker,
    )


@pytest.mark.parametrize(
    ("state", "share"),
    [
        (State(4, done=1), 0.25),
        (State(4, 100.0, 50.0, done=1), 0.5),
        (State(4, 100.0, 120.0, done=3), 1.0),
        (State(4, 100.0, 90.0, done=4), 1.0),
        (State(0), 1.0),
    ],
)
def test_the_share_is_of_the_audio_if_it_is_known_else_of_the_inputs(
    state: State, share: float
) -> None:
    assert state.share == share


def test_an_input_that_ends_counts_with_the_rest_of_its_audio() -> None:
    recorder, clock = Recorder(), Clock()
    with watched(recorder, clock, 2, 20.0) as progress:
        item = progress.begin("a", duration=10.0)
        item.advance(4.0)
        item.status("uploading")
        clock.now += 3.0
        item.end(failed=True)

    assert [state.latest for state in recorder.states] == ["", "", "uploading", ""]
    assert recorder.states[-1] == State(2, 20.0, 10.0, 3.0, done=1, failed=1, name="a")


def test_what_was_cancelled_is_neither_failed_nor_done() -> None:
    recorder, clock = Recorder(), Clock()
    with watched(recorder, clock, 2, None) as progress:
        first = progress.begin("a", duration=10.0)
        first.advance(4.0)
        first.end(failed=True, cancelled=True, error="stopped")
        progress.begin("b", duration=10.0).end()

    last = recorder.states[-1]
    assert (last.done, last.failed, last.cancelled) == (1, 0, 1)
    assert (last.duration_done, last.share) == (14.0, 0.7)
    assert [(end.name, end.status) for end in recorder.ends] == [("a", "cancelled"), ("b", "ok")]


def test_an_input_ends_once() -> None:
    recorder, clock = Recorder(), Clock()
    with watched(recorder, clock, 2, None) as progress:
        item = progress.begin("a", duration=10.0)
        item.end()
        item.end(failed=True)

    assert (recorder.states[-1].done, recorder.states[-1].failed) == (1, 0)
    assert recorder.ends == [Ended("a", "ok", 10.0, 0.0, None)]


def test_the_length_of_all_is_guessed_from_those_looked_at_until_all_are() -> None:
    recorder, clock = Recorder(), Clock()
    with watched(recorder, clock, 3, None) as progress:
        items = [progress.begin(name) for name in "abc"]
        seen = []
        for item, seconds in zip(items, (10.0, 20.0, 60.0), strict=True):
            item.expect(seconds)
            clock.tick()
            seen.append((recorder.states[-1].duration, recorder.states[-1].estimated))

    assert recorder.states[0].duration is None
    assert seen == [(30.0, True), (45.0, True), (90.0, False)]


def test_a_length_may_be_said_again_and_grows_with_what_is_heard() -> None:
    recorder, clock = Recorder(), Clock()
    with watched(recorder, clock, 1, None) as progress:
        item = progress.begin("a", duration=10.0)
        item.expect(20.0)
        item.advance(25.0)
        item.expect(5.0)
        item.end()

    assert (recorder.states[-1].duration, recorder.states[-1].duration_done) == (25.0, 25.0)


def test_skipped_inputs_are_done_at_once_and_have_no_part_in_the_guess() -> None:
    recorder, clock = Recorder(), Clock()
    with watched(recorder, clock, 10, None) as progress:
        for number in range(8):
            progress.begin(str(number)).end(skipped=True)
        before = recorder.states[-1]
        item = progress.begin("a", duration=100.0)
        item.advance(50.0)

    assert (before.done, before.skipped, before.share, before.duration) == (8, 8, 0.8, None)
    last = recorder.states[-1]
    assert (last.duration, last.estimated, last.share) == (200.0, True, 0.85)


def run_in_steps(recorder: Recorder, clock: Clock, lengths: list[float], speed: float) -> None:
    """Inputs one after the other, in parts of ten seconds, each at the same speed."""
    with watched(recorder, clock, len(lengths), None) as progress:
        items = [progress.begin(str(number), duration=each) for number, each in enumerate(lengths)]
        for item, length in zip(items, lengths, strict=True):
            for _ in range(int(length / 10)):
                clock.now += 10 / speed
                item.advance(10.0)
            item.end()


def test_one_long_input_among_short_ones_counts_by_its_audio() -> None:
    """C10: the last input is a hundred times longer than each of the others."""
    recorder, clock = Recorder(), Clock()
    run_in_steps(recorder, clock, [10.0] * 100 + [1000.0], speed=5.0)

    nearly = next(state for state in recorder.states if state.done == 100)
    assert nearly.share == 0.5
    assert nearly.seconds_left == pytest.approx(200.0)
    assert nearly.rate == pytest.approx(5.0)
    assert recorder.states[-1].seconds_left == 0.0


def test_no_time_is_told_before_it_can_be_known() -> None:
    recorder, clock = Recorder(), Clock()
    with watched(recorder, clock, 1000, None) as progress:
        told = []
        for number in range(12):
            clock.now += 1.0
            progress.begin(str(number), duration=10.0).end()
            clock.now += 1.0
            told.append(recorder.states[-1].seconds_left is not None)

    assert told == [False] * 9 + [True] * 3


def test_the_rate_is_that_of_the_last_minute_but_of_no_fewer_than_some_parts() -> None:
    recorder, clock = Recorder(), Clock()
    run_in_steps(recorder, clock, [1000.0], speed=1.0)
    slow = recorder.states[-1].rate

    pace = Pace()
    for now in range(1, 1001):
        pace.add(1.0, since=0.0, now=float(now))
    for now in range(1001, 1101):
        pace.add(50.0, since=0.0, now=float(now))

    assert slow == pytest.approx(1.0)
    assert pace.rate(1100.0) == pytest.approx(50.0)


def test_the_rate_falls_while_nothing_comes_back() -> None:
    pace = Pace()
    for now in range(1, 11):
        pace.add(10.0, since=0.0, now=float(now))

    assert pace.rate(10.0) == pytest.approx(10.0)
    assert pace.rate(100.0) == pytest.approx(1.0)


def test_a_rate_needs_some_parts_and_some_time() -> None:
    pace = Pace()
    assert pace.rate(1.0) is None
    for _ in range(10):
        pace.add(10.0, since=0.0, now=1.0)
    assert pace.rate(1.0) is None
    assert pace.rate(5.0) == pytest.approx(20.0)


def test_work_that_was_paid_for_before_does_not_make_the_rest_look_quick() -> None:
    recorder, clock = Recorder(), Clock()
    with watched(recorder, clock, 1, None) as progress:
        item = progress.begin("a", duration=2000.0)
        for _ in range(100):
            clock.now += 0.1
            item.advance(10.0, free=True)
        known = recorder.states[-1]
        for _ in range(10):
            clock.now += 5.0
            item.advance(10.0)

    assert (known.rate, known.seconds_left, known.reused) == (None, None, 1000.0)
    last = recorder.states[-1]
    assert (last.duration_done, last.share) == (1100.0, 0.55)
    assert last.rate == pytest.approx(2.0)
    assert last.seconds_left == pytest.approx(450.0)


def test_what_failed_inputs_left_over_does_not_make_the_rest_look_quick() -> None:
    recorder, clock = Recorder(), Clock()
    with watched(recorder, clock, 20, None) as progress:
        for number in range(20):
            clock.now += 1.0
            progress.begin(str(number), duration=100.0).end(failed=True)

    assert recorder.states[-1].duration_done == 2000.0
    assert recorder.states[-1].rate is None


def test_requests_in_flight_and_bytes_are_counted() -> None:
    recorder, clock = Recorder(), Clock()
    with watched(recorder, clock, 1, None) as progress:
        item = progress.begin("a")
        item.in_flight(2)
        item.sent(100)
        item.sent(50)
        item.in_flight(-1)

    assert (recorder.states[-1].in_flight, recorder.states[-1].bytes_sent) == (1, 150)


lengths = st.none() | st.floats(0, 1000)
endings = st.sampled_from(["", "failed", "cancelled", "skipped", "partial"])


@settings(deadline=None, database=None, max_examples=60)
@given(st.lists(st.tuples(lengths, lengths, st.booleans(), endings), min_size=1, max_size=12))
def test_whatever_is_reported_the_figures_hold_together(
    reports: list[tuple[float | None, float | None, bool, str]],
) -> None:
    recorder, clock = Recorder(), Clock()
    with watched(recorder, clock, len(reports) + 1, None) as progress:
        for length, heard, free, ending in reports:
            clock.now += 1.0
            item = progress.begin("x", duration=length)
            if heard is not None:
                item.advance(heard, free=free)
            how: dict[str, Any] = {ending: True} if ending else {}
            item.end(**how)

    for state in recorder.states:
        assert 0.0 <= state.share <= 1.0
        assert state.seconds_left is None or state.seconds_left >= 0.0
        assert state.reused <= state.duration_done + 1e-6
    last = recorder.states[-1]
    assert last.done + last.cancelled == len(reports)


def test_reports_of_many_threads_add_up() -> None:
    recorder, clock = Recorder(), Clock()

    def work(progress: Progress) -> None:
        for number in range(100):
            item = progress.begin(str(number), duration=1.0)
            item.advance(0.5)
            item.end(failed=number % 2 == 0)

    with watched(recorder, clock, 400, 400.0) as progress:
        threads = [threading.Thread(target=work, args=(progress,)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    last = recorder.states[-1]
    assert (last.done, last.failed, last.duration_done) == (400, 200, 400.0)


def test_ticks_tell_how_much_time_went_by() -> None:
    recorder, clock = Recorder(), Clock()
    with watched(recorder, clock, 1, None):
        clock.tick(1.5)
        clock.tick(1.5)

    assert [state.elapsed for state in recorder.states] == [1.5, 3.0]
    assert not clock.running


def test_the_ticker_ticks_until_it_is_stopped() -> None:
    ticked = threading.Semaphore(0)

    stop = tick_in_thread(ticked.release, 0.001)
    assert ticked.acquire(timeout=30)
    assert ticked.acquire(timeout=30)
    stop()

    assert all(thread.name != "asrcli-progress" for thread in threading.enumerate())
