"""What work reports from many threads adds up, and the ticker ends when it is told to."""

from __future__ import annotations

import threading

import pytest

from asrcli.output.displays import NoDisplay
from asrcli.output.progress import Progress, State, tick_in_thread
from tests.output.screens import Clock


class Recorder(NoDisplay):
    """Keeps what it is shown."""

    period = 1.0

    def __init__(self) -> None:
        self.states: list[State] = []

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
