from __future__ import annotations

import threading

import pytest

from asrcli.transport.throttle import Slot, Throttle
from tests.transport.rig import FakeTime


def never() -> bool:
    return False


def make(time: FakeTime, limit: int = 64, **options: float) -> Throttle:
    return Throttle(limit, clock=time.clock, sleep=time.sleep, **options)  # type: ignore[arg-type]


def enter_all(throttle: Throttle) -> list[Slot]:
    """As many slots as there are without waiting."""
    slots = []
    while throttle._in_flight < throttle._allowed():
        slot = throttle.enter(never)
        assert slot is not None
        slots.append(slot)
    return slots


def test_the_gate_opens_one_two_four_with_each_round_that_went_well(time: FakeTime) -> None:
    throttle = make(time)
    widths = []
    for _ in range(8):
        slots = enter_all(throttle)
        widths.append(len(slots))
        for _ in slots:
            throttle.succeeded()
            throttle.leave()

    assert widths == [1, 2, 4, 8, 16, 32, 64, 64]


def test_the_gate_opens_with_time_when_calls_are_long(time: FakeTime) -> None:
    throttle = make(time, limit=8)
    widths = []
    for _ in range(5):
        enter_all(throttle)
        widths.append(throttle._in_flight)
        time.now += 0.25

    assert widths == [1, 2, 4, 8, 8]


def test_no_more_than_the_limit_and_never_more_than_64_are_let_in(time: FakeTime) -> None:
    throttle = make(time, limit=1000)
    enter_all(throttle)
    time.now += 1000

    assert len(enter_all(throttle)) == 63


def wide_open(time: FakeTime, limit: int) -> tuple[Throttle, list[Slot]]:
    throttle = make(time, limit=limit)
    enter_all(throttle)
    time.now += 1000
    enter_all(throttle)
    return throttle, [Slot(0)] * limit


def test_refusals_of_one_round_halve_the_gate_once(time: FakeTime) -> None:
    throttle, slots = wide_open(time, 16)

    for slot in slots:
        throttle.slow_down(slot, 1.0, "rate limited")
        throttle.leave()

    assert throttle._allowed() == 8


def test_all_wait_out_a_pause(time: FakeTime) -> None:
    throttle, slots = wide_open(time, 16)
    began = time.now
    throttle.slow_down(slots[0], 30.0, "rate limited")
    for _ in slots:
        throttle.leave()

    throttle.enter(never)

    assert time.now - began == pytest.approx(30.0)


def test_a_late_refusal_may_only_make_the_pause_longer(time: FakeTime) -> None:
    throttle, slots = wide_open(time, 16)
    began = time.now
    throttle.slow_down(slots[0], 3.0, "rate limited")
    throttle.slow_down(slots[1], 1.0, "rate limited")
    throttle.slow_down(slots[2], 7.0, "rate limited")
    for _ in slots:
        throttle.leave()

    throttle.enter(never)

    assert time.now - began == pytest.approx(7.0)


def test_a_pause_is_told_once_however_many_met_it(time: FakeTime) -> None:
    told: list[tuple[str, float]] = []
    throttle = Throttle(
        16, clock=time.clock, sleep=time.sleep, on_wait=lambda r, s: told.append((r, s))
    )

    for _ in range(5):
        throttle.slow_down(Slot(0), 2.0, "rate limited by svc")

    assert told == [("rate limited by svc", 2.0)]


def test_after_a_refusal_each_window_that_went_well_lets_in_one_more(time: FakeTime) -> None:
    throttle, slots = wide_open(time, 16)
    throttle.slow_down(slots[0], 0.0, "rate limited")
    for _ in slots:
        throttle.leave()

    widths = []
    for _ in range(3):
        width = len(enter_all(throttle))
        widths.append(width)
        for _ in range(width):
            throttle.succeeded()
            throttle.leave()

    assert widths == [8, 9, 10]


def test_requests_a_minute_are_evenly_spaced(time: FakeTime) -> None:
    throttle = make(time, rpm=120.0)
    starts = []
    for _ in range(5):
        throttle.enter(never)
        starts.append(time.now - 1000.0)
        throttle.succeeded()
        throttle.leave()

    assert starts == pytest.approx([0.0, 0.5, 1.0, 1.5, 2.0])


def test_time_that_nobody_used_is_not_saved_up(time: FakeTime) -> None:
    throttle = make(time, rpm=60.0)
    starts = []
    for pause in (0.0, 100.0, 0.0):
        time.now += pause
        throttle.enter(never)
        starts.append(time.now - 1000.0)
        throttle.leave()

    assert starts == pytest.approx([0.0, 100.0, 101.0])


def test_calls_to_other_hosts_do_not_count_for_requests_a_minute(time: FakeTime) -> None:
    throttle = make(time, rpm=1.0)
    for _ in range(5):
        throttle.enter(never, spaced=False)
        throttle.leave()

    assert time.waited == 0


def test_a_wait_at_the_gate_ends_when_the_run_is_given_up(time: FakeTime) -> None:
    throttle = make(time, rpm=1.0)
    throttle.enter(never)
    throttle.leave()

    assert throttle.enter(lambda: time.now > 1002) is None
    assert time.waited < 3


def test_one_thread_at_a_time_tries_whether_the_network_is_back(time: FakeTime) -> None:
    throttle, slots = wide_open(time, 16)
    throttle.succeeded()
    throttle.lose(slots[0], lambda _: 1.0, "no network")
    for _ in slots:
        throttle.leave()

    assert throttle._allowed() == 1
    throttle.answered()
    assert throttle._allowed() == 16


def test_a_thread_that_waits_for_a_place_gets_it_when_another_leaves() -> None:
    throttle = Throttle(1)
    throttle.enter(never)
    entered = threading.Event()

    def work() -> None:
        throttle.enter(never)
        entered.set()

    thread = threading.Thread(target=work)
    thread.start()
    assert not entered.is_set()
    throttle.leave()
    thread.join(10)

    assert entered.is_set()
