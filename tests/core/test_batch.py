from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from asrcli.core.batch import exit_status, run
from asrcli.errors import ArrearsError, InputError


@pytest.fixture
def stop() -> threading.Event:
    return threading.Event()


def test_results_come_in_the_order_of_the_inputs_however_they_finish(stop: threading.Event) -> None:
    last_is_done = threading.Event()

    def work(item: int) -> int:
        if item == 3:
            last_is_done.set()
        else:
            assert last_is_done.wait(10)
        return item * 10

    done = list(run([1, 2, 3], work, workers=3, stop=stop))

    assert [one.result for one in done] == [10, 20, 30]


def test_a_failure_stays_with_its_input(stop: threading.Event) -> None:
    def work(item: int) -> int:
        if item == 2:
            raise InputError("bad")
        return item

    done = list(run([1, 2, 3], work, workers=2, stop=stop))

    assert [one.result for one in done] == [1, None, 3]
    assert [str(one.error) for one in done if one.error] == ["bad"]


def test_an_error_that_stops_the_run_lets_nothing_else_begin(stop: threading.Event) -> None:
    begun: list[int] = []

    def work(item: int) -> int:
        begun.append(item)
        raise ArrearsError("qwen", "unpaid")

    done = list(run(range(10), work, workers=1, stop=stop))

    assert begun == [0]
    assert sum(one.error is not None for one in done) == 1
    assert all(one.result is None for one in done)


def test_fail_fast_stops_at_any_error(stop: threading.Event) -> None:
    begun: list[int] = []

    def work(item: int) -> int:
        begun.append(item)
        raise InputError("bad")

    list(run(range(10), work, workers=1, stop=stop, fail_fast=True))

    assert begun == [0]


def test_an_error_that_is_not_ours_is_raised(stop: threading.Event) -> None:
    def work(item: int) -> int:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        list(run([1], work, workers=2, stop=stop))


def test_inputs_are_taken_only_as_they_are_needed(stop: threading.Event) -> None:
    taken = 0

    def items() -> Iterator[int]:
        nonlocal taken
        for number in range(1000):
            taken += 1
            yield number

    results = run(items(), lambda item: item, workers=2, stop=stop)
    next(results)

    assert taken <= 6


def test_no_more_threads_than_workers_are_at_work(stop: threading.Event) -> None:
    lock, now, most = threading.Lock(), 0, 0
    gate = threading.Barrier(4, timeout=10)

    def work(item: int) -> int:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        gate.wait()
        with lock:
            now -= 1
        return item

    list(run(range(8), work, workers=4, stop=stop))

    assert most == 4


@pytest.mark.parametrize(
    ("statuses", "several", "expected"),
    [
        ([0], False, 0),
        ([7], False, 7),
        ([0, 0], True, 0),
        ([0, 7, 9], True, 3),
        ([7, 4, 5], True, 4),
        ([5, 8, 4], True, 8),
        ([10, 11], True, 11),
        ([10, 7], True, 10),
    ],
)
def test_the_exit_status_of_a_run(statuses: list[int], several: bool, expected: int) -> None:
    assert exit_status(statuses, several=several) == expected
